package sim

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Names of the simulated venues, as Market.Book takes them.
const (
	Coinbase = "coinbase"
	Kraken   = "kraken"
	Bitfinex = "bitfinex" // seen through Polygon crypto, x=2
	Bitstamp = "bitstamp" // seen through Polygon crypto, x=6
	NBBO     = "nbbo"     // the stocks' national best bid and offer, seen through Polygon stocks
)

// StockSpec describes a US stock.
type StockSpec struct {
	Symbol string
	Price  string  // where it opens, in dollars, at most 2 decimals
	Tape   int     // 1 NYSE, 2 regional, 3 Nasdaq
	Rate   float64 // quotes and trades per second in a quiet hour
	VolBps float64 // standard deviation of one second's move, in basis points
}

// CryptoSpec describes a pair and the venues that trade it.
type CryptoSpec struct {
	Pair   string // BASE-QUOTE
	Price  string // where it opens, in the quote currency
	VolBps float64
	Venues []VenueSpec
}

// VenueSpec describes how one venue trades a pair.
type VenueSpec struct {
	Venue         string
	PriceDecimals int
	SizeDecimals  int
	Tick          int64         // price increment in units of 10^-PriceDecimals; 0 means 1
	Size          string        // a usual order, in the base currency
	SpreadBps     float64       // half the usual spread
	Levels        int           // levels a side that the venue's book tends to
	Rate          float64       // order events per second in a quiet hour
	Lag           time.Duration // how far the venue is behind the common fair value
}

// DefaultStocks is the stocks of a MarketConfig that names none. Prices are
// plausible, no more.
func DefaultStocks() []StockSpec {
	return []StockSpec{
		{"AAPL", "272.35", 3, 40, 0.8},
		{"MSFT", "478.10", 3, 30, 0.7},
		{"NVDA", "181.42", 3, 55, 1.3},
		{"AMZN", "226.18", 3, 30, 0.9},
		{"GOOGL", "312.77", 3, 25, 0.9},
		{"META", "647.51", 3, 20, 1.0},
		{"TSLA", "458.96", 3, 50, 1.6},
		{"JPM", "315.08", 1, 12, 0.7},
		{"BRK.B", "498.20", 1, 8, 0.5},
		{"F", "13.27", 1, 10, 0.9},
		{"SPY", "683.04", 2, 60, 0.4},
		{"QQQ", "625.48", 3, 45, 0.5},
	}
}

// DefaultCryptos is the pairs of a MarketConfig that names none: eight pairs,
// each on Coinbase, Kraken, Bitfinex and Bitstamp, with the increments of these
// venues where they matter (BTC moves by 0.01 on Coinbase and by 0.1 on Kraken).
func DefaultCryptos() []CryptoSpec {
	type row struct {
		pair, price, size string
		vol, spread, rate float64
		levels            int
		coinbase, kraken  [2]int // price and size decimals
		other             int    // price decimals of the other two
	}
	rows := []row{
		{"BTC-USD", "95012.30", "0.12", 0.9, 0.25, 90, 400, [2]int{2, 8}, [2]int{1, 8}, 0},
		{"ETH-USD", "3320.15", "1.5", 1.1, 0.4, 80, 400, [2]int{2, 8}, [2]int{2, 8}, 1},
		{"SOL-USD", "186.42", "20", 1.4, 0.7, 50, 300, [2]int{2, 8}, [2]int{2, 8}, 2},
		{"XRP-USD", "2.3140", "900", 1.3, 0.9, 40, 300, [2]int{4, 6}, [2]int{5, 8}, 5},
		{"DOGE-USD", "0.32140", "6000", 1.6, 1, 25, 260, [2]int{5, 1}, [2]int{7, 8}, 5},
		{"ADA-USD", "0.9312", "2500", 1.5, 1.2, 15, 240, [2]int{4, 8}, [2]int{6, 8}, 4},
		{"LTC-USD", "104.27", "12", 1.2, 1.5, 10, 220, [2]int{2, 8}, [2]int{2, 8}, 2},
		{"PEPE-USD", "0.0000098450", "12000000", 2.2, 2, 20, 220, [2]int{10, 0}, [2]int{10, 5}, 10},
	}
	specs := make([]CryptoSpec, 0, len(rows))
	for _, r := range rows {
		specs = append(specs, CryptoSpec{Pair: r.pair, Price: r.price, VolBps: r.vol, Venues: []VenueSpec{
			{Coinbase, r.coinbase[0], r.coinbase[1], 1, r.size, r.spread, r.levels, r.rate, 3 * time.Millisecond},
			{Kraken, r.kraken[0], r.kraken[1], 1, r.size, r.spread * 1.2, r.levels + r.levels/2, r.rate * 0.8, 12 * time.Millisecond},
			{Bitfinex, r.other, 8, 1, r.size, r.spread * 1.5, 150, r.rate * 0.4, 25 * time.Millisecond},
			{Bitstamp, r.other, 8, 1, r.size, r.spread * 1.8, 150, r.rate * 0.3, 40 * time.Millisecond},
		}})
	}
	return specs
}

func (s StockSpec) validate() error {
	if s.Symbol == "" {
		return fmt.Errorf("stock without a symbol")
	}
	if p, err := parseFixed(s.Price, 2); err != nil || p == 0 {
		return fmt.Errorf("stock %s: price %q must be positive with at most 2 decimals", s.Symbol, s.Price)
	}
	if s.Rate < 0 || s.VolBps < 0 {
		return fmt.Errorf("stock %s: rate and volatility must not be negative", s.Symbol)
	}
	return nil
}

func (s CryptoSpec) validate() error {
	if len(s.Pair) < 3 || !slices.Contains([]byte(s.Pair), '-') {
		return fmt.Errorf("pair %q must be BASE-QUOTE", s.Pair)
	}
	if p, err := strconv.ParseFloat(s.Price, 64); err != nil || !(p > 0) || p > 1e12 {
		return fmt.Errorf("pair %s: price %q must be a positive number", s.Pair, s.Price)
	}
	seen := map[string]bool{}
	for _, v := range s.Venues {
		if seen[v.Venue] {
			return fmt.Errorf("pair %s: venue %s is named twice", s.Pair, v.Venue)
		}
		seen[v.Venue] = true
		if v.PriceDecimals < 0 || v.PriceDecimals > 12 || v.SizeDecimals < 0 || v.SizeDecimals > 12 {
			return fmt.Errorf("pair %s at %s: decimals must be 0 to 12", s.Pair, v.Venue)
		}
		size, err := parseFixed(v.Size, v.SizeDecimals)
		if err != nil {
			return fmt.Errorf("pair %s at %s: size: %w", s.Pair, v.Venue, err)
		}
		if size > 4e15 {
			return fmt.Errorf("pair %s at %s: size %s is too large for %d decimals", s.Pair, v.Venue, v.Size, v.SizeDecimals)
		}
		if v.Levels < 1 || v.Levels > 5000 {
			return fmt.Errorf("pair %s at %s: levels must be 1 to 5000", s.Pair, v.Venue)
		}
		if v.Tick < 0 || v.Rate < 0 || v.SpreadBps < 0 || v.Lag < 0 {
			return fmt.Errorf("pair %s at %s: tick, rate, spread and lag must not be negative", s.Pair, v.Venue)
		}
	}
	return nil
}
