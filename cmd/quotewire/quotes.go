package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// metaQuotes is the key under which a capture tells what its quotes went by: a
// replay goes by the same.
const metaQuotes = "quotes"

// quoteConfig is what the consolidated quotes of some symbols go by.
type quoteConfig struct {
	Symbols        []string `yaml:"symbols" json:"symbols"`
	MinVenues      int      `yaml:"min_venues" json:"min_venues,omitempty"`
	MinSize        string   `yaml:"min_size" json:"min_size,omitempty"`
	Settle         duration `yaml:"settle" json:"settle"`
	ReferencePrice string   `yaml:"reference_price" json:"reference_price,omitempty"`

	rules orderbook.QuoteRules
}

// read turns what was written into rules.
func (q *quoteConfig) read() error {
	var errs []error
	if len(q.Symbols) == 0 {
		errs = append(errs, errors.New("symbols is missing; list them, such as [BTC-USD, ETH-*]"))
	}
	for _, s := range q.Symbols {
		if err := wire.CheckPattern(s); err != nil {
			errs = append(errs, err)
		}
	}
	if q.MinVenues < 0 {
		errs = append(errs, fmt.Errorf("min_venues: want 0 or more, not %d", q.MinVenues))
	}
	r := &q.rules
	r.MinVenues, r.Settle = q.MinVenues, q.Settle.Duration
	var err error
	if q.MinSize != "" {
		if r.MinSize, r.MinSizeDecimals, err = market.ParseSize(q.MinSize); err != nil || r.MinSize < 0 {
			errs = append(errs, fmt.Errorf("min_size: want a size such as \"0.01\", not %q", q.MinSize))
		}
	}
	if q.ReferencePrice != "" {
		if r.ReferencePrice, r.ReferenceDecimals, err = market.ParsePrice(q.ReferencePrice); err != nil || r.ReferencePrice <= 0 {
			errs = append(errs, fmt.Errorf("reference_price: want a price such as \"512.30\", not %q", q.ReferencePrice))
		}
	}
	return errors.Join(errs...)
}

// quotes checks the entries.
func (v *checker) quotes(c *config) {
	for i := range c.Quotes {
		at := fmt.Sprintf("quotes[%d]", i)
		v.duration(at+".settle", c.Quotes[i].Settle)
		if err := c.Quotes[i].read(); err != nil {
			v.bad(at, "%v", err)
		}
	}
}

// quoteRules returns what an instrument's quote goes by: the first entry that
// takes in its symbol.
func (in *ingest) quoteRules(of market.Instrument) orderbook.QuoteRules {
	for i := range in.quotes {
		if slices.ContainsFunc(in.quotes[i].Symbols, func(p string) bool { return wire.Match(p, of.Symbol) }) {
			return in.quotes[i].rules
		}
	}
	return orderbook.QuoteRules{}
}

// restoreQuotes takes what a capture's header tells of quotes; of several
// captures, what the first tells.
func (in *ingest) restoreQuotes(text string) error {
	if text == "" || in.quotes != nil {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &in.quotes); err != nil {
		return fmt.Errorf("read the quotes in its header: %w", err)
	}
	for i := range in.quotes {
		if err := in.quotes[i].read(); err != nil {
			return fmt.Errorf("read the quotes in its header: %w", err)
		}
	}
	return nil
}
