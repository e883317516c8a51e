package bus

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/quotewire/quotewire/bus/busv1"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// barSink is a sink that keeps each bar as it was told last, and how many prints and
// snapshots it was told.
type barSink struct {
	*views
	bars      map[string]orderbook.Bar // by interval and start
	trades    int
	snapshots int
}

func newBarSink(v *views) *barSink { return &barSink{views: v, bars: make(map[string]orderbook.Bar)} }

func (s *barSink) Update(u *orderbook.Update) {
	s.views.Update(u)
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot := u.Changed&orderbook.ChangedSnapshot != 0
	if snapshot {
		s.snapshots++
	} else {
		s.trades += len(u.Trades)
	}
	for _, b := range u.Bars {
		key := fmt.Sprint(b.Interval, " ", b.Start)
		if was, ok := s.bars[key]; ok && snapshot {
			b.Seq = was.Seq // a snapshot does not tell when its latest bar changed last
		}
		s.bars[key] = b
	}
}

// tapeFeed is a feed of prints of BTC-USD, of which some updates are lost on the way.
type tapeFeed struct {
	*feed
	told     *barSink
	from, to atomic.Uint64 // positions that are lost: after from, up to to
}

func startTapeFeed(t *testing.T, url string) *tapeFeed {
	t.Helper()
	f := &tapeFeed{}
	f.feed = startFeed(t, url, 7, func(c *PublisherConfig, p *Publisher) {
		c.Heartbeat = 10 * time.Second // nothing here is about silence
		if p == nil {
			return
		}
		p.lose = func(subject string, data []byte) bool {
			var u busv1.Update
			return strings.Contains(subject, ".update.") && proto.Unmarshal(data, &u) == nil && u.Seq > f.from.Load() && u.Seq <= f.to.Load()
		}
	})
	f.told = newBarSink(newViews(t, f.dir))
	f.shard = orderbook.NewShard(orderbook.Config{Directory: f.dir, Epoch: 7, Sinks: []orderbook.Sink{f.views, f.told, f.pub.Sink()}})
	return f
}

// print applies a print that came at so many ms of a day, late by so many.
func (f *tapeFeed) print(t *testing.T, ms, late int64) {
	t.Helper()
	e := market.Event{Kind: market.KindTrade, Feed: feedBook, Venue: 1, Instrument: mustLookup(t, f.dir, "BTC-USD"),
		Price: market.Price(1000 + ms%7), Size: 1 + market.Size(ms%3), Flags: market.FlagLast}
	e.Received = time.Date(2026, 1, 8, 15, 0, 0, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond).UnixNano()
	e.Time = e.Received - late*int64(time.Millisecond)
	f.shard.Apply([]market.Event{e})
}

