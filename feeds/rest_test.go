package feeds_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/feedtest"
)

// restServer answers requests within a bubble and notes when they came.
type restServer struct {
	*feeds.REST
	began time.Time

	mu   sync.Mutex
	seen []string // "seconds path"
}

func newRESTServer(t *testing.T, c feeds.RESTConfig, answer func(w http.ResponseWriter, path string, n int)) *restServer {
	p := feedtest.NewPipe()
	c.NetDial = p.Dial
	s := &restServer{REST: feeds.NewREST(c), began: time.Now()}
	hs := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, fmt.Sprintf("%g %s", time.Since(s.began).Seconds(), r.URL.Path))
		n := len(s.seen)
		s.mu.Unlock()
		answer(w, r.URL.Path, n)
	})}
	served := make(chan struct{})
	go func() { defer close(served); _ = hs.Serve(p) }()
	t.Cleanup(func() {
		s.CloseIdle()
		_ = p.Close()
		_ = hs.Close()
		<-served
	})
	return s
}

func (s *restServer) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

func (s *restServer) want(t *testing.T, want ...string) {
	t.Helper()
	if got := s.all(); !slices.Equal(got, want) {
		t.Errorf("requests %q, want %q", got, want)
	}
}

func TestRESTKeepsToItsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRESTServer(t, feeds.RESTConfig{PerMinute: 600, Burst: 100}, func(w http.ResponseWriter, path string, _ int) {
			fmt.Fprint(w, "body of ", path)
		})
		var wg sync.WaitGroup
		for range 5 { // 50 each: two at once, then one each 5 s
			wg.Go(func() {
				body, err := s.Get(t.Context(), "http://x/depth", 50)
				if err != nil || string(body) != "body of /depth" {
					t.Errorf("%q, %v", body, err)
				}
			})
		}
		wg.Wait()
		s.want(t, "0 /depth", "0 /depth", "5 /depth", "10 /depth", "15 /depth")
		// More than the burst is not for ever.
		if _, err := s.Get(t.Context(), "http://x/all", 5000); err != nil {
			t.Error(err)
		}
		if got := s.all()[5]; got != "25 /all" {
			t.Errorf("the last came at %s", got)
		}
	})
}

func TestRESTHeedsRefusals(t *testing.T) {
	for _, tt := range []struct {
		name, retryAfter string
		code             int
		wait             time.Duration
		final            bool
	}{
		{"told", "30", 429, 30 * time.Second, false},
		{"not told", "", 429, time.Minute, false},
		{"banned", "", 418, 2 * time.Minute, false},
		{"at a time", "Sat, 01 Jan 2000 00:00:10 GMT", 503, 10 * time.Second, false},
		{"absurd", "99999999", 429, 15 * time.Minute, false},
		{"not there", "", 404, 0, true},
		{"broken", "", 500, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newRESTServer(t, feeds.RESTConfig{PerMinute: 60000, Burst: 1000}, func(w http.ResponseWriter, _ string, n int) {
					if n == 1 {
						w.Header().Set("Retry-After", tt.retryAfter)
						http.Error(w, strings.Repeat("no ", 1000), tt.code)
					}
				})
				_, err := s.Get(t.Context(), "http://x/a", 1)
				status, ok := errors.AsType[*feeds.StatusError](err)
				if !ok || status.Code != tt.code || status.RetryAfter != tt.wait || status.Final() != tt.final || len(err.Error()) > 400 {
					t.Errorf("got %v (%+v)", err, status)
				}
				if _, err := s.Get(t.Context(), "http://x/b", 1); err != nil {
					t.Error(err)
				}
				s.want(t, "0 /a", fmt.Sprintf("%g /b", tt.wait.Seconds()))
			})
		})
	}
}

// A wait that the provider asked for is not made shorter by another answer, which
// was on its way meanwhile, and holds for those too that already waited for the
// budget when it came.
func TestRESTHeedsTheLongestRefusal(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config feeds.RESTConfig
		want   []string
	}{
		{"two refusals", feeds.RESTConfig{PerMinute: 60000, Burst: 1000}, []string{"0 /a", "0.25 /b", "61 /c"}},
		{"waiting for the budget", feeds.RESTConfig{PerMinute: 30}, []string{"0 /a", "61 /b", "66 /c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newRESTServer(t, tt.config, func(w http.ResponseWriter, path string, _ int) {
					after := map[string]string{"/a": "60", "/b": "4"}[path]
					if after == "" {
						return
					}
					time.Sleep(time.Second)
					w.Header().Set("Retry-After", after)
					w.WriteHeader(http.StatusTooManyRequests)
				})
				var wg sync.WaitGroup
				for _, path := range []string{"a", "b"} {
					wg.Go(func() { _, _ = s.Get(t.Context(), "http://x/"+path, 1) })
					time.Sleep(250 * time.Millisecond)
				}
				wg.Wait()
				if _, err := s.Get(t.Context(), "http://x/c", 1); err != nil {
					t.Error(err)
				}
				s.want(t, tt.want...)
			})
		})
	}
}

func TestRESTIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newRESTServer(t, feeds.RESTConfig{PerMinute: 60000, Burst: 100, MaxBody: 1000}, func(w http.ResponseWriter, path string, _ int) {
			switch path {
			case "/large":
				_, _ = w.Write(make([]byte, 1001))
			case "/full":
				_, _ = w.Write(make([]byte, 1000))
			case "/slow":
				<-release
			}
		})
		if _, err := s.Get(t.Context(), "http://x/large", 1); err == nil || !strings.Contains(err.Error(), "larger than the limit") {
			t.Errorf("large: %v", err)
		}
		if b, err := s.Get(t.Context(), "http://x/full", 1); err != nil || len(b) != 1000 {
			t.Errorf("full: %d bytes, %v", len(b), err)
		}
		began := time.Now()
		if _, err := s.Get(t.Context(), "http://x/slow", 1); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 10*time.Second {
			t.Errorf("slow: %v after %v", err, time.Since(began))
		}
		close(release)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Get(ctx, "http://x/", 1); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		if _, err := s.Get(t.Context(), "::", 1); err == nil {
			t.Error("no error for a bad URL")
		}
	})
}

// replying is a connection that fetches snapshots while it is up.
type replying struct {
	*fakeConnection
	snapshots *feeds.Snapshots
	cancel    context.CancelFunc
	done      chan struct{}
}

func (c *replying) Resync(symbol string) error { return c.snapshots.Ask(symbol) }
func (c *replying) Close() {
	c.cancel()
	<-c.done
	c.fakeConnection.Close()
}

// newReplying is a supervisor of such connections; of each attempt the symbols
// are asked for at once.
func newReplying(rest *feeds.REST, recheck time.Duration, symbols ...string) (*feeds.Supervisor, func() *replying) {
	var last *replying
	c := &fakeConnector{connect: func(ctx context.Context, _ int, a *feeds.Attempt) (feeds.Connection, error) {
		_ = a.Reply("http://x/info", []byte("info"))
		runCtx, cancel := context.WithCancel(ctx)
		last = &replying{newFakeConnection(ctx), &feeds.Snapshots{REST: rest, Attempt: a, Weight: 1, Recheck: recheck,
			URL: func(s string) string { return "http://x/" + s }}, cancel, make(chan struct{})}
		for _, s := range symbols {
			_ = last.snapshots.Ask(s)
		}
		conn := last
		go func() { defer close(conn.done); conn.snapshots.Run(runCtx) }()
		return conn, nil
	}}
	return &feeds.Supervisor{Feed: "f", Provider: "p", Connector: c, Policy: feeds.Policy{Mute: -1}}, func() *replying { return last }
}

func TestRepliesAreInTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rest := newRESTServer(t, feeds.RESTConfig{PerMinute: 60}, func(w http.ResponseWriter, path string, _ int) { fmt.Fprint(w, "book of ", path) })
		s, conn := newReplying(rest.REST, 0, "a", "b")
		var rec recorder
		var urls []string
		stop := start(s, func(f feeds.Frame) error {
			if f.Kind == feeds.Reply {
				urls = append(urls, f.URL+" "+f.Feed+" "+f.Provider)
			}
			return rec.emit(f)
		})
		synctest.Wait()
		conn().messages <- "one"
		time.Sleep(1500 * time.Millisecond)
		conn().messages <- "two"
		synctest.Wait()
		if err := conn().snapshots.Ask("c"); err != nil {
			t.Error(err)
		}
		if err := conn().snapshots.Ask("c"); !errors.Is(err, feeds.ErrPending) {
			t.Errorf("asked twice: %v", err)
		}
		time.Sleep(time.Second)
		first := conn()
		first.fail <- errTest
		synctest.Wait()
		if err := first.snapshots.Ask("d"); err == nil {
			t.Error("a connection that has ended takes requests")
		}
		_ = stop()
		want := []string{"up", "reply info", "reply book of /a", "data one", "reply book of /b", "data two", "reply book of /c", "down lost: for the test"}
		if got := rec.all(); !slices.Equal(got, want) {
			t.Errorf("frames %q, want %q", got, want)
		}
		if !slices.IsSorted(rec.times) {
			t.Errorf("receive times go back: %v", rec.times)
		}
		if !slices.Contains(urls, "http://x/b f p") || urls[0] != "http://x/info f p" {
			t.Errorf("answers to %q", urls)
		}
		if st := s.Status(); st.Frames != 2 {
			t.Errorf("%d messages counted", st.Frames)
		}
	})
}

