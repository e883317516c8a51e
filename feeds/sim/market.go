package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// quantum is the longest stretch of simulated time that is worked out at once:
// everything that happens to a symbol within it reaches the servers before the
// next symbol's. Short enough that venues lead and follow within one Step.
const quantum = 5 * time.Millisecond

// MarketConfig says which market to simulate. The zero value is a good one.
type MarketConfig struct {
	// Seed chooses the market: the same seed, symbols and Step calls give the
	// same market to the byte.
	Seed uint64
	// Start is the first simulated instant; zero means now.
	Start time.Time
	// Stocks and Cryptos are what is traded. Nil means DefaultStocks and
	// DefaultCryptos, empty but not nil means none.
	Stocks  []StockSpec
	Cryptos []CryptoSpec
	// Rate multiplies the activity of everything; 0 means 1.
	Rate float64
}

// Market is the simulated market that the servers show. Its methods may be
// called from any goroutine. Subscribers are called with the market locked, in
// the goroutine that steps it, so that what they see and what Book answers
// belong to the same instant.
type Market struct {
	mu         sync.Mutex
	seed       uint64
	start, now int64 // Unix nanoseconds
	rate       float64
	cryptos    []*crypto
	stocks     []*stock
	byPair     map[string]*crypto
	bySymbol   map[string]*stock
	sinks      []sink
}

// sink is told what happens in the market, in order, with Market.mu held.
type sink interface {
	onBook(v *venue, c *change)         // something happened in a crypto venue's book
	onStockTrade(s *stock, t *print)    // a stock traded
	onStockQuote(s *stock)              // a stock's NBBO changed
	onBar(s *stock, minute bool, b bar) // a bar of a stock ended
	onTick(now int64)                   // a quantum ended
}

// NewMarket makes a market whose books are full and that has not traded yet.
func NewMarket(cfg MarketConfig) (*Market, error) {
	if cfg.Stocks == nil {
		cfg.Stocks = DefaultStocks()
	}
	if cfg.Cryptos == nil {
		cfg.Cryptos = DefaultCryptos()
	}
	if cfg.Start.IsZero() {
		cfg.Start = time.Now()
	}
	if cfg.Rate == 0 {
		cfg.Rate = 1
	}
	if cfg.Rate < 0 {
		return nil, errors.New("simulated market: rate must not be negative")
	}
	m := &Market{
		seed: cfg.Seed, start: cfg.Start.UnixNano(), now: cfg.Start.UnixNano(), rate: cfg.Rate,
		byPair: map[string]*crypto{}, bySymbol: map[string]*stock{},
	}
	for _, s := range cfg.Cryptos {
		if err := s.validate(); err != nil {
			return nil, fmt.Errorf("simulated market: %w", err)
		}
		if m.byPair[s.Pair] != nil {
			return nil, fmt.Errorf("simulated market: pair %s is named twice", s.Pair)
		}
		c := newCrypto(cfg.Seed, s, m.now)
		m.cryptos = append(m.cryptos, c)
		m.byPair[s.Pair] = c
	}
	for _, s := range cfg.Stocks {
		if err := s.validate(); err != nil {
			return nil, fmt.Errorf("simulated market: %w", err)
		}
		if m.bySymbol[s.Symbol] != nil {
			return nil, fmt.Errorf("simulated market: stock %s is named twice", s.Symbol)
		}
		st := newStock(cfg.Seed, s, m.now)
		m.stocks = append(m.stocks, st)
		m.bySymbol[s.Symbol] = st
	}
	return m, nil
}

// Now is the simulated time.
func (m *Market) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Unix(0, m.now).UTC()
}

// Step lets d of simulated time pass. Servers have queued what came of it for
// their connections when it returns.
func (m *Market) Step(d time.Duration) {
	for d > 0 {
		q := min(d, quantum)
		m.stepQuantum(int64(q))
		d -= q
	}
}