// Bars that changed in updates that were lost are at a gateway as they are at the node
// all the same, if they are not too many.
func TestBarsOfLostUpdates(t *testing.T) {
	type print struct{ ms, late int64 }
	var minute []print
	for i := range int64(60) {
		minute = append(minute, print{4000 + i*1000, 0})
	}
	for name, tt := range map[string]struct {
		lost      []print
		after     bool   // an update follows; else the node's list tells
		snapshots int    // that come
		prints    int    // and beside them
		missing   string // interval of which all but the latest are
	}{
		"none":              {after: true, prints: 4},
		"one":               {lost: []print{{2500, 0}}, after: true, snapshots: 1, prints: 3},
		"the last":          {lost: []print{{2500, 0}}, prints: 4}, // which the snapshot still has
		"the last two":      {lost: []print{{2500, 0}, {2600, 1500}}, snapshots: 1, prints: 3},
		"several":           {lost: []print{{2500, 0}, {2600, 700}, {3100, 0}, {3200, 3000}, {4300, 0}}, after: true, snapshots: 1, prints: 3},
		"those of a minute": {lost: minute, after: true, snapshots: 1, prints: 3, missing: "1s"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := startServer(t, ServerConfig{})
			f := startTapeFeed(t, srv.URL())
			var told *barSink
			g := startGateway(t, srv.URL(), func(c *SubscriberConfig) {
				told = newBarSink(newViews(t, c.Directory))
				c.Sinks = []orderbook.Sink{told}
			})
			g.views = told.views
			g.wait(t, "the node", func() bool { return len(g.sub.Status().Nodes) == 1 && g.sub.Status().Nodes[0].Alive })
			for _, ms := range []int64{100, 1100, 2100} {
				f.print(t, ms, 0)
			}
			g.waitEqual(t, f.feed)
			f.from.Store(3)
			f.to.Store(3 + uint64(len(tt.lost)))
			for _, p := range tt.lost {
				f.print(t, p.ms, p.late)
			}
			if tt.after {
				f.print(t, 65_000, 0)
			} else {
				for end := time.Now().Add(patience); f.pub.Status().Published < f.to.Load(); runtime.Gosched() {
					if time.Now().After(end) {
						t.Fatal("timeout: the publisher does not come to what is lost")
					}
				}
				g.inside(func(s *Subscriber) { s.askList() })
			}
			g.waitEqual(t, f.feed)
			g.mu.Lock()
			defer g.mu.Unlock()
			if told.snapshots != tt.snapshots || told.trades != tt.prints {
				t.Errorf("%d snapshots and %d prints, want %d and %d", told.snapshots, told.trades, tt.snapshots, tt.prints)
			}
			before := 3
			for _, key := range slices.Sorted(maps.Keys(f.told.bars)) {
				want := f.told.bars[key]
				if tt.missing != "" && strings.HasPrefix(key, tt.missing) && want.Seq != f.to.Load()+1 {
					if before--; before < 0 {
						want = orderbook.Bar{} // a part of what was lost would look like all of it
					}
				}
				if got := told.bars[key]; got != want {
					t.Errorf("bar %s is %+v, want %+v", key, got, want)
				}
			}
		})
	}
}

// What is kept of bars is what changed last, whatever changed in between, and it says
// how far back that goes.
func TestRecentBars(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 5))
		var kept recent
		var seq, image [orderbook.NumIntervals]uint64 // the latter as of the last image
		var changes []orderbook.Bar                   // all, in order
		scale := market.Scale{Price: 2, Size: 2}
		for n := range 300 {
			u := &orderbook.Update{Seq: uint64(n + 1), Changed: orderbook.ChangedBars, Scale: scale}
			was := scale
			switch rng.IntN(60) {
			case 0: // an image: only how many changes there were is known
				u.Changed |= orderbook.ChangedSnapshot
				changes = nil
				for i := range seq {
					seq[i]++
					u.Bars = append(u.Bars, orderbook.Bar{Interval: orderbook.Interval(i), Seq: seq[i], Start: 7})
				}
				image = seq
				kept.note(u, was)
				continue
			case 1: // a finer scale
				if scale.Price < 6 {
					scale.Price++
				}
				u.Scale = scale
				for i := range changes {
					changes[i].Rescale(was, scale)
				}
			}
			for i := range seq {
				if rng.IntN(2) == 0 {
					seq[i]++
					b := orderbook.Bar{Interval: orderbook.Interval(i), Seq: seq[i], Start: int64(n/4 - rng.IntN(3)), Open: market.Price(rng.IntN(1000))}
					u.Bars = append(u.Bars, b)
					changes = append(changes, b)
				}
			}
			kept.note(u, was)
			if n%20 != 0 {
				continue
			}

			data := kept.append(nil)
			var m busv1.Update
			if err := proto.Unmarshal(data, &m); err != nil || len(m.ProtoReflect().GetUnknown()) > 0 {
				t.Fatal(err)
			}
			if again, err := (proto.MarshalOptions{Deterministic: true}).Marshal(&m); err != nil || !bytes.Equal(again, data) {
				t.Fatalf("generated code writes\n%x, %v\nwe write\n%x", again, err, data)
			}
			dec := newDecoder(market.NewDirectory())
			whole := encoder{dir: dec.dir}
			if _, err := dec.update(append(whole.update(nil, "A", 0, u), data...), &orderbook.Update{}); err != nil {
				t.Fatal(err)
			}
			for i := range seq {
				interval := orderbook.Interval(i)
				for since := uint64(0); since <= seq[i]; since++ {
					last := make(map[int64]orderbook.Bar)
					for _, b := range changes {
						if b.Interval == interval && b.Seq > since {
							last[b.Start] = b
						}
					}
					want := slices.SortedFunc(maps.Values(last), func(a, b orderbook.Bar) int { return cmp.Compare(a.Seq, b.Seq) })
					got, ok := dec.recent[i].since(nil, since)
					if ok && (since < image[i] || !slices.Equal(got, want)) || !ok && len(got) > 0 {
						t.Fatalf("seed %d: %v since %d: %+v, want %+v", seed, interval, since, got, want)
					}
					if !ok && since >= image[i] && len(want) > 0 && len(want) <= recentKept[i]-2 {
						t.Fatalf("seed %d: %v since %d: %d bars changed, and not all are kept", seed, interval, since, len(want))
					}
				}
				if got := len(kept[i].bars); got > recentKept[i] {
					t.Fatalf("%d bars of %v are kept", got, interval)
				}
			}
		}
	}
}

