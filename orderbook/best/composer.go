package best

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// Prefix begins the symbols of net quotes.
const Prefix = "net:"

// AnyVenue is the key of [Config.Fees] for venues that have no fee of their own.
const AnyVenue = "*"

// Pair is what a net quote is made of.
type Pair struct {
	// Symbol is the pair, BASE-CURRENCY: what is traded and the currency that
	// its prices are told in.
	Symbol string
	// Currencies are those of the other markets that count, BASE-X for each X.
	Currencies []string
}

// Config is what a [Composer] needs. Directory, Epoch and Pairs are required.
type Config struct {
	Directory *market.Directory
	// Epoch identifies this run, as [orderbook.Config.Epoch] does.
	Epoch uint64
	Pairs []Pair
	// Fees are the venues' taker fees, as a part of the amount: 0.0026 is
	// 0.26 %. A venue that has none, where there is none of [AnyVenue], does not
	// count: nobody knows what its price is worth.
	Fees map[string]decimal.Decimal
	// Interval is the least time between two updates of a quote; default 10 ms.
	Interval time.Duration
	// Sinks get the updates, in the goroutine of Run.
	Sinks []orderbook.Sink
}

func (c *Config) validate() error {
	var errs []error
	if c.Directory == nil {
		errs = append(errs, errors.New("want a directory"))
	}
	if c.Epoch == 0 {
		errs = append(errs, errors.New("want an epoch other than 0"))
	}
	for venue, fee := range c.Fees {
		if err := CheckFee(fee); err != nil {
			errs = append(errs, fmt.Errorf("fee of %s: %w", venue, err))
		}
	}
	seen := make(map[string]bool)
	for _, p := range c.Pairs {
		if err := p.Check(); err != nil {
			errs = append(errs, err)
		}
		if seen[p.Symbol] {
			errs = append(errs, fmt.Errorf("pair %s is there twice", p.Symbol))
		}
		seen[p.Symbol] = true
	}
	return errors.Join(errs...)
}

// CheckFee reports why a number cannot be a fee: it is a part of the amount, at
// least 0 and less than 1, with at most 9 decimals.
func CheckFee(fee decimal.Decimal) error {
	if fee.IsNegative() || fee.GreaterThanOrEqual(decimal.NewFromInt(1)) || !fee.Equal(fee.Truncate(9)) {
		return fmt.Errorf("%v: want a part such as 0.0026, below 1 and with at most 9 decimals", fee)
	}
	return nil
}

// Check reports why a pair cannot be one.
func (p *Pair) Check() error {
	base, currency, ok := strings.Cut(p.Symbol, "-")
	if !ok || base == "" || currency == "" || strings.Contains(currency, "-") || market.CheckSymbol(Prefix+p.Symbol) != nil {
		return fmt.Errorf("pair %q: want a symbol such as BTC-USD", p.Symbol)
	}
	seen := map[string]bool{currency: true}
	for _, c := range p.Currencies {
		if market.CheckSymbol(c) != nil || strings.ContainsAny(c, "-:") {
			return fmt.Errorf("pair %s: %q is no currency", p.Symbol, c)
		}
		if seen[c] {
			return fmt.Errorf("pair %s: currency %s is there twice", p.Symbol, c)
		}
		seen[c] = true
	}
	return nil
}

// Composer makes net quotes from the updates of shards. What the shards say comes
// in through the sinks that [Composer.Sink] returns; everything else belongs to
// the goroutine that calls Run, or Step.
type Composer struct {
	cfg     Config
	nets    []*net
	markets map[string]*source // what quotes are made of, by symbol

	in inbox
}

// inbox is where the sinks leave the tops of books, and Step finds them: the
// newest of each market, whatever was there before.
type inbox struct {
	signal chan struct{}

	mu    sync.Mutex // over what follows, and over source.next
	fresh []*source  // markets whose next is new
}

// New returns a composer, and registers the instruments that it makes.
func New(cfg Config) (*Composer, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("net quotes: %w", err)
	}
	if cfg.Interval == 0 {
		cfg.Interval = 10 * time.Millisecond
	}
	c := &Composer{cfg: cfg, markets: make(map[string]*source), in: inbox{signal: make(chan struct{}, 1)}}
	for _, p := range cfg.Pairs {
		n, err := c.newNet(p)
		if err != nil {
			return nil, fmt.Errorf("net quotes: pair %s: %w", p.Symbol, err)
		}
		c.nets = append(c.nets, n)
	}
	return c, nil
}

// market returns the place of a market that a net quote is made of.
func (c *Composer) market(symbol string, n *net) *source {
	s := c.markets[symbol]
	if s == nil {
		s = &source{symbol: symbol}
		c.markets[symbol] = s
	}
	s.nets = append(s.nets, n)
	return s
}

// Run makes quotes until ctx ends, and returns its error.
func (c *Composer) Run(ctx context.Context) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-c.in.signal:
		case <-ctx.Done():
			return ctx.Err()
		}
		select { // what comes in meanwhile is taken with it
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		c.Step()
		pause.Reset(c.cfg.Interval)
	}
}

// Step makes the quotes that what came in since the last Step changes, and hands
// over their updates: what Run does, for a caller that has no goroutine for it.
func (c *Composer) Step() {
	at, any := c.take()
	if !any {
		return
	}
	for _, n := range c.nets {
		if n.touched {
			n.touched = false
			c.make(n, at)
		}
	}
	for _, k := range c.cfg.Sinks {
		k.Flush()
	}
}

// moment is when a message happened, and when it reached us, ns since the Unix
// epoch.
type moment struct{ time, received int64 }

// take takes in what the sinks left, and marks the quotes that it may change.
func (c *Composer) take() (last moment, any bool) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	for _, s := range c.in.fresh {
		s.isFresh = false
		s.tops, s.next = s.next, s.tops[:0]
		s.at = s.nextAt
		s.version++
		if s.at.received >= last.received {
			last = s.at
		}
		for _, n := range s.nets {
			n.touched = true
		}
	}
	any = len(c.in.fresh) > 0
	c.in.fresh = c.in.fresh[:0]
	return last, any
}
