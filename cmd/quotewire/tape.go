package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/quotewire/quotewire/orderbook"
)

// metaTape is the key under which a capture tells what its tape went by: a replay
// goes by the same.
const metaTape = "tape"

// Bounds of a tapeConfig. Beyond the first the bars of a second would not be kept
// until they are final (30 are); the second is 40 GB a shard.
const (
	maxBarLateness = 20 * time.Second
	maxPrintsKept  = 1_000_000_000
)

// tapeConfig is what bars and corrections go by.
type tapeConfig struct {
	BarLateness *duration `yaml:"bar_lateness" json:"bar_lateness,omitempty"` // nil: the books' default
	PrintsKept  *int      `yaml:"prints_kept" json:"prints_kept,omitempty"`   // nil: the books' default
}

// tape checks what bars and corrections go by.
func (v *checker) tape(c *tapeConfig) {
	if d := c.BarLateness; d != nil {
		v.duration("tape.bar_lateness", *d)
		if d.Duration > maxBarLateness {
			v.bad("tape.bar_lateness", "want 0s to %v, not %v", maxBarLateness, d.Duration)
		}
	}
	if n := c.PrintsKept; n != nil && (*n < 1 || *n > maxPrintsKept) {
		v.bad("tape.prints_kept", "want 1 to %d, not %d", maxPrintsKept, *n)
	}
}

// apply sets what is configured; what is not stays the books' default.
func (c *tapeConfig) apply(b *orderbook.Config) {
	if c.BarLateness != nil {
		b.BarLateness = c.BarLateness.Duration
		if b.BarLateness == 0 {
			b.BarLateness = -1 // 0 is the default there
		}
	}
	if c.PrintsKept != nil {
		b.PrintsKept = *c.PrintsKept
	}
}

// books returns what books go by that this ingest leads frames to. After restore.
func (in *ingest) books() orderbook.Config {
	c := orderbook.Config{Directory: in.dir, Rules: in.quoteRules}
	in.prints.apply(&c)
	return c
}

// restoreTape takes what a capture's header tells of its tape; of several captures,
// what the first tells.
func (in *ingest) restoreTape(text string) error {
	if text == "" || in.prints != (tapeConfig{}) {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &in.prints); err != nil {
		return fmt.Errorf("read the tape in its header: %w", err)
	}
	if d := in.prints.BarLateness; d != nil && d.wrong != "" {
		return fmt.Errorf("read the tape in its header: bar_lateness %q is no duration", d.wrong)
	}
	return nil
}
