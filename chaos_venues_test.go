package quotewire_test

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/alpaca"
	"github.com/quotewire/quotewire/feeds/binance"
	"github.com/quotewire/quotewire/feeds/bitfinex"
	"github.com/quotewire/quotewire/feeds/bitstamp"
	"github.com/quotewire/quotewire/feeds/bybit"
	"github.com/quotewire/quotewire/feeds/coinbase"
	"github.com/quotewire/quotewire/feeds/coinbaseadvanced"
	"github.com/quotewire/quotewire/feeds/gemini"
	"github.com/quotewire/quotewire/feeds/kraken"
	"github.com/quotewire/quotewire/feeds/okx"
	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/normalizer"
)

// chaosVenue is a venue that takes part. Adding one is adding a row.
//
// Polygon is not among them: its transport is the provider's own library, whose
// connections cannot be made within a bubble.
type chaosVenue struct {
	name     string // in the simulated market and in the directory
	provider string // of the simulator, the transport and the decoder
	// Decimals beside those of the pair.
	price, size int
	// depth is how many levels a side the books have that it sends; 0 all.
	depth int
	proof chaosProof
	// piecemeal says that it sends each level of a change as a message of its
	// own, so that its books pass through states that the venue never had. They
	// are looked at once all that the market did has come.
	piecemeal bool
	// market is the provider's product group, where it has several.
	market string
	// rest says that something is asked for over REST: books, reference data, or
	// what it takes to connect.
	rest bool
	// beside says that books begin with an answer over REST, not with an image in
	// the stream.
	beside bool
	// gullible says that an image which is out of date cannot be told from a fresh
	// one, because nothing in the stream says where it stands.
	gullible bool
	// clocked says that images are joined to the stream by the venue's clock. That
	// it was set back shows where the step is larger than what a stream may be late
	// and an image old; below, an image may be joined in the wrong place.
	clocked bool
	connect func(dial chaosDial, symbols []string) (feeds.Connector, error)
}

// chaosProof is what a venue's protocol has by which one knows that a book is
// whole. A fault that it cannot show is not ordered at the venue, because nobody
// could tell; docs/adapters.md has the table.
type chaosProof int

const (
	// proofNone: neither sequence nor checksum, so that nothing shows that a
	// change of a book was lost. Such a venue's silence therefore always ends
	// with a new connection.
	proofNone chaosProof = iota
	// proofChecksum: over the whole book, so that a loss shows with the next
	// change. It does not show that a change is old: one that adds a level and
	// one that takes it away, in the wrong order, both have the right sum.
	proofChecksum
	// proofSequence: whatever is lost, old or out of order shows.
	proofSequence
)

type chaosDial = func(ctx context.Context, network, addr string) (net.Conn, error)

// chaosURL is dialed through memory. Its host keeps proxies of the environment
// out.
const chaosURL = "ws://127.0.0.1:1"

