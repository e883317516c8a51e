package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/streamer"
)

// TestMain makes the test binary serve as the program too, so that tests can run
// it as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("QUOTEWIRE_RUN_MAIN") == "1" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program returns the program as a process, with the given arguments.
func program(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), "QUOTEWIRE_RUN_MAIN=1")
	return cmd
}

// run runs the program in a process of its own and returns its standard output.
func run(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := program(t.Context(), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("quotewire %v: %v\n%s", args, err, stderr.Bytes())
	}
	return out
}

// recording returns the path of a real recording, or skips the test.
func recording(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "..", "..", "..", "shared", "data", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the recording %s is not here; it is not part of the repository", name)
	}
	return path
}

// world returns simulated providers whose market stands still until it is moved.
func world(t *testing.T, cfg sim.MarketConfig) *demoWorld {
	t.Helper()
	d, err := newDemoWorld(slog.New(slog.DiscardHandler), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return d
}

// running is a service that a test started.
type running struct {
	*service
	url  string
	stop func() // ends it and waits
}

// start runs a service with the feeds until the test ends or stop is called.
func start(t *testing.T, feeds []feedConfig, adapt func(*service)) *running {
	t.Helper()
	s := newService(slog.New(slog.DiscardHandler), streamer.Config{})
	s.listen = "127.0.0.1:0"
	for _, f := range feeds {
		if err := s.addFeed(f); err != nil {
			t.Fatal(err)
		}
	}
	if adapt != nil {
		adapt(s)
	}
	addr := make(chan net.Addr, 1)
	s.onListen = func(a net.Addr) { addr <- a }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	r := &running{service: s}
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("service: %v", err)
		}
	}
	t.Cleanup(r.stop)
	select {
	case a := <-addr:
		r.url = "http://" + a.String()
	case err := <-done:
		stopped = true
		cancel()
		t.Fatalf("service: %v", err)
	}
	return r
}

// eventually waits until ok returns nil, and fails with its last error if that
// takes too long.
func eventually(t *testing.T, what string, ok func() error) {
	t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// get reads a JSON answer of the service.
func get(url string, v any) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, resp.Status, body)
	}
	return json.Unmarshal(body, v)
}

// statusBody is what tests read of /v1/status.
type statusBody struct {
	Feeds []struct {
		Feed       string            `json:"feed"`
		State      string            `json:"state"`
		Cause      string            `json:"cause"`
		Reconnects int               `json:"reconnects"`
		Attempts   int               `json:"attempts"`
		NextRetry  int64             `json:"next_retry"`
		Frames     int               `json:"frames"`
		Refused    map[string]uint64 `json:"refused"`
		Samples    []refusedFrame    `json:"refused_frames"`
	} `json:"feeds"`
	Venues []struct {
		Venue       string         `json:"venue"`
		Instruments map[string]int `json:"instruments"`
	} `json:"venues"`
}

// venue returns how many instruments the venue has in the state.
func (s *statusBody) venue(name, state string) int {
	for _, v := range s.Venues {
		if v.Venue == name {
			return v.Instruments[state]
		}
	}
	return 0
}