// Of an interval of which a bar does not fit a finer scale none is kept.
func TestRecentBarsThatDoNotFit(t *testing.T) {
	var kept recent
	u := &orderbook.Update{Seq: 2, Bars: []orderbook.Bar{{Interval: orderbook.Second, Seq: 1, Open: 5}, {Interval: orderbook.Minute, Seq: 1, Open: 1 << 62}}}
	kept.note(u, market.Scale{})
	kept.note(&orderbook.Update{Seq: 3, Scale: market.Scale{Price: 3}}, market.Scale{})
	if got, ok := kept[orderbook.Second].since(nil, 0); !ok || len(got) != 1 || got[0].Open != 5000 {
		t.Errorf("%+v, %v", got, ok)
	}
	kept.note(&orderbook.Update{Seq: 4, Scale: market.Scale{Price: 3}, Bars: []orderbook.Bar{{Interval: orderbook.Minute, Seq: 2, Start: 1}}}, market.Scale{Price: 3})
	for since, want := range map[uint64]bool{0: false, 1: true} {
		if got, ok := kept[orderbook.Minute].since(nil, since); ok != want || len(got) == 1 != want {
			t.Errorf("since %d: %+v, %v", since, got, ok)
		}
	}
}

func TestRecentBarsDecode(t *testing.T) {
	bar := func(interval busv1.Interval, seq uint64) *busv1.Bar { return &busv1.Bar{Interval: interval, Seq: seq} }
	dec := newDecoder(market.NewDirectory())
	for name, tt := range map[string]struct {
		bars  *busv1.RecentBars
		ok    bool
		taken int // of the interval of a minute
	}{
		"two":                {&busv1.RecentBars{Interval: busv1.Interval_INTERVAL_1M, After: 3, Bars: []*busv1.Bar{bar(1, 4), bar(1, 6)}}, true, 2},
		"of a later version": {&busv1.RecentBars{Interval: 77, Bars: []*busv1.Bar{bar(77, 4)}}, true, 0},
		"another's":          {&busv1.RecentBars{Interval: busv1.Interval_INTERVAL_1M, Bars: []*busv1.Bar{bar(1, 4), bar(2, 6)}}, false, 0},
		"out of order":       {&busv1.RecentBars{Interval: busv1.Interval_INTERVAL_1M, Bars: []*busv1.Bar{bar(1, 6), bar(1, 4)}}, false, 0},
		"twice":              {&busv1.RecentBars{Interval: busv1.Interval_INTERVAL_1M, Bars: []*busv1.Bar{bar(1, 6), bar(1, 6)}}, false, 0},
	} {
		data := marshal(t, &busv1.Update{Symbol: "A", Node: "n", Epoch: 1, Seq: 1, RecentBars: []*busv1.RecentBars{tt.bars}})
		if _, err := dec.update(data, &orderbook.Update{}); (err == nil) != tt.ok || tt.ok && len(dec.recent[orderbook.Minute].bars) != tt.taken {
			t.Errorf("%s: %v, %+v", name, err, dec.recent)
		}
	}
}