func chaosVenues() []chaosVenue {
	return []chaosVenue{
		{name: "coinbase", provider: "coinbase",
			connect: func(dial chaosDial, symbols []string) (feeds.Connector, error) {
				return coinbase.New(coinbase.Config{URL: chaosURL, Products: symbols, NetDial: dial})
			}},
		// The same venue as the one above: of the two, one takes part.
		{name: "coinbase", provider: "coinbase-advanced", proof: proofSequence,
			connect: func(dial chaosDial, symbols []string) (feeds.Connector, error) {
				return coinbaseadvanced.New(coinbaseadvanced.Config{URL: chaosURL, Products: symbols, NetDial: dial})
			}},
		// At depth 10 the checksum covers the whole book. At greater depths it
		// does not show what is lost below.
		{name: "kraken", provider: "kraken", price: -1, size: 2, depth: 10, proof: proofChecksum,
			connect: func(dial chaosDial, symbols []string) (feeds.Connector, error) {
				return kraken.New(kraken.Config{URL: chaosURL, Symbols: symbols, Depth: 10, Book: true, Trades: true, NetDial: dial})
			}},
		{name: sim.OKX, provider: "okx", size: 1, proof: proofSequence,
			connect: func(dial chaosDial, symbols []string) (feeds.Connector, error) {
				return okx.New(okx.Config{URL: chaosURL, Instruments: symbols, Channels: []string{okx.Books, okx.Trades}, NetDial: dial})
			}},
		{name: sim.Bybit, provider: "bybit", market: bybit.Spot, price: 1, depth: 50, proof: proofSequence, rest: true,
			connect: func(dial chaosDial, symbols []string) (feeds.Connector, error) {
				return bybit.New(bybit.Config{URL: chaosURL + "/v5/public", Category: bybit.Spot, Symbols: symbols, Depth: 50, Book: true, Trades: true, NetDial: dial})
			}},
		{name: sim.Bitfinex, provider: "bitfinex", price: -1, size: 1, depth: 25, proof: proofSequence, piecemeal: true,
			connect: func(dial chaosDial, symbols []string) (feeds.Connector, error) {
				return bitfinex.New(bitfinex.Config{URL: chaosURL, Symbols: symbols, Depth: 25, Book: true, Trades: true, NetDial: dial})
			}},
		// Its protocol shows no loss; the books are whole while the connection is.
		{name: sim.Alpaca, provider: "alpaca",
			connect: func(dial chaosDial, symbols []string) (feeds.Connector, error) {
				return alpaca.New(alpaca.Config{URL: chaosURL, Feed: "crypto", Key: "key", Secret: "secret", MessagePack: true,
					Symbols: symbols, Channels: []string{"orderbooks", "trades"}, NetDial: dial})
			}},
		{name: sim.Gemini, provider: "gemini", rest: true,
			connect: func(dial chaosDial, symbols []string) (feeds.Connector, error) {
				return gemini.New(gemini.Config{URL: chaosURL + "/v2/marketdata", Symbols: symbols, NetDial: dial})
			}},
		{name: "binance", provider: "binance", proof: proofSequence, rest: true, beside: true,
			connect: func(dial chaosDial, symbols []string) (feeds.Connector, error) {
				return binance.New(binance.Config{URL: chaosURL, Symbols: symbols, WeightPerMinute: 6000, NetDial: dial})
			}},
		{name: "binance-usdm", provider: "binance-usdm", proof: proofSequence, rest: true, beside: true,
			connect: func(dial chaosDial, symbols []string) (feeds.Connector, error) {
				return binance.New(binance.Config{Market: binance.USDM, URL: chaosURL, Symbols: symbols, WeightPerMinute: 2400, NetDial: dial})
			}},
		{name: "bitstamp", provider: "bitstamp", rest: true, beside: true, clocked: true,
			connect: func(dial chaosDial, symbols []string) (feeds.Connector, error) {
				return bitstamp.New(bitstamp.Config{URL: chaosURL, Pairs: symbols, Recheck: 15 * time.Second, NetDial: dial})
			}},
		// Three of them order by order. A change of the venue's is several messages
		// of Coinbase and Bitstamp, one of each order.
		{name: "coinbase", provider: "coinbase", proof: proofSequence, piecemeal: true, rest: true, beside: true,
			connect: func(dial chaosDial, symbols []string) (feeds.Connector, error) {
				return coinbase.New(coinbase.Config{URL: chaosURL, Products: symbols, NetDial: dial, Credentials: chaosCoinbaseKey,
					Channels: []string{coinbase.Full, coinbase.Heartbeat, coinbase.Status}})
			}},
		{name: "kraken", provider: "kraken", price: -1, size: 2, depth: 10, proof: proofChecksum, rest: true,
			connect: func(dial chaosDial, symbols []string) (feeds.Connector, error) {
				return kraken.New(kraken.Config{URL: chaosURL, Symbols: symbols, Depth: 10, Orders: true, Trades: true, NetDial: dial,
					Credentials: kraken.Credentials{Key: "key", Secret: chaosCoinbaseKey.Secret}})
			}},
		{name: "bitstamp", provider: "bitstamp", proof: proofSequence, piecemeal: true, rest: true, beside: true, clocked: true, gullible: true,
			connect: func(dial chaosDial, symbols []string) (feeds.Connector, error) {
				return bitstamp.New(bitstamp.Config{URL: chaosURL, Pairs: symbols, Recheck: 15 * time.Second, NetDial: dial,
					Channels: []string{bitstamp.LiveOrders, bitstamp.LiveTrades}})
			}},
	}
}

// chaosCoinbaseKey is one that the simulated venues take.
var chaosCoinbaseKey = coinbase.Credentials{Key: "key", Passphrase: "pass", Secret: "c2VjcmV0"}

// spell returns how the provider spells a pair.
func (v *chaosVenue) spell(pair string) string {
	if v.provider == "kraken" || v.provider == "alpaca" {
		return strings.Replace(pair, "-", "/", 1)
	}
	if v.provider == "binance-usdm" {
		pair += "-PERP"
	}
	s, err := normalizer.Spell(v.provider, v.market, pair)
	if err != nil {
		panic(err) // of a pair of ours
	}
	return s
}

// chaosMarket is ten pairs on the venues, from busy to one that is quiet.
func chaosMarket(seed uint64, start time.Time, venues []chaosVenue) sim.MarketConfig {
	cfg := sim.MarketConfig{Seed: seed, Start: start, Stocks: []sim.StockSpec{}}
	for _, r := range []struct {
		pair, price, usual string
		decimals, sizes    int
		vol, spread, rate  float64
	}{
		{"BTC-USD", "95012.30", "0.12", 2, 6, 0.9, 0.4, 9},
		{"ETH-USD", "3320.15", "1.5", 2, 6, 1.1, 0.6, 7},
		{"SOL-USD", "186.42", "20", 2, 6, 1.4, 1, 5},
		{"XRP-USD", "2.3140", "900", 4, 6, 1.3, 1.2, 4},
		{"DOGE-USD", "0.32140", "6000", 5, 1, 1.6, 1.4, 4},
		{"ADA-USD", "0.9312", "2500", 4, 6, 1.5, 1.6, 3},
		{"LTC-USD", "104.27", "12", 2, 6, 1.2, 1.8, 3},
		{"PEPE-USD", "0.0000098450", "12000000", 10, 0, 2.2, 2, 3},
		{"LINK-USD", "22.145", "80", 3, 4, 1.5, 2, 2},
		{"DOT-USD", "6.8312", "300", 4, 4, 1.7, 2.5, 0.6},
	} {
		spec := sim.CryptoSpec{Pair: r.pair, Price: r.price, VolBps: r.vol}
		for i, v := range venues {
			spec.Venues = append(spec.Venues, sim.VenueSpec{
				Venue: v.name, PriceDecimals: r.decimals + v.price, SizeDecimals: r.sizes + v.size, Size: r.usual,
				SpreadBps: r.spread * (1 + float64(i)/5), Levels: 40, Rate: r.rate, Lag: time.Duration(1+7*i) * time.Millisecond,
			})
		}
		cfg.Cryptos = append(cfg.Cryptos, spec)
	}
	return cfg
}