func (m *Market) stepQuantum(d int64) {
	// The lock is let go between quanta, so that a long Step does not keep out
	// those who connect or order a fault.
	m.mu.Lock()
	defer m.mu.Unlock()
	act := m.activity() * m.rate
	dt := float64(d) / 1e9
	for _, c := range m.cryptos {
		c.step(m, m.now, d, dt, act)
	}
	for _, s := range m.stocks {
		s.step(m, m.now, d, dt, act)
	}
	m.now += d
	for _, s := range m.stocks {
		s.roll(m, m.now)
	}
	for _, k := range m.sinks {
		k.onTick(m.now)
	}
}

// activity is the time of day's share in the activity: four times the quiet
// hour's at the open, then falling, rising again towards the close 6.5 h later.
func (m *Market) activity() float64 {
	const session = 6.5 * 3600
	t := float64(m.now-m.start) / 1e9
	for t >= session {
		t -= session
	}
	o := 1 + t/90
	c := 1 + (session-t)/600
	return 1 + 3/(o*o) + 1.5/(c*c)
}

// Run steps the market in real time, every 20 ms, until ctx ends; it returns
// nil then. Where the machine cannot keep up for more than a second, the
// simulated clock jumps on and nothing happens in what was jumped over.
func (m *Market) Run(ctx context.Context) error {
	const every = 20 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	began, simBegan := time.Now(), m.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		due := simBegan.Add(time.Since(began)).Sub(m.Now())
		if due > time.Second {
			m.mu.Lock()
			m.now += int64(due - every)
			m.mu.Unlock()
			due = every
		}
		for ; due >= every && ctx.Err() == nil; due -= every {
			m.Step(every)
		}
	}
}

// Level is one price of a book, as exact decimal text.
type Level struct{ Price, Size string }

// Book is the true book of a symbol at a venue, best price first: the whole
// book of a pair at Coinbase, Kraken, Bitfinex or Bitstamp, or the one level a
// side of a stock at NBBO. Prices and sizes have all the decimals of the venue,
// trailing zeros included. Both are nil where the venue does not trade the
// symbol.
func (m *Market) Book(venue, symbol string) (bids, asks []Level) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if venue == NBBO {
		s := m.bySymbol[symbol]
		if s == nil {
			return nil, nil
		}
		q := s.nbbo()
		text := func(p, n int64) []Level {
			return []Level{{string(appendFixed(nil, p, 2)), string(appendFixed(nil, n, 0))}}
		}
		return text(q.bid, q.bidSize), text(q.ask, q.askSize)
	}
	v := m.venue(venue, symbol)
	if v == nil {
		return nil, nil
	}
	text := func(l *ladder) []Level {
		out := make([]Level, 0, len(l.lv))
		for i := range l.lv {
			out = append(out, Level{
				string(appendFixed(nil, l.at(i).price, v.spec.PriceDecimals)),
				string(appendFixed(nil, l.at(i).size, v.spec.SizeDecimals)),
			})
		}
		return out
	}
	return text(&v.bids), text(&v.asks)
}

// Trades is how many trades of a symbol a venue has printed since the start.
func (m *Market) Trades(venue, symbol string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if venue == NBBO {
		if s := m.bySymbol[symbol]; s != nil {
			return s.trades
		}
		return 0
	}
	if v := m.venue(venue, symbol); v != nil {
		return v.trades
	}
	return 0
}

// Symbols is what a venue trades, in the order of the configuration; the stocks
// for NBBO.
func (m *Market) Symbols(venue string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	if venue == NBBO {
		for _, s := range m.stocks {
			out = append(out, s.spec.Symbol)
		}
		return out
	}
	for _, c := range m.cryptos {
		if c.at(venue) != nil {
			out = append(out, c.spec.Pair)
		}
	}
	return out
}

// venue finds a pair at a venue, or nil; BTC/USD means BTC-USD.
func (m *Market) venue(name, pair string) *venue {
	if c := m.byPair[strings.Replace(pair, "/", "-", 1)]; c != nil {
		return c.at(name)
	}
	return nil
}

func (m *Market) attach(k sink) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sinks = append(m.sinks, k)
}

func (m *Market) detach(k sink) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, have := range m.sinks {
		if have == k {
			m.sinks = append(m.sinks[:i:i], m.sinks[i+1:]...)
			return
		}
	}
}
