package quotewire_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/quotewire/quotewire/feeds/sim"
)

// chaosKind is one kind of fault.
type chaosKind struct {
	name   string
	weight int
	// needs is the proof without which it cannot be known.
	needs chaosProof
	// only is the provider that has it; empty for all.
	only string
	// rest says that it is about answers over REST.
	rest bool
	// beside says that it is about books that begin with such an answer, within
	// about those that begin with an image in the stream.
	beside, within bool
	// stale says that it is an image that is out of date.
	stale bool
	// brief says that it lasts some seconds at most.
	brief bool
	// order returns what to do, what to do when it has lasted, if anything,
	// and its particulars.
	order func(r *rand.Rand, f *chaosFeed, symbol string) (do, end func(), about string)
}

// chaosAct is one line of a seed's script.
type chaosAct struct {
	at   time.Duration
	what string
	do   func()
}

func upTo(r *rand.Rand, n int) int { return 1 + r.IntN(n) }

func chaosKinds() []chaosKind {
	type (
		R = *rand.Rand
		F = *chaosFeed
		D = time.Duration
	)
	return []chaosKind{
		{name: "kill", weight: 4, order: func(_ R, f F, _ string) (func(), func(), string) {
			return f.server.Kill, nil, ""
		}},
		{name: "close", weight: 4, order: func(r R, f F, _ string) (func(), func(), string) {
			code := []int{1000, 1001, 1002, 1006, 1008, 1009, 1011, 1012, 1013, 4000}[r.IntN(10)]
			if code == 1006 { // cannot be sent
				return f.server.Kill, nil, "without a frame"
			}
			return func() { f.server.CloseAll(code) }, nil, fmt.Sprint(code)
		}},
		{name: "evict", weight: 2, order: func(_ R, f F, _ string) (func(), func(), string) {
			return f.server.Evict, nil, ""
		}},
		{name: "refuse", weight: 3, order: func(_ R, f F, _ string) (func(), func(), string) {
			return func() { f.server.RefuseConnections(true); f.server.Kill() }, func() { f.server.RefuseConnections(false) }, ""
		}},
		{name: "unreachable", weight: 3, order: func(_ R, f F, _ string) (func(), func(), string) {
			return func() { f.unreachable.Store(true); f.server.Kill() }, func() { f.unreachable.Store(false) }, ""
		}},
		{name: "mute", weight: 3, order: func(_ R, f F, _ string) (func(), func(), string) {
			return func() { f.muted = true; f.server.Mute(true) }, func() {
				f.muted = false
				if f.venue.proof == proofNone {
					f.server.Kill()
				}
				f.server.Mute(false)
			}, ""
		}},
		{name: "stall", weight: 3, order: func(_ R, f F, _ string) (func(), func(), string) {
			return func() { f.server.Stall(true) }, func() { f.server.Stall(false) }, ""
		}},
		{name: "lag", weight: 2, order: func(r R, f F, _ string) (func(), func(), string) {
			by := D(upTo(r, 900)) * time.Millisecond
			return func() { f.server.Lag(by) }, func() { f.server.Lag(0) }, by.String()
		}},
		{name: "checksum", weight: 4, only: "kraken", order: func(_ R, f F, s string) (func(), func(), string) {
			return func() { f.server.CorruptChecksum(s) }, nil, s
		}},
		{name: "drop", weight: 8, needs: proofChecksum, order: func(r R, f F, s string) (func(), func(), string) {
			n := upTo(r, 4)
			return func() { f.server.DropNext(s, n) }, nil, fmt.Sprint(s, " ", n)
		}},
		{name: "duplicate", weight: 4, order: func(r R, f F, s string) (func(), func(), string) {
			n := upTo(r, 4)
			return func() { f.server.DuplicateNext(s, n) }, nil, fmt.Sprint(s, " ", n)
		}},
		{name: "repeat", weight: 4, needs: proofSequence, order: func(r R, f F, s string) (func(), func(), string) {
			by := D(upTo(r, 1500)) * time.Millisecond
			return func() { f.server.RepeatNext(s, by) }, nil, fmt.Sprint(s, " after ", by)
		}},
		{name: "swap", weight: 4, needs: proofSequence, order: func(_ R, f F, s string) (func(), func(), string) {
			return func() { f.server.SwapNext(s) }, nil, s
		}},
		{name: "delay", weight: 4, needs: proofSequence, order: func(r R, f F, s string) (func(), func(), string) {
			by := D(upTo(r, 1500)) * time.Millisecond
			return func() { f.server.DelayNext(s, by) }, nil, fmt.Sprint(s, " by ", by)
		}},
		{name: "truncate", weight: 6, order: func(r R, f F, s string) (func(), func(), string) {
			n := upTo(r, 2)
			return func() { f.server.TruncateNext(s, n) }, nil, fmt.Sprint(s, " ", n)
		}},
		{name: "lose snapshots", weight: 4, order: func(r R, f F, s string) (func(), func(), string) {
			n := upTo(r, 2)
			return func() { f.server.LoseSnapshots(s, n) }, nil, fmt.Sprint(s, " ", n)
		}},
		// Asked for a book that is well. What was asked for may not come.
		{name: "resync", weight: 4, order: func(r R, f F, s string) (func(), func(), string) {
			lost := r.IntN(2)
			return func() {
				f.server.LoseSnapshots(s, lost)
				f.supervisor.Resync(f.venue.spell(s))
			}, nil, fmt.Sprintf("%s, %d snapshots lost", s, lost)
		}},
		{name: "requests refused", weight: 4, rest: true, order: func(r R, f F, _ string) (func(), func(), string) {
			code, after, n := []int{429, 418, 500, 503, 504}[r.IntN(5)], fmt.Sprint(upTo(r, 4)), upTo(r, 5)
			if code >= 500 && r.IntN(2) == 0 {
				after = ""
			}
			return func() { f.server.RefuseRequests(code, after, n) }, nil, fmt.Sprintf("%d times %d, %q", n, code, after)
		}},
		{name: "requests slow", weight: 3, rest: true, order: func(r R, f F, _ string) (func(), func(), string) {
			by := D(upTo(r, 3000)) * time.Millisecond
			return func() { f.server.SlowRequests(by) }, func() { f.server.SlowRequests(0) }, by.String()
		}},
		{name: "answers late", weight: 4, rest: true, order: func(r R, f F, _ string) (func(), func(), string) {
			by := D(upTo(r, 3000)) * time.Millisecond
			return func() { f.server.LateAnswers(by) }, func() { f.server.LateAnswers(0) }, by.String()
		}},
		// Never long: where nothing was shown of a book that is newer, the age of
		// an old image shows with the next change only.
		{name: "snapshots stale", weight: 4, beside: true, stale: true, needs: proofSequence, brief: true, order: func(_ R, f F, s string) (func(), func(), string) {
			return func() { f.server.FreezeSnapshots(s, true); f.supervisor.Resync(f.venue.spell(s)) },
				func() { f.server.FreezeSnapshots(s, false) }, s
		}},
		{name: "junk", weight: 4, order: func(r R, f F, _ string) (func(), func(), string) {
			b := chaosJunk[r.IntN(len(chaosJunk))]
			return func() {
				if !f.muted { // or it would not be silent
					f.server.SendRaw([]byte(b))
				}
			}, nil, fmt.Sprintf("%.20q", b)
		}},
		// The venue's clock is off: by less than the market's pace, by more than any
		// delay, by more than a day.
		{name: "skew", weight: 3, order: func(r R, f F, _ string) (func(), func(), string) {
			scale := []D{time.Millisecond / 2, 10 * time.Millisecond, time.Second, 2 * time.Minute}[r.IntN(4)]
			by := D(upTo(r, 1000)) * scale
			if f.venue.clocked {
				// What it can show, see chaosVenue. Whole steps, so that a change
				// from one skew to another is one too.
				by = by.Truncate(chaosClock) + chaosClock
			}
			if r.IntN(2) == 0 {
				by = -by
			}
			return func() { f.server.Skew(by) }, func() { f.server.Skew(0) }, by.String()
		}},
		{name: "second snapshot", weight: 3, within: true, order: func(_ R, f F, s string) (func(), func(), string) {
			return func() {
				if err := f.server.SecondSnapshot(s); err != nil {
					panic(err) // the table says that it has them
				}
			}, nil, s
		}},
		{name: "half open", weight: 2, order: func(_ R, f F, _ string) (func(), func(), string) {
			return f.server.HalfOpen, nil, ""
		}},
		{name: "unknown type", weight: 3, order: func(_ R, f F, _ string) (func(), func(), string) {
			return func() {
				if !f.muted { // or it would not be silent
					f.server.SendUnknown()
				}
			}, nil, ""
		}},
		{name: "oversized", weight: 1, order: func(_ R, f F, _ string) (func(), func(), string) {
			return func() { f.server.SendRaw(oversized()) }, nil, ""
		}},
	}
}