// While an instrument waits for a snapshot no watermark passes it: what was missed may
// have changed bars that would be final by it. One that is shown as what it is keeps
// no bars final elsewhere from being told.
func TestWatermarkWaitsForSnapshot(t *testing.T) {
	h := startByHand(t, nil)
	mark := func(until int64) {
		h.publish("quotewire.v1.watermark.feed-9", marshal(t, &busv1.Watermark{Node: "feed-9", Epoch: 5, Until: until}))
	}
	is := func(what string, until, marked int64) {
		t.Helper()
		h.until(what, func(s *Subscriber) bool {
			if s.marked > marked {
				t.Errorf("%s: %d was told, want %d", what, s.marked, marked)
				return true
			}
			return s.until == until && s.marked == marked
		})
	}
	mark(10)
	is("at first", 10, 10)
	h.publish("quotewire.v1.update.BTC-USD", h.update(3, 0))
	m, err := h.requests.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	mark(11)
	is("with a gap", 11, 10)
	h.publish(m.Reply, h.update(3, orderbook.ChangedSnapshot))
	is("after the snapshot", 11, 11)
	h.publish("quotewire.v1.update.BTC-USD", h.update(5, 0))
	if _, err = h.requests.NextMsg(patience); err != nil {
		t.Fatal(err)
	}
	mark(12)
	is("with another gap", 12, 11)
	h.inside(func(s *Subscriber) {
		h.clock = h.clock.Add(missedHeartbeats * handBeat)
		h.beat()
	})
	is("shown as resyncing", 12, 12)
	h.inside(func(s *Subscriber) {
		if s.count.Blanks != 1 || s.count.NodesLost != 0 {
			t.Errorf("%+v", s.count)
		}
	})
}

// tellSink writes down what it is told.
type tellSink struct {
	*views
	told []string
}

func (s *tellSink) Update(u *orderbook.Update) {
	s.views.Update(u)
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprintf("%d/%d", u.Epoch, u.Seq)
	if u.Changed&orderbook.ChangedSnapshot != 0 {
		text += " whole"
	}
	if u.Changed&orderbook.ChangedBars != 0 {
		for _, b := range u.Bars {
			text += fmt.Sprintf(" %s:%d", b.Interval, b.Seq)
		}
	}
	text += fmt.Sprintf(" prints %d", u.TradeSeq)
	if u.Changed&orderbook.ChangedTrades != 0 {
		text += fmt.Sprintf("+%d", len(u.Trades))
	}
	s.told = append(s.told, text)
}

