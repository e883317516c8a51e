package orderbook

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
)

const (
	streamFeeds       = 3
	streamVenues      = 3
	streamInstruments = 3

	streamStart = 1767625200 * int64(time.Second) // 2026-01-05 15:00 UTC, in regular hours
)

// drawStream draws messages of several feeds that carry the same venues, with
// gaps, losses, snapshots and changing decimals, and applies them to the model.
// each, if not nil, is called with every message once the model has seen it.
func drawStream(t *rapid.T, each func(*model, []market.Event)) [][]market.Event {
	m := newModel()
	var out [][]market.Event
	n := rapid.IntRange(1, 60).Draw(t, "messages")
	for i := range n {
		events := drawMessage(t, streamStart+int64(i+1)*int64(time.Millisecond))
		m.message(events)
		out = append(out, events)
		if each != nil {
			each(m, events)
		}
	}
	return out
}

func drawMessage(t *rapid.T, now int64) []market.Event {
	word := rapid.SampledFrom([]string{
		"snapshot", "snapshot", "snapshot", "levels", "levels", "levels", "levels", "levels", "quote", "nbbo", "trade",
		"clear", "status", "gap", "up", "down", "stale", "heartbeat", "quote", "nbbo", "halt", "luld", "imbalance",
	}).Draw(t, "word")
	head := market.Event{
		Feed:       market.FeedID(rapid.IntRange(1, streamFeeds).Draw(t, "feed")),
		Venue:      market.VenueID(rapid.IntRange(1, streamVenues).Draw(t, "venue")),
		Instrument: market.InstrumentID(rapid.SampledFrom([]int{1, 1, 1, 2, streamInstruments}).Draw(t, "instrument")),
		Received:   now, Time: now,
	}
	events := []market.Event{}
	add := func(k market.Kind) *market.Event {
		e := head
		e.Kind = k
		events = append(events, e)
		return &events[len(events)-1]
	}
	levels := func(n int) {
		for range rapid.IntRange(0, n).Draw(t, "levels") {
			e := add(market.KindLevel)
			e.Side = rapid.SampledFrom([]market.Side{market.SideBid, market.SideAsk}).Draw(t, "side")
			drawNumbers(t, e, e.Side)
			if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
				e.Size = 0
			}
		}
		switch rapid.IntRange(0, 5).Draw(t, "sum") {
		case 0:
			add(market.KindChecksum).Sequence = 1 // the model makes it a wrong one
		case 1, 2:
			add(market.KindChecksum)
		}
	}
	switch word {
	case "snapshot":
		e := add(market.KindClear)
		e.Flags = market.FlagSnapshot
		e.Depth = rapid.SampledFrom([]uint16{0, 1, 3}).Draw(t, "depth")
		levels(8)
	case "clear":
		add(market.KindClear)
		levels(3)
	case "levels":
		levels(4)
		if len(events) == 0 {
			add(market.KindHeartbeat)
		}
	case "quote", "nbbo":
		e := add(market.KindQuote)
		drawNumbers(t, e, market.SideBid)
		d := *e
		drawNumbers(t, &d, market.SideAsk)
		e.Ask, _ = market.Rescale(d.Price, d.PriceDecimals, 4)
		e.AskSize, _ = market.Rescale(d.Size, d.SizeDecimals, 4)
		e.Price, _ = market.Rescale(e.Price, e.PriceDecimals, 4)
		e.Size, _ = market.Rescale(e.Size, e.SizeDecimals, 4)
		e.PriceDecimals, e.SizeDecimals = 4, 4
		if rapid.IntRange(0, 5).Draw(t, "bid absent") == 0 {
			e.Size = 0
		}
		if rapid.IntRange(0, 5).Draw(t, "ask absent") == 0 {
			e.AskSize = 0
		}
		if rapid.IntRange(0, 2).Draw(t, "conditions") == 0 {
			e.NumConditions = 1
			e.Conditions[0] = market.Condition(rapid.SampledFrom([]int{0, 1, 3, 4, 5, 20, 32, 43, 200}).Draw(t, "condition"))
		}
		if word == "nbbo" {
			e.Flags, e.BidVenue, e.AskVenue = market.FlagNBBO, 8, 9
		}
	case "trade":
		drawNumbers(t, add(market.KindTrade), market.SideBid)
	case "status":
		add(market.KindStatus).Status = rapid.SampledFrom([]market.TradingStatus{
			market.StatusTrading, market.StatusTrading, market.StatusHalted}).Draw(t, "status")
	case "halt":
		e := add(market.KindStatus)
		e.Flags = market.FlagNBBO
		e.Status = rapid.SampledFrom([]market.TradingStatus{market.StatusTrading, market.StatusTrading, market.StatusHalted,
			market.StatusRestricted}).Draw(t, "status")
		e.ID, _ = market.MakeTradeID(rapid.SampledFrom([]string{"", "T12"}).Draw(t, "reason"))
	case "luld":
		e := add(market.KindLULD)
		e.PriceDecimals = market.Decimals(rapid.IntRange(0, 2).Draw(t, "price decimals"))
		f := market.Price(market.Pow10(e.PriceDecimals))
		if rapid.Bool().Draw(t, "below") { // the upper band at the bids
			e.Low, e.High = f*market.Price(rapid.IntRange(90, 95).Draw(t, "low")), f*market.Price(rapid.IntRange(96, 101).Draw(t, "high"))
			break
		}
		e.Low, e.High = f*market.Price(rapid.IntRange(92, 102).Draw(t, "low")), f*market.Price(rapid.IntRange(102, 108).Draw(t, "high"))
	case "imbalance":
		e := add(market.KindImbalance)
		drawNumbers(t, e, market.SideAsk)
		e.Side = rapid.SampledFrom([]market.Side{market.SideNone, market.SideBid, market.SideAsk}).Draw(t, "side")
	case "gap":
		switch rapid.IntRange(0, 3).Draw(t, "scope") {
		case 0:
			head.Venue = 0
		case 1:
			head.Instrument = 0
		case 2:
			head.Instrument, head.Venue = 0, 0
		}
		add(market.KindGap)
	default:
		head.Instrument, head.Venue = 0, 0
		add(map[string]market.Kind{"up": market.KindUp, "down": market.KindDown, "stale": market.KindStale,
			"heartbeat": market.KindHeartbeat}[word])
	}
	events[len(events)-1].Flags |= market.FlagLast
	return events
}