// chaosClock is by how much the clock of a venue that is clocked steps at least.
const chaosClock = time.Minute

// oversized is larger than any transport takes, and is made once.
var oversized = sync.OnceValue(func() []byte { return make([]byte, 33<<20) })

var chaosJunk = []string{
	"", "{", "}", "null", "[]", "{}", "0", `"text"`, "\x00\xff\xfe", `{"channel":"book"}`, `{"type":"l2update"}`,
	`{"channel":"weather","type":"update","data":[{"t":1}]}`, `{"type":"weather","product_id":"BTC-USD"}`,
	`{"channel":"book","type":"update","data":[{"symbol":"NO/SUCH","bids":[{"price":1,"qty":1}],"asks":[]}]}`,
	`{"type":"l2update","product_id":"NO-SUCH","changes":[["buy","1","1"]],"time":"2026-01-01T00:00:00.000000Z"}`,
	`{"error":"Internal error","success":false}`, `{"type":"error","message":"Internal error","reason":""}`,
	`[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[`,
}

// script draws the faults of the seed.
func (w *chaosWorld) script() (acts []chaosAct) {
	r := w.rnd
	kinds := chaosKinds()
	weights := 0
	for _, k := range kinds {
		weights += k.weight
	}
	add := func(at time.Duration, do func(), format string, args ...any) {
		acts = append(acts, chaosAct{at.Truncate(chaosStep), fmt.Sprintf(format, args...), do})
	}
	for n := (5 + r.IntN(25)) * len(w.feeds); n > 0; {
		f := w.feeds[r.IntN(len(w.feeds))]
		u := r.IntN(weights)
		i := 0
		for ; u >= kinds[i].weight; i++ {
			u -= kinds[i].weight
		}
		k := kinds[i]
		if k.needs > f.venue.proof || k.rest && !f.venue.rest || k.beside && !f.venue.beside || k.within && f.venue.beside || k.stale && f.venue.gullible || k.only != "" && k.only != f.venue.provider {
			continue
		}
		n--
		symbols := w.market.Symbols(f.venue.name)
		at := chaosQuiet + time.Duration(r.Int64N(int64(chaosCalm-chaosQuiet)))
		do, end, about := k.order(r, f, symbols[r.IntN(len(symbols))])
		w.faults[k.name]++
		if end == nil {
			add(at, do, "%s: %s %s", f.name, k.name, about)
			continue
		}
		lasts := min(time.Duration(r.ExpFloat64()*float64(8*time.Second)), 25*time.Second, chaosCalm-at).Truncate(chaosStep) + chaosStep
		if k.brief {
			lasts = min(lasts, 5*time.Second)
		}
		add(at, do, "%s: %s %s for %v", f.name, k.name, about, lasts)
		add(at+lasts, end, "%s: end of %s", f.name, k.name)
	}
	for _, f := range w.feeds {
		add(chaosCalm, func() { calm(f.server, w.market.Symbols(f.venue.name)) }, "%s: calm", f.name)
	}
	slices.SortStableFunc(acts, func(a, b chaosAct) int { return int(a.at - b.at) })
	return acts
}

// calm takes back what has been ordered and has not happened.
func calm(s *sim.Server, symbols []string) {
	for _, symbol := range symbols {
		s.DropNext(symbol, 0)
		s.DuplicateNext(symbol, 0)
		s.TruncateNext(symbol, 0)
		s.LoseSnapshots(symbol, 0)
		s.DelayNext(symbol, 0)
		s.RepeatNext(symbol, 0)
		s.FreezeSnapshots(symbol, false)
	}
	s.RefuseRequests(0, "", 0)
	s.SlowRequests(0)
	s.LateAnswers(0)
	s.Skew(0)
}
