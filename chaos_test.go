package quotewire_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	chaosSeeds = flag.Int("chaos.seeds", 10, "how many seeds TestChaos runs")
	chaosFirst = flag.Uint64("chaos.first", 1, "the first of these seeds")
	chaosSeed  = flag.Uint64("chaos.seed", 0, "the only seed that TestChaos runs, told in full")
)

// Of each seed's two simulated minutes, the first seconds are without faults, so
// that there is something to lose, and the last are calm, so that all can be
// repaired.
const (
	chaosQuiet = 5 * time.Second
	chaosCalm  = 92 * time.Second
	chaosEnd   = 120 * time.Second
	chaosStep  = 50 * time.Millisecond
)

// TestChaos holds the whole way of the data, from the venues' sockets to the
// updates that the books emit, against random faults. Transports, supervision,
// decoders, books and resyncs are the real ones; only the venues, the network
// and the clock are simulated.
//
// After every update: each venue's book that is live equals the venue's true
// book as it was at some point, and these points never go back; a book that is
// not live shows nothing and takes no part in the consolidated quote, which is
// the best over the live ones. No live book is older than a silence that is
// found. After the faults: every book is live and equals the true one.
//
// A failing seed tells itself and its faults; -chaos.seed=N runs it again. The
// faults are then the same, the jitter of the reconnects is not.
func TestChaos(t *testing.T) {
	seeds := make([]uint64, *chaosSeeds)
	for i := range seeds {
		seeds[i] = *chaosFirst + uint64(i)
	}
	if *chaosSeed != 0 {
		seeds = []uint64{*chaosSeed}
	}
	var total chaosResult
	var mu sync.Mutex
	began := time.Now()
	t.Run("seeds", func(t *testing.T) {
		for _, seed := range seeds {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				var w *chaosWorld
				synctest.Test(t, func(t *testing.T) { w = runChaos(t, seed) })
				if len(w.failures) > 0 || *chaosSeed != 0 {
					t.Log(w.story())
				}
				if len(w.failures) > 0 {
					t.Errorf("seed %d: %d failures, first:\n%s\nrun it again: go test -run '^TestChaos$' -chaos.seed=%d .",
						seed, len(w.failures), strings.Join(w.failures, "\n"), seed)
				}
				mu.Lock()
				defer mu.Unlock()
				total.add(&w.chaosResult, len(w.failures) > 0, seed)
			})
		}
	})
	total.check(t, len(seeds))
	if testing.Verbose() || len(seeds) > 100 {
		fmt.Fprintf(os.Stdout, "%d seeds in %v on %d cores\n%s", len(seeds), time.Since(began).Round(time.Second), runtime.GOMAXPROCS(0), total.String())
	}
}

// runChaos runs one seed within a bubble.
func runChaos(t *testing.T, seed uint64) *chaosWorld {
	w := newChaosWorld(t, seed)
	defer w.close()
	script := w.script()
	for now := time.Duration(0); now < chaosEnd; now += chaosStep {
		for len(script) > 0 && script[0].at <= now {
			w.log("%s", script[0].what)
			script[0].do()
			script = script[1:]
		}
		w.market.Step(chaosStep)
		synctest.Wait()
		w.settle()
		if now%time.Second == 0 {
			w.checkAge()
		}
		time.Sleep(chaosStep)
	}
	synctest.Wait()
	w.checkEnd()
	return w
}

// chaosResult is what is counted of a seed, and summed over seeds.
type chaosResult struct {
	faults   map[string]int             // by kind
	repairs  map[string][]time.Duration // of books, by why they were not trusted
	updates  int                        // checked
	compared int                        // live books with the truth
	frames   int
	refused  int
	resyncs  int
	trusted  time.Duration // summed over books
	lived    time.Duration
	backs    []time.Duration // how far a book went back when another line took over
	failed   []uint64
}

func (r *chaosResult) add(o *chaosResult, failed bool, seed uint64) {
	if r.faults == nil {
		r.faults, r.repairs = map[string]int{}, map[string][]time.Duration{}
	}
	for k, n := range o.faults {
		r.faults[k] += n
	}
	for k, ds := range o.repairs {
		r.repairs[k] = append(r.repairs[k], ds...)
	}
	r.updates += o.updates
	r.compared += o.compared
	r.frames += o.frames
	r.refused += o.refused
	r.resyncs += o.resyncs
	r.trusted += o.trusted
	r.lived += o.lived
	r.backs = append(r.backs, o.backs...)
	if failed {
		r.failed = append(r.failed, seed)
	}
}

// check fails where the run would have proved little.
func (r *chaosResult) check(t *testing.T, seeds int) {
	if r.updates < 1000*seeds {
		t.Errorf("only %d updates in %d seeds", r.updates, seeds)
	}
	if seeds < 10 {
		return
	}
	best := proofNone
	for _, v := range chaosVenues() {
		best = max(best, v.proof)
	}
	for _, k := range chaosKinds() {
		if r.faults[k.name] == 0 && seeds >= 100 && k.needs <= best {
			t.Errorf("no fault of kind %q in %d seeds", k.name, seeds)
		}
	}
	if r.trusted < r.lived/2 {
		t.Errorf("books were trusted for %v of %v only", r.trusted, r.lived)
	}
	for _, cause := range []string{"lost", "mute", "gap", "checksum"} {
		if len(r.repairs[cause]) == 0 {
			t.Errorf("no book was repaired after %q", cause)
		}
	}
}

// String is the table of what happened.
func (r *chaosResult) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d frames (%d refused), %d updates, %d comparisons of a live book with the truth, %d resyncs asked for\n",
		r.frames, r.refused, r.updates, r.compared, r.resyncs)
	fmt.Fprintf(&b, "books trusted %.2f%% of the time; %d changes of line went back, by %v at most\n",
		100*r.trusted.Seconds()/max(r.lived.Seconds(), 1), len(r.backs), maxOf(r.backs))
	b.WriteString("\nfault            ordered\n")
	for _, k := range slices.Sorted(maps.Keys(r.faults)) {
		fmt.Fprintf(&b, "%-16s %7d\n", k, r.faults[k])
	}
	b.WriteString("\nnot trusted, first cause    times   median      p99      max (simulated)\n")
	all := []time.Duration{}
	for _, k := range slices.Sorted(maps.Keys(r.repairs)) {
		fmt.Fprintf(&b, "%-24s %s", k, spread(r.repairs[k]))
		all = append(all, r.repairs[k]...)
	}
	fmt.Fprintf(&b, "%-24s %s", "all", spread(all))
	if len(r.failed) > 0 {
		slices.Sort(r.failed)
		fmt.Fprintf(&b, "\n%d seeds failed: %v\n", len(r.failed), r.failed)
	}
	return b.String()
}

func spread(ds []time.Duration) string {
	if len(ds) == 0 {
		return "      0\n"
	}
	slices.Sort(ds)
	at := func(q float64) time.Duration {
		return ds[int(q*float64(len(ds)-1))].Round(time.Millisecond)
	}
	return fmt.Sprintf("%8d %8v %8v %8v\n", len(ds), at(0.5), at(0.99), at(1))
}

func maxOf(ds []time.Duration) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	return slices.Max(ds)
}
