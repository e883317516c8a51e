package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// task is one measurement, done by a process of its own.
type task struct {
	Kind      string // closed, rate, dashboard, idle, stall
	Contender string
	N         int
	Window    int           // messages in flight to each connection at most
	Every     time.Duration // between messages at a fixed rate
	Time      time.Duration // measured
	Subs      int           // idle: subscriptions of each connection
	Stalled   int
}

// result is what came out.
type result struct {
	PerSecond float64 // deliveries
	CPU       float64 // server's s per million deliveries
	Busy      float64 // share of its core
	PerWrite  float64 // messages; 0 unknown
	PerRead   float64
	Allocs    float64 // per delivery
	P50, P99  float64 // µs
	More      map[string]float64
}

// measure runs a task in a process pinned to the first core.
func measure(t task) (result, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return result{}, err
	}
	cmd := pinned(0, "one", string(text))
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", coresEnv+"="+strconv.Itoa(runtime.NumCPU()))
	out, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("%s %s, %d connections: %w", t.Kind, t.Contender, t.N, err)
	}
	var r result
	return r, json.Unmarshal(out, &r)
}

// coresEnv tells a pinned process how many cores there are: it sees but its own.
const coresEnv = "BENCH_CORES"

// pinned returns a command that runs this program on one core, if that can be said.
func pinned(core int, args ...string) *exec.Cmd {
	self := must(os.Executable())
	args = append([]string{self}, args...)
	cores := runtime.NumCPU()
	if n, err := strconv.Atoi(os.Getenv(coresEnv)); err == nil {
		cores = n
	}
	if path, err := exec.LookPath("taskset"); err == nil && cores > 1 {
		args = append([]string{path, "-c", fmt.Sprint(core)}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	return cmd
}

// client is the client process of a measurement.
type client struct {
	*page
	cmd *exec.Cmd
	dir string
}

func startClient(spec clientSpec) *client {
	c := &client{dir: must(os.MkdirTemp("", "bench"))}
	spec.Page = filepath.Join(c.dir, "page")
	c.page = must(openPage(spec.Page))
	c.cmd = pinned(1, "client", string(must(json.Marshal(spec))))
	c.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	must(0, c.cmd.Start())
	go func() {
		if err := c.cmd.Wait(); c.Exit.Load() == 0 {
			fmt.Fprintln(os.Stderr, "clients ended:", err)
			os.Exit(1)
		}
	}()
	return c
}

func (c *client) stop() {
	c.Exit.Store(1)
	_ = os.RemoveAll(c.dir)
}

// settle waits until all are connected and nothing more comes.
func (c *client) settle(n int) {
	limit := time.Now().Add(3 * time.Minute)
	for last, since := uint64(0), time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if got := c.Bytes.Load(); got != last || c.Connected.Load() < uint64(n) {
			last, since = got, time.Now()
		}
		if time.Since(since) > 300*time.Millisecond {
			return
		}
		if time.Now().After(limit) {
			panic(fmt.Sprintf("bench: %d of %d connected", c.Connected.Load(), n))
		}
	}
}

// wait waits until so many messages have been received.
func (c *client) wait(n uint64) {
	for limit := time.Now().Add(20 * time.Second); c.Received.Load() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			panic(fmt.Sprintf("bench: %d messages of %d were received", c.Received.Load(), n))
		}
	}
}

// one runs a task in this process and prints its result.
func one(text string) error {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err
	}
	raiseFiles()
	if path := os.Getenv("BENCH_CPUPROFILE"); path != "" {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	var r result
	var err error
	switch t.Kind {
	case "closed", "rate":
		r, err = fanout(t)
	case "dashboard":
		r, err = dashboard(t)
	case "idle":
		r, err = idle(t)
	case "stall":
		r, err = stall(t)
	default:
		err = fmt.Errorf("no task %q", t.Kind)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// raiseFiles lifts the limit of open files as far as it goes.
func raiseFiles() {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) == nil {
		l.Cur = l.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
	}
}

// cpu returns the processor time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident returns the process's RSS in bytes.
func resident() float64 {
	var pages float64
	var total float64
	text := string(must(os.ReadFile("/proc/self/statm")))
	_, _ = fmt.Sscan(strings.TrimSpace(text), &total, &pages)
	return pages * float64(os.Getpagesize())
}
