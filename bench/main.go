package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 2 && args[0] == "one" {
		return one(args[1])
	}
	if len(args) == 2 && args[0] == "client" {
		raiseFiles()
		return runClient(args[1])
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	rounds := flags.Int("rounds", 3, "rounds of each measurement; the best of a closed loop and the medians at a fixed rate are printed, by processor time")
	took := flags.Duration("time", 2*time.Second, "time of each measurement")
	sizes := flags.String("n", "100,1000,5000", "numbers of connections in the closed loop")
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		args = append([]string{"peers"}, args...)
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "peers":
		var ns []int
		for s := range strings.SplitSeq(*sizes, ",") {
			var n int
			if _, err := fmt.Sscan(s, &n); err != nil {
				return fmt.Errorf("-n: %w", err)
			}
			ns = append(ns, n)
		}
		if err := closedLoop(ns, *rounds, *took); err != nil {
			return err
		}
		return fixedRate(*rounds, *took)
	case "rate":
		return fixedRate(*rounds, *took)
	case "dashboard":
		return screens(*took)
	case "memory":
		return memory()
	case "stall":
		return stalls(*took)
	}
	return fmt.Errorf("no measurement %q: peers, rate, dashboard, memory, stall", args[0])
}

// best returns the result with the least processor time: what disturbs a machine only
// adds to it, and kernels have moods, twice as slow, in which a whole run may be.
func best(rs []result) result {
	return slices.MinFunc(rs, func(a, b result) int { return cmp.Compare(a.CPU, b.CPU) })
}

// median returns the result with the median of processor time.
func median(rs []result) result {
	slices.SortFunc(rs, func(a, b result) int { return cmp.Compare(a.CPU, b.CPU) })
	return rs[len(rs)/2]
}

// measureAll measures the tasks in turn, several times, so that what disturbs one
// disturbs the others too.
func measureAll(tasks []task, rounds int, choose func([]result) result) ([]result, error) {
	all := make([][]result, len(tasks))
	for range rounds {
		for i, t := range tasks {
			r, err := measure(t)
			if err != nil {
				// One that cannot keep its clients does not end the others' run.
				fmt.Fprintln(os.Stderr, "bench:", err)
				continue
			}
			all[i] = append(all[i], r)
		}
	}
	out := make([]result, len(tasks))
	for i := range all {
		if len(all[i]) > 0 {
			out[i] = choose(all[i])
		}
	}
	return out, nil
}

func closedLoop(ns []int, rounds int, took time.Duration) error {
	for _, n := range ns {
		window := map[bool]int{true: 256, false: 128}[n <= 100]
		if n > 2000 {
			window = 64
		}
		t := task{Kind: "closed", N: n, Window: window, Time: took}
		t.Contender = "quotewire"
		first, err := measure(t) // to know its batch
		if err != nil {
			return err
		}
		size := len(textFrame(sample()))
		k := max(1, min(int(first.PerWrite+0.5), window, (64<<10)/size))
		names := []string{"tcp 1", "tcp 16", fmt.Sprintf("tcp %d", k), "nats", "centrifuge", "centrifuge delay", "quotewire"}
		tasks := make([]task, len(names))
		for i, name := range names {
			tasks[i] = t
			tasks[i].Contender = name
		}
		rs, err := measureAll(tasks, rounds, best)
		if err != nil {
			return err
		}
		fmt.Printf("\n### Closed loop, %d connections, %d-byte messages, at most %d in flight to each (the best of %d)\n\n", n, len(sample()), window, rounds)
		fmt.Println("| contender | deliveries/s | CPU s per million | core busy | messages a write | messages a read | allocations a delivery |")
		fmt.Println("| --- | --: | --: | --: | --: | --: | --: |")
		for i, r := range rs {
			fmt.Printf("| %s | %.0f | %.3f | %.0f%% | %s | %.1f | %.2f |\n", names[i], r.PerSecond, r.CPU, 100*r.Busy, known(r.PerWrite), r.PerRead, r.Allocs)
		}
		q := rs[len(rs)-1]
		fmt.Printf("\nQuotewire against: %s\n", strings.Join([]string{
			ratio("plain TCP at the same batch", q, rs[2], 0.8), ratio("NATS WebSocket", q, rs[3], 5), ratio("centrifuge", q, rs[4], 8), ratio("centrifuge with delay", q, rs[5], 0),
		}, "; "))
	}
	return nil
}