// drawNumbers sets price and size: bids mostly under 100, asks mostly over, at
// changing decimals, each price written in several ways.
func drawNumbers(t *rapid.T, e *market.Event, side market.Side) {
	e.PriceDecimals = market.Decimals(rapid.IntRange(0, 4).Draw(t, "price decimals"))
	e.SizeDecimals = market.Decimals(rapid.IntRange(0, 4).Draw(t, "size decimals"))
	ticks := rapid.IntRange(93, 100).Draw(t, "price")
	if side == market.SideAsk {
		ticks = rapid.IntRange(100, 107).Draw(t, "price")
		if rapid.IntRange(0, 9).Draw(t, "through") == 0 {
			ticks -= 5
		}
	}
	e.Price = market.Price(int64(ticks) * market.Pow10(e.PriceDecimals))
	if e.PriceDecimals > 0 && rapid.IntRange(0, 4).Draw(t, "odd") == 0 {
		e.Price++
	}
	e.Size = market.Size(int64(rapid.IntRange(1, 4).Draw(t, "size")) * market.Pow10(e.SizeDecimals))
	if streamSymbols[e.Instrument].lot > 1 {
		e.Size *= 35 // odd lots and round ones
	}
	if rapid.IntRange(0, 4).Draw(t, "odd size") == 0 {
		e.Size++
	}
}

