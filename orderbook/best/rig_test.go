package best_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/orderbook/best"
)

// rig is a real shard whose books a composer sees, and views of what it makes.
type rig struct {
	t     tester
	dir   *market.Directory
	shard *orderbook.Shard
	c     *best.Composer
	views map[string]*orderbook.View
	now   int64
	n     int // updates made
}

type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

func newRig(t tester, fees map[string]string, pairs ...best.Pair) *rig {
	t.Helper()
	r := &rig{t: t, dir: market.NewDirectory(), views: make(map[string]*orderbook.View), now: int64(time.Hour)}
	cfg := best.Config{Directory: r.dir, Epoch: 7, Pairs: pairs, Fees: make(map[string]decimal.Decimal), Sinks: []orderbook.Sink{r}}
	for venue, fee := range fees {
		cfg.Fees[venue] = decimal.RequireFromString(fee)
	}
	var err error
	if r.c, err = best.New(cfg); err != nil {
		t.Fatal(err)
	}
	r.shard = orderbook.NewShard(orderbook.Config{Directory: r.dir, Epoch: 7, Sinks: []orderbook.Sink{r.c.Sink()}})
	return r
}

// Update implements orderbook.Sink.
func (r *rig) Update(u *orderbook.Update) {
	symbol := r.dir.Symbol(u.Instrument)
	v := r.views[symbol]
	if v == nil {
		v = &orderbook.View{}
		r.views[symbol] = v
	}
	r.n++
	if err := v.Apply(u); err != nil || v.Seq != u.Seq {
		r.t.Fatalf("%s: %v", symbol, err)
	}
}

// Flush implements orderbook.Sink.
func (r *rig) Flush() {}

// event applies one event of a venue's own feed.
func (r *rig) event(venue string, e market.Event) {
	r.t.Helper()
	var err error
	if e.Feed, err = r.dir.Feed("feed of " + venue); err != nil {
		r.t.Fatal(err)
	}
	if e.Instrument != 0 {
		if e.Venue, err = r.dir.Venue(venue); err != nil {
			r.t.Fatal(err)
		}
	}
	r.now += int64(time.Millisecond)
	e.Time, e.Received = r.now, r.now
	e.Flags |= market.FlagLast
	r.shard.Apply([]market.Event{e})
}

// quote is a venue's top of book: "100x2" or "-", bid then ask.
func (r *rig) quote(venue, symbol, bid, ask string) {
	r.t.Helper()
	id, err := r.dir.Instrument(symbol, market.ClassCrypto)
	if err != nil {
		r.t.Fatal(err)
	}
	e := market.Event{Kind: market.KindQuote, Instrument: id, PriceDecimals: 8, SizeDecimals: 4}
	for i, text := range [2]string{bid, ask} {
		if text == "-" {
			continue
		}
		p, z, _ := strings.Cut(text, "x")
		price, err1 := market.PriceFromDecimal(decimal.RequireFromString(p), 8)
		size, err2 := market.SizeFromDecimal(decimal.RequireFromString(z), 4)
		if err1 != nil || err2 != nil {
			r.t.Fatal(text, err1, err2)
		}
		if i == 0 {
			e.Price, e.Size = price, size
		} else {
			e.Ask, e.AskSize = price, size
		}
	}
	r.event(venue, e)
}

func (r *rig) down(venue string)  { r.event(venue, market.Event{Kind: market.KindDown}) }
func (r *rig) stale(venue string) { r.event(venue, market.Event{Kind: market.KindStale}) }
func (r *rig) up(venue string)    { r.event(venue, market.Event{Kind: market.KindUp}) }
func (r *rig) alive(venue string) { r.event(venue, market.Event{Kind: market.KindHeartbeat}) }

// show writes the net quote of a pair after a Step: "bid size venues / ask size
// venues", then the legs that are out.
func (r *rig) show(pair string) string {
	r.t.Helper()
	r.c.Step()
	v := r.views[best.Prefix+pair]
	if v == nil {
		return "nothing"
	}
	var b strings.Builder
	side := func(price market.Price, size market.Size, list []orderbook.VenueSize) {
		if size == 0 {
			b.WriteString("-")
			return
		}
		b.WriteString(market.Format(price, v.Scale.Price) + "x" + market.Format(size, v.Scale.Size))
		for _, vs := range list {
			b.WriteString(" " + r.dir.VenueName(vs.Venue))
		}
	}
	side(v.Quote.Bid, v.Quote.BidSize, v.Quote.BidVenues)
	b.WriteString(" / ")
	side(v.Quote.Ask, v.Quote.AskSize, v.Quote.AskVenues)
	var out []string
	for _, w := range v.Venues {
		if !w.State.Live() {
			out = append(out, fmt.Sprintf("%s %v %v", r.dir.VenueName(w.Venue), w.State, w.Cause))
		}
	}
	slices.Sort(out)
	for _, o := range out {
		b.WriteString("; " + o)
	}
	return b.String()
}

func (r *rig) want(pair, want string) {
	r.t.Helper()
	if got := r.show(pair); got != want {
		r.t.Errorf("net %s: %s\nwant %s", pair, got, want)
	}
}

var _ tester = (*testing.T)(nil)
