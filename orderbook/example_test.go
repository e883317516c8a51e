package orderbook_test

import (
	"fmt"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// printer is a sink that prints each consolidated quote.
type printer struct{ dir *market.Directory }

func (p printer) Update(u *orderbook.Update) {
	if u.Changed&orderbook.ChangedQuote == 0 {
		return
	}
	side := func(price market.Price, size market.Size, venues []orderbook.VenueSize) string {
		if size == 0 {
			return "nobody"
		}
		return market.Format(price, u.Scale.Price) + " x " + market.Format(size, u.Scale.Size) + " at " + p.dir.VenueName(venues[0].Venue)
	}
	q := &u.Quote
	fmt.Printf("%s: %s, %s\n", p.dir.Symbol(u.Instrument), side(q.Bid, q.BidSize, q.BidVenues), side(q.Ask, q.AskSize, q.AskVenues))
}

func (p printer) Flush() {}

// Two venues quote one instrument; one of them loses a message.
func ExampleShard() {
	dir := market.NewDirectory()
	feed, _ := dir.Feed("crypto")
	btc, _ := dir.Instrument("BTC-USD", market.ClassCrypto)
	kraken, _ := dir.Venue("kraken")
	coinbase, _ := dir.Venue("coinbase")
	shard := orderbook.NewShard(orderbook.Config{
		Directory: dir,
		Sinks:     []orderbook.Sink{printer{dir}},
		Resync: func(_ market.FeedID, id market.InstrumentID, cause orderbook.Cause) {
			fmt.Println("resync", dir.Symbol(id), "after a", cause)
		},
	})

	event := func(kind market.Kind, venue market.VenueID, side market.Side, price, size string, flags market.Flags) market.Event {
		e := market.Event{Kind: kind, Feed: feed, Venue: venue, Instrument: btc, Side: side, Flags: flags}
		if price != "" {
			e.Price, e.PriceDecimals, _ = market.ParsePrice(price)
			e.Size, e.SizeDecimals, _ = market.ParseSize(size)
		}
		return e
	}
	for _, venue := range []market.VenueID{kraken, coinbase} {
		shard.Apply([]market.Event{
			event(market.KindClear, venue, market.SideNone, "", "", market.FlagSnapshot),
			event(market.KindLevel, venue, market.SideBid, "63498.0", "2.5", market.FlagSnapshot),
			event(market.KindLevel, venue, market.SideAsk, "63498.1", "0.75", market.FlagSnapshot|market.FlagLast),
		})
	}
	shard.Apply([]market.Event{event(market.KindLevel, coinbase, market.SideBid, "63498.05", "1", market.FlagLast)})
	shard.Apply([]market.Event{event(market.KindGap, coinbase, market.SideNone, "", "", market.FlagLast)})
	// Output:
	// BTC-USD: 63498 x 2.5 at kraken, 63498.1 x 0.75 at kraken
	// BTC-USD: 63498 x 2.5 at kraken, 63498.1 x 0.75 at kraken
	// BTC-USD: 63498.05 x 1 at coinbase, 63498.1 x 0.75 at kraken
	// resync BTC-USD after a gap
	// BTC-USD: 63498 x 2.5 at kraken, 63498.1 x 0.75 at kraken
}