// TestShardEqualsModel: after every message, quote, depth, states, ticker and
// resyncs asked for are those of the model; the updates tell all that changed and
// nothing else (rig); a view made from a snapshot is the same view.
func TestShardEqualsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var asks []string
		r := newRig(t, Config{
			ResyncAgain: time.Hour, Rules: streamRules,
			Resync: func(f market.FeedID, in market.InstrumentID, c Cause) {
				asks = append(asks, fmt.Sprintln(f, in, c))
			},
		})
		registerStream(r.dir)
		var joined [streamInstruments + 1]*View // by a snapshot in the middle
		r.onUpdate = func(u *Update) {
			if w := joined[u.Instrument]; w != nil {
				if err := w.Apply(u); err != nil {
					t.Fatalf("view from a snapshot: %v", err)
				}
			}
		}
		drawStream(t, func(m *model, events []market.Event) {
			r.apply(events)
			if r.err != nil {
				t.Fatal(r.err)
			}
			if strings.Join(asks, "") != strings.Join(m.asks, "") {
				t.Fatalf("asked for %q, want %q", asks, m.asks)
			}
			for in := market.InstrumentID(1); in <= streamInstruments; in++ {
				v := r.views[in]
				if v == nil {
					v = &View{}
				}
				if err := m.compare(in, v); err != nil {
					t.Fatal(err)
				}
				if w := joined[in]; w != nil && v.Seq > 0 {
					w.heads, v.heads = nil, nil
					if err := sameView(w, v); err != nil {
						t.Fatalf("view from a snapshot: %v", err)
					}
				}
				if v.Seq > 0 && rapid.IntRange(0, 9).Draw(t, "join") == 0 {
					var u Update
					v.Snapshot(&u)
					w := joined[in]
					if w == nil {
						w = &View{}
						joined[in] = w
					}
					if err := w.Apply(&u); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	})
}

// sameView compares all of two views, but for what makes no difference: which of
// several equal forms an empty slice has.
func sameView(a, b *View) error {
	var x, y Update
	a.Snapshot(&x)
	b.Snapshot(&y)
	var p, q Update
	x.CopyTo(&p)
	y.CopyTo(&q)
	if !reflect.DeepEqual(p, q) {
		return fmt.Errorf("%+v, want %+v", p, q)
	}
	return nil
}

// collector keeps a copy of every update by instrument.
type collector struct {
	mu      sync.Mutex
	updates map[market.InstrumentID][]*Update
}

func (c *collector) Update(u *Update) {
	d := new(Update)
	u.CopyTo(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.updates == nil {
		c.updates = map[market.InstrumentID][]*Update{}
	}
	c.updates[u.Instrument] = append(c.updates[u.Instrument], d)
}

func (c *collector) Flush() {}

// TestSameEventsSameUpdates: the updates are a function of the events, whether
// messages come one by one, in one batch, or through an engine of one or several
// shards.
func TestSameEventsSameUpdates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		messages := drawStream(t, nil)
		dir := market.NewDirectory()
		registerStream(dir)
		run := func(apply func(sink Sink, cfg Config)) map[market.InstrumentID][]*Update {
			c := &collector{}
			apply(c, Config{Directory: dir, Epoch: 7, Rules: streamRules})
			return c.updates
		}
		want := run(func(sink Sink, cfg Config) {
			cfg.Sinks = []Sink{sink}
			s := NewShard(cfg)
			for _, m := range messages {
				s.Apply(m)
			}
		})
		batch := run(func(sink Sink, cfg Config) {
			cfg.Sinks = []Sink{sink}
			var all []market.Event
			for _, m := range messages {
				all = append(all, m...)
			}
			NewShard(cfg).Apply(all)
		})
		if d := difference(batch, want); d != "" {
			t.Fatalf("in one batch: %s", d)
		}
		for _, n := range []int{1, 3} {
			got := run(func(sink Sink, cfg Config) { runEngine(t, cfg, sink, n, messages) })
			if d := difference(got, want); d != "" {
				t.Fatalf("%d shards: %s", n, d)
			}
		}
	})
}

// difference describes the first update that is not the same.
func difference(got, want map[market.InstrumentID][]*Update) string {
	for id := market.InstrumentID(1); id <= streamInstruments; id++ {
		g, w := got[id], want[id]
		for i := range max(len(g), len(w)) {
			if i >= len(g) || i >= len(w) {
				return fmt.Sprintf("instrument %d: %d updates, want %d", id, len(g), len(w))
			}
			if !reflect.DeepEqual(g[i], w[i]) {
				return fmt.Sprintf("instrument %d: %+v\nwant %+v", id, *g[i], *w[i])
			}
		}
	}
	return ""
}