// What comes of a snapshot that skips updates: 5/1 with five prints and the third
// change of bars of a second was before.
func TestSkippedUpdates(t *testing.T) {
	second := func(after uint64, seqs ...uint64) *busv1.RecentBars {
		m := &busv1.RecentBars{After: after}
		for _, seq := range seqs {
			m.Bars = append(m.Bars, &busv1.Bar{Seq: seq, Start: int64(seq)})
		}
		return m
	}
	for name, tt := range map[string]struct {
		snapshot *busv1.Update // beside what all have
		want     string
	}{
		"all bars are there": {&busv1.Update{Epoch: 5, Seq: 9, TradeSeq: 8, Bars: []*busv1.Bar{{Seq: 6}}, RecentBars: []*busv1.RecentBars{second(2, 3, 5, 6)}},
			"5/2 1s:5 1s:6 prints 5, 5/9 whole 1s:6 prints 8+1"},
		"some are not": {&busv1.Update{Epoch: 5, Seq: 9, TradeSeq: 8, Bars: []*busv1.Bar{{Seq: 6}, {Interval: 1, Seq: 2}},
			RecentBars: []*busv1.RecentBars{second(4, 5, 6), {Interval: 1, Bars: []*busv1.Bar{{Interval: 1, Seq: 2}}}}},
			"5/2 1m:2 prints 5, 5/9 whole 1s:6 1m:2 prints 8+1"},
		"an older node's":           {&busv1.Update{Epoch: 5, Seq: 9, TradeSeq: 8, Bars: []*busv1.Bar{{Seq: 6}}}, "5/9 whole 1s:6 prints 8+1"},
		"no bar changed":            {&busv1.Update{Epoch: 5, Seq: 9, TradeSeq: 5, Bars: []*busv1.Bar{{Seq: 3}}, RecentBars: []*busv1.RecentBars{second(0, 2, 3)}}, "5/9 whole 1s:3 prints 5+1"},
		"another epoch's":           {&busv1.Update{Epoch: 6, Seq: 9, TradeSeq: 8, Bars: []*busv1.Bar{{Seq: 6}}, RecentBars: []*busv1.RecentBars{second(0, 3, 5, 6)}}, "6/9 whole 1s:6 prints 8+1"},
		"at a finer scale":          {&busv1.Update{Epoch: 5, Seq: 9, TradeSeq: 8, PriceDecimals: 3, Bars: []*busv1.Bar{{Seq: 6}}, RecentBars: []*busv1.RecentBars{second(0, 3, 5, 6)}}, "5/9 whole 1s:6 prints 8+1"},
		"the next":                  {&busv1.Update{Epoch: 5, Seq: 2, TradeSeq: 6, Bars: []*busv1.Bar{{Seq: 5}}, RecentBars: []*busv1.RecentBars{second(0, 2, 4, 5)}}, "5/2 1s:4 1s:5 prints 6+1"},
		"the next, no print":        {&busv1.Update{Epoch: 5, Seq: 2, TradeSeq: 5, Bars: []*busv1.Bar{{Seq: 3}}}, "5/2 prints 5"},
		"the next, bars missing":    {&busv1.Update{Epoch: 5, Seq: 2, TradeSeq: 6, Bars: []*busv1.Bar{{Seq: 5}}, RecentBars: []*busv1.RecentBars{second(4, 5)}}, "5/2 whole 1s:5 prints 6+1"},
		"the next, a print missing": {&busv1.Update{Epoch: 5, Seq: 2, TradeSeq: 7, Bars: []*busv1.Bar{{Seq: 3}}}, "5/2 whole 1s:3 prints 7+1"},
	} {
		t.Run(name, func(t *testing.T) {
			var told *tellSink
			h := startByHand(t, func(_ string, c *SubscriberConfig) {
				told = &tellSink{views: newViews(t, c.Directory)}
				c.Sinks = []orderbook.Sink{told}
			})
			send := func(m *busv1.Update, what string, n int) {
				t.Helper()
				m.Symbol, m.Node = "ETH-USD", "feed-9"
				m.Changed |= uint32(orderbook.ChangedBars | orderbook.ChangedTrades)
				m.Trades = []*busv1.Trade{{Price: 7}}
				h.publish("quotewire.v1.update.ETH-USD", marshal(t, m))
				h.until(what, func(*Subscriber) bool { return told.updates >= n })
			}
			send(&busv1.Update{Epoch: 5, Seq: 1, TradeSeq: 5, Bars: []*busv1.Bar{{Seq: 3}}}, "the first", 2)
			tt.snapshot.Changed = uint32(orderbook.ChangedSnapshot)
			send(tt.snapshot, tt.want, 3+strings.Count(tt.want, ","))
			told.mu.Lock()
			defer told.mu.Unlock()
			if got := strings.Join(told.told[2:], ", "); got != tt.want {
				t.Errorf("told %s, want %s", got, tt.want)
			}
		})
	}
}