func known(f float64) string {
	if f == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f", f)
}

func ratio(name string, ours, theirs result, aim float64) string {
	if theirs.PerSecond == 0 {
		return name + " failed"
	}
	s := fmt.Sprintf("%s %.2f by deliveries, %.2f by CPU", name, ours.PerSecond/theirs.PerSecond, theirs.CPU/ours.CPU)
	if aim > 0 {
		s += fmt.Sprintf(" (aim %g)", aim)
	}
	return s
}

func fixedRate(rounds int, took time.Duration) error {
	names := []string{"tcp 1", "nats", "centrifuge", "quotewire"}
	for _, load := range []struct {
		n     int
		every time.Duration
	}{{1000, 10 * time.Millisecond}, {10, time.Millisecond}} {
		var tasks []task
		for _, name := range names {
			tasks = append(tasks, task{Kind: "rate", Contender: name, N: load.n, Every: load.every, Time: took})
		}
		rs, err := measureAll(tasks, rounds, median)
		if err != nil {
			return err
		}
		fmt.Printf("\n### %d connections, %d messages/s to each (medians of %d by CPU)\n\n", load.n, time.Second/load.every, rounds)
		fmt.Println("| contender | deliveries/s | CPU s per million | p50 ms | p99 ms | messages a write |")
		fmt.Println("| --- | --: | --: | --: | --: | --: |")
		for i, r := range rs {
			fmt.Printf("| %s | %.0f | %.2f | %.3f | %.3f | %s |\n", names[i], r.PerSecond, r.CPU, r.P50/1000, r.P99/1000, known(r.PerWrite))
		}
		q, tcp := rs[len(rs)-1], rs[0]
		fmt.Printf("\nQuotewire against plain TCP: CPU %.2f, p50 %.2f, p99 %.2f (aim 1.15)\n", q.CPU/tcp.CPU, q.P50/tcp.P50, q.P99/tcp.P99)
	}
	return nil
}

func screens(took time.Duration) error {
	for _, n := range []int{1000, 2500, 5000} {
		r, err := measure(task{Kind: "dashboard", N: n, Time: max(took, 8*time.Second)})
		if err != nil {
			return err
		}
		fmt.Printf("\n### Dashboard: %d clients × 100 symbols of 2,000, 20 changes a second each, at 250 ms\n\n", n)
		fmt.Printf("deliveries/s %.0f, server %.0f%% of a core, CPU s per million %.3f, messages a write %.1f, lag since the last change p50 %.1f ms, p99 %.1f ms\n",
			r.PerSecond, 100*r.Busy, r.CPU, r.PerWrite, r.P50/1000, r.P99/1000)
		print(r.More)
	}
	return nil
}

func memory() error {
	const n, subs = 10_000, 20
	var per [2]float64
	for i, s := range []int{0, subs} {
		r, err := measure(task{Kind: "idle", N: n, Subs: s})
		if err != nil {
			return err
		}
		per[i] = r.More["RSS/connection after collection"]
		fmt.Printf("\n### %d idle connections with %d subscriptions each\n\n", n, s)
		print(r.More)
	}
	fmt.Printf("\na connection %.0f bytes of RSS (aim 8192), a subscription %.0f (aim 100)\n", per[0], (per[1]-per[0])/subs)
	return nil
}

func stalls(took time.Duration) error {
	r, err := measure(task{Kind: "stall", N: 2000, Stalled: 1000, Time: max(took, time.Minute)})
	if err != nil {
		return err
	}
	fmt.Print("\n### 2,000 clients × 20 symbols of 200, 20 changes a second each, at 100 ms; 1,000 do not read in phase 2\n\n")
	print(r.More)
	return nil
}

func print(more map[string]float64) {
	names := make([]string, 0, len(more))
	for name := range more {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Printf("- %s: %.4g\n", name, more[name])
	}
}