// The budget outlives the connection: many reconnects ask no faster than one.
func TestReconnectsShareTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rest := newRESTServer(t, feeds.RESTConfig{PerMinute: 60, Burst: 2}, func(w http.ResponseWriter, _ string, _ int) {})
		s, conn := newReplying(rest.REST, 0, "a", "b", "c", "d")
		s.Policy.InitialBackoff, s.Policy.MaxBackoff = time.Second, time.Second
		var rec recorder
		stop := start(s, rec.emit)
		for range 10 {
			time.Sleep(2 * time.Second)
			synctest.Wait()
			select {
			case conn().fail <- errTest:
			default:
			}
		}
		_ = stop()
		if n := len(rest.all()); n > 2+20 {
			t.Errorf("%d requests in 20 s", n)
		}
	})
}

func TestSnapshotsAreAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := map[string]int{}
		rest := newRESTServer(t, feeds.RESTConfig{PerMinute: 60000, Burst: 1000}, func(w http.ResponseWriter, path string, _ int) {
			tries[path]++
			switch {
			case path == "/bad":
				http.Error(w, "Invalid symbol.", http.StatusBadRequest)
			case path == "/busy" && tries[path] < 4:
				http.Error(w, "", http.StatusInternalServerError)
			}
		})
		s, conn := newReplying(rest.REST, time.Minute, "bad", "busy", "good")
		var rec recorder
		stop := start(s, rec.emit)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		rest.want(t, "0 /bad", "0 /busy", "0 /good", "1 /busy", "3 /busy", "7 /busy")
		if p := s.Status().Problems; len(p) != 2 || !strings.Contains(p[0], "snapshot of bad: server answered 400 Bad Request: \"Invalid symbol.") {
			t.Errorf("problems %q", p)
		}
		// From now on every minute or a little more, unless asked for meanwhile.
		_ = conn().snapshots.Ask("good") // at 30 s
		time.Sleep(9*time.Minute + 30*time.Second)
		synctest.Wait()
		if good, busy, bad := tries["/good"], tries["/busy"], tries["/bad"]; good < 10 || good > 11 || busy < 4+8 || busy > 4+9 || bad != 1 {
			t.Errorf("asked for good %d times, busy %d, bad %d", good, busy, bad)
		}
		_ = stop()
		n := len(rest.all())
		time.Sleep(10 * time.Minute)
		if len(rest.all()) != n {
			t.Error("asked after the end")
		}
	})
}

// Once a book has come it can be asked for again, as who finds it useless must;
// one that does not come is asked for every 15 s in the end, not less often, as it
// is not trusted meanwhile.
func TestSnapshotsStayAvailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rest := newRESTServer(t, feeds.RESTConfig{PerMinute: 60000, Burst: 1000}, func(w http.ResponseWriter, path string, _ int) {
			if path == "/down" {
				http.Error(w, "", http.StatusInternalServerError)
			}
		})
		s, conn := newReplying(rest.REST, 0, "down", "good")
		var rec recorder
		stop := start(s, rec.emit)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if err := conn().snapshots.Ask("good"); err != nil {
			t.Errorf("asked for anew: %v", err)
		}
		if err := conn().snapshots.Ask("down"); !errors.Is(err, feeds.ErrPending) {
			t.Errorf("between two tries: %v", err)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		_ = stop()
		rest.want(t, "0 /down", "0 /good", "1 /down", "3 /down", "7 /down", "15 /down", "20 /good", "30 /down", "45 /down")
	})
}

// What fails downstream on an answer ends the source as it does on a message.
func TestFailureOnAReplyEndsTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rest := newRESTServer(t, feeds.RESTConfig{}, func(http.ResponseWriter, string, int) {})
		s, _ := newReplying(rest.REST, 0, "a")
		frames := 0
		err := s.Run(t.Context(), func(f feeds.Frame) error {
			frames++
			if f.Kind == feeds.Reply && f.URL == "http://x/a" {
				return errTest
			}
			return nil
		})
		if err != errTest || frames != 3 {
			t.Errorf("%v after %d frames", err, frames)
		}
	})
}

func TestReplyAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var attempt *feeds.Attempt
		var conn *fakeConnection
		c := &fakeConnector{connect: func(ctx context.Context, _ int, a *feeds.Attempt) (feeds.Connection, error) {
			attempt, conn = a, newFakeConnection(ctx)
			return conn, nil
		}}
		s := &feeds.Supervisor{Feed: "f", Provider: "p", Connector: c}
		var rec recorder
		stop := start(s, rec.emit)
		synctest.Wait()
		if err := attempt.Reply("u", []byte("in time")); err != nil {
			t.Error(err)
		}
		late := attempt
		conn.fail <- errTest
		synctest.Wait()
		if err := late.Reply("u", []byte("late")); err == nil {
			t.Error("taken")
		}
		_ = stop()
		if got := rec.all(); !slices.Equal(got, []string{"up", "reply in time", "down lost: for the test"}) {
			t.Errorf("frames %q", got)
		}
	})
}
