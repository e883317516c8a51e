package bus

import (
	"fmt"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// updateHead is what a busv1.Update says beside the orderbook.Update. The bytes
// are those of the message.
type updateHead struct {
	symbol, node []byte
	class        market.Class
}

// decoder reads busv1.Update without reflection, and without allocating once
// its buffers have grown. It belongs to one goroutine.
type decoder struct {
	dir    *market.Directory
	venues map[string]market.VenueID // numbers here by name
	names  [][]byte                  // venues list of the message under way
	local  []market.VenueID          // its numbers here, from index 1
	prices []int64                   // columns of the run of levels under way
	sizes  []int64
	recent recent // of the message, beside its update
}

func newDecoder(dir *market.Directory) *decoder {
	return &decoder{dir: dir, venues: make(map[string]market.VenueID)}
}

// update decodes data into u, reusing the memory of u's slices, with venues
// numbered as the directory here does. u.Instrument is left 0. Nothing is
// registered for a message that is refused.
func (d *decoder) update(data []byte, u *orderbook.Update) (updateHead, error) {
	var h updateHead
	*u = orderbook.Update{Levels: u.Levels[:0], Venues: u.Venues[:0], Tops: u.Tops[:0], Trades: u.Trades[:0], Bars: u.Bars[:0],
		Quote: orderbook.Quote{BidVenues: u.Quote.BidVenues[:0], AskVenues: u.Quote.AskVenues[:0], Out: u.Quote.Out[:0]}}
	d.names, d.recent = d.names[:0], recent{}
	f := fields{b: data}
	for n := range f.all {
		switch n {
		case fieldSymbol:
			h.symbol = f.bytes()
		case fieldClass:
			if h.class = market.Class(f.enum()); h.class > market.ClassFuture {
				h.class = market.ClassUnknown
			}
		case fieldNode:
			h.node = f.bytes()
		case fieldEpoch:
			u.Epoch = f.fixed()
		case fieldSeq:
			u.Seq = f.uint()
		case fieldTradeSeq:
			u.TradeSeq = f.uint()
		case fieldChanged:
			u.Changed = orderbook.Changed(f.uint()) // bits unknown here are of parts unknown here
		case fieldPriceDecimals:
			u.Scale.Price = f.decimals()
		case fieldSizeDecimals:
			u.Scale.Size = f.decimals()
		case fieldTime:
			u.Time = int64(f.fixed())
		case fieldReceived:
			u.Received = int64(f.fixed())
		case fieldStatuses:
			u.Venues = append(u.Venues, orderbook.VenueStatus{})
			f.sub(decodeStatus(f.bytes(), &u.Venues[len(u.Venues)-1]))
		case fieldLevels:
			var err error
			u.Levels, err = d.levels(f.bytes(), u.Levels)
			f.sub(err)
		case fieldTops:
			u.Tops = append(u.Tops, orderbook.VenueQuote{})
			f.sub(decodeTop(f.bytes(), &u.Tops[len(u.Tops)-1]))
		case fieldTrades:
			u.Trades = append(u.Trades, orderbook.Trade{})
			f.sub(decodeTrade(f.bytes(), &u.Trades[len(u.Trades)-1]))
		case fieldQuote:
			f.sub(decodeQuote(f.bytes(), &u.Quote))
		case fieldTicker:
			f.sub(decodeTicker(f.bytes(), &u.Ticker))
		case fieldBars:
			u.Bars = append(u.Bars, orderbook.Bar{})
			f.sub(decodeBar(f.bytes(), &u.Bars[len(u.Bars)-1]))
		case fieldWatermark:
			u.Watermark = int64(f.fixed())
		case fieldRecentBars:
			f.sub(d.recent.decode(f.bytes()))
		case fieldVenues:
			d.names = append(d.names, f.bytes())
		case fieldStatus:
			f.sub(decodeInstrumentStatus(f.bytes(), &u.Status))
		default:
			f.skip()
		}
	}
	if f.err != nil {
		return h, f.err
	}
	if len(h.symbol) == 0 {
		return h, malformed("no symbol")
	}
	if u.Seq == 0 {
		return h, malformed("no sequence number")
	}
	return h, d.localize(u)
}

// localize puts the numbers that venues have here in place of the message's.
func (d *decoder) localize(u *orderbook.Update) error {
	last := market.VenueID(len(d.names))
	bad := false
	eachVenue(u, func(v *market.VenueID) { bad = bad || *v > last })
	if bad {
		return malformed("venue beyond the list")
	}
	d.local = append(d.local[:0], market.Consolidated)
	for _, name := range d.names {
		id, ok := d.venues[string(name)]
		if !ok {
			if string(name) == "*" {
				return malformed("venue \"*\" in the list")
			}
			var err error
			if id, err = d.dir.Venue(string(name)); err != nil {
				return fmt.Errorf("%w: %w", errMalformed, err)
			}
			d.venues[string(name)] = id
		}
		d.local = append(d.local, id)
	}
	eachVenue(u, func(v *market.VenueID) { *v = d.local[*v] })
	return nil
}

// eachVenue calls fn for every venue number in u.
func eachVenue(u *orderbook.Update, fn func(*market.VenueID)) {
	for i := range u.Venues {
		fn(&u.Venues[i].Venue)
	}
	for i := range u.Levels {
		fn(&u.Levels[i].Venue)
	}
	for i := range u.Tops {
		t := &u.Tops[i]
		fn(&t.Venue)
		fn(&t.BidVenue)
		fn(&t.AskVenue)
	}
	for i := range u.Trades {
		fn(&u.Trades[i].Venue)
	}
	for i := range u.Quote.BidVenues {
		fn(&u.Quote.BidVenues[i].Venue)
	}
	for i := range u.Quote.AskVenues {
		fn(&u.Quote.AskVenues[i].Venue)
	}
	for i := range u.Quote.Out {
		fn(&u.Quote.Out[i].Venue)
	}
	fn(&u.Ticker.LastVenue)
	fn(&u.Status.Imbalance.Venue)
}

func (d *decoder) levels(b []byte, dst []orderbook.LevelChange) ([]orderbook.LevelChange, error) {
	d.prices, d.sizes = d.prices[:0], d.sizes[:0]
	var venue market.VenueID
	var side market.Side
	f := fields{b: b}
	for n := range f.all {
		switch n {
		case 1:
			venue = f.venue()
		case 2:
			side = f.side()
		case 3:
			d.prices = f.ints(d.prices)
		case 4:
			d.sizes = f.ints(d.sizes)
		default:
			f.skip()
		}
	}
	if f.err != nil {
		return dst, f.err
	}
	if len(d.prices) != len(d.sizes) {
		return dst, malformed("levels: prices and sizes differ in number")
	}
	if side == market.SideNone {
		if len(d.prices) > 0 {
			return dst, malformed("levels: no side")
		}
		return append(dst, orderbook.LevelChange{Venue: venue}), nil
	}
	for i, p := range d.prices {
		if d.sizes[i] < 0 {
			return dst, malformed("levels: negative size")
		}
		dst = append(dst, orderbook.LevelChange{Venue: venue, Side: side,
			Level: orderbook.Level{Price: market.Price(p), Size: market.Size(d.sizes[i])}})
	}
	return dst, nil
}