func runEngine(t interface{ Fatal(...any) }, cfg Config, sink Sink, shards int, messages [][]market.Event) {
	e := NewEngine(cfg, shards, func(int) []Sink { return []Sink{sink} })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	for _, m := range messages {
		b := e.Batch()
		b.Events = append(b.Events, m...)
		if err := e.Submit(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != context.Canceled {
		t.Fatal(err)
	}
}

// TestLadderEqualsMap: a ladder is a map of prices, read in order.
func TestLadderEqualsMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side := rapid.SampledFrom([]market.Side{market.SideBid, market.SideAsk}).Draw(t, "side")
		l, m := NewLadder(side), map[market.Price]market.Size{}
		wide := rapid.SampledFrom([]int{3, 20, 200}).Draw(t, "width")
		if rapid.Bool().Draw(t, "loaded") {
			for range rapid.IntRange(0, 3*wide).Draw(t, "pushes") {
				p := market.Price(rapid.IntRange(-wide, wide).Draw(t, "price"))
				z := market.Size(rapid.IntRange(0, 3).Draw(t, "size"))
				l.push(p, z)
				m[p] = z
				if z == 0 {
					delete(m, p)
				}
			}
			l.sort()
		}
		for range rapid.IntRange(1, 50).Draw(t, "sets") {
			p := market.Price(rapid.IntRange(-wide, wide).Draw(t, "price"))
			z := market.Size(rapid.IntRange(0, 3).Draw(t, "size"))
			if got, want := l.Set(p, z), m[p] != z; got != want {
				t.Fatalf("Set(%d, %d) = %v with %d there", p, z, got, m[p])
			}
			m[p] = z
			if z == 0 {
				delete(m, p)
			}
			if rapid.IntRange(0, 9).Draw(t, "truncate") == 0 {
				n := rapid.IntRange(0, 20).Draw(t, "to")
				var last *Level
				l.Truncate(n, func(lv Level) {
					if m[lv.Price] != lv.Size || last != nil && !l.better(lv.Price, last.Price) {
						t.Fatalf("dropped %v after %v", lv, last)
					}
					delete(m, lv.Price)
					last = &lv
				})
				if l.Len() > n || last != nil && l.Len() != n {
					t.Fatalf("%d levels left of %d", l.Len(), n)
				}
				if best, ok := l.Best(); ok && last != nil && !l.better(l.At(l.Len()-1).Price, last.Price) {
					t.Fatalf("dropped %v, kept %v", last, best)
				}
			}
			if l.Len() != len(m) {
				t.Fatalf("%d levels, want %d", l.Len(), len(m))
			}
			top := l.AppendTop(nil, rapid.IntRange(0, 5).Draw(t, "top"))
			for i, lv := range l.AppendTop(nil, 0) {
				if m[lv.Price] != lv.Size || i > 0 && !l.better(l.At(i-1).Price, lv.Price) || l.At(i) != lv || i < len(top) && top[i] != lv {
					t.Fatalf("level %d is %v in %v", i, lv, l.levels)
				}
			}
		}
	})
}

// TestLadderDiff: what diff hands out leads from one ladder to the other.
func TestLadderDiff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side := rapid.SampledFrom([]market.Side{market.SideBid, market.SideAsk}).Draw(t, "side")
		draw := func() Ladder {
			l := NewLadder(side)
			for range rapid.IntRange(0, 12).Draw(t, "levels") {
				l.Set(market.Price(rapid.IntRange(0, 15).Draw(t, "price")), market.Size(rapid.IntRange(0, 2).Draw(t, "size")))
			}
			return l
		}
		a, b := draw(), draw()
		was := NewLadder(side)
		was.levels = append(was.levels, a.levels...)
		was.diff(&b, func(lv Level) {
			if !a.Set(lv.Price, lv.Size) {
				t.Fatalf("%v changes nothing", lv)
			}
		})
		if len(a.levels) != len(b.levels) || len(a.levels) > 0 && !reflect.DeepEqual(a.levels, b.levels) {
			t.Fatalf("%v, want %v", a.levels, b.levels)
		}
	})
}
