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
)

// referring is a supervisor whose connections ask for reference data. The last of
// them comes out of conn.
func referring(r *feeds.Reference, urls ...string) (s *feeds.Supervisor, conn func() *fakeConnection) {
	var mu sync.Mutex
	var last *fakeConnection
	c := &fakeConnector{connect: func(ctx context.Context, _ int, a *feeds.Attempt) (feeds.Connection, error) {
		mu.Lock()
		defer mu.Unlock()
		last = newFakeConnection(ctx)
		runCtx, cancel := context.WithCancel(ctx)
		conn := &replying{fakeConnection: last, cancel: cancel, done: make(chan struct{})}
		go func() { defer close(conn.done); r.Run(runCtx, a, urls, nil) }()
		return conn, nil
	}}
	s = &feeds.Supervisor{Feed: "f", Provider: "p", Connector: c, Policy: feeds.Policy{Mute: -1, InitialBackoff: time.Second, MaxBackoff: time.Second}}
	return s, func() *fakeConnection {
		mu.Lock()
		defer mu.Unlock()
		return last
	}
}

// What fails is asked for again, ever less often; what was refused for good, and
// what came, when all is an hour old. The stream notices nothing.
func TestReferenceIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := map[string]int{}
		rest := newRESTServer(t, feeds.RESTConfig{PerMinute: 60000, Burst: 1000}, func(w http.ResponseWriter, path string, _ int) {
			tries[path]++
			switch {
			case path == "/bad":
				http.Error(w, "Invalid symbol.", http.StatusBadRequest)
			case path == "/busy" && tries[path] < 4:
				http.Error(w, "", http.StatusInternalServerError)
			case path == "/ill":
				fmt.Fprint(w, "refused")
			default:
				fmt.Fprint(w, "details of ", path)
			}
		})
		s, _ := referring(&feeds.Reference{REST: rest.REST, Weight: 1, Read: func(_ string, body []byte) (string, error) {
			if string(body) == "refused" && tries["/ill"] < 3 {
				return "", errTest
			}
			return "", nil
		}}, "http://x/bad", "http://x/busy", "http://x/ill?a=b", "http://x/good")
		var rec recorder
		stop := start(s, rec.emit)
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		rest.want(t, "0 /bad", "0 /busy", "0 /ill", "0 /good", "5 /busy", "5 /ill", "15 /busy", "15 /ill", "35 /busy")
		want := []string{"up", "reply details of /good", "reply refused", "reply details of /busy"}
		if got := rec.all(); !slices.Equal(got, want) {
			t.Errorf("frames %q, want %q", got, want)
		}
		p := s.Status().Problems
		if len(p) != 3 || !strings.HasPrefix(p[0], "reference data /bad: server answered 400") || p[2] != "reference data /ill?a=b: for the test" {
			t.Errorf("problems %q", p)
		}
		if st := s.Status(); st.State != feeds.StateLive || st.Reconnects != 0 {
			t.Errorf("status %+v", st)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := rest.all()[9:]; !slices.Equal(got, []string{"3600 /bad", "3600 /good"}) {
			t.Errorf("after an hour %q", got) // the others are not an hour old
		}
		_ = stop()
		n := len(rest.all())
		time.Sleep(2 * time.Hour)
		if len(rest.all()) != n {
			t.Error("asked after the end")
		}
	})
}

// Connections that follow one another share what came, and one that ran into a
// refusal does not make the next ask sooner than the provider wants.
func TestReferenceOutlivesConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rest := newRESTServer(t, feeds.RESTConfig{PerMinute: 60, Burst: 5}, func(w http.ResponseWriter, path string, n int) {
			if n == 2 {
				w.Header().Set("Retry-After", "120")
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			fmt.Fprint(w, path)
		})
		s, conn := referring(&feeds.Reference{REST: rest.REST, Weight: 1}, "http://x/a", "http://x/b")
		var rec recorder
		stop := start(s, rec.emit)
		for range 20 {
			time.Sleep(10 * time.Second)
			synctest.Wait()
			conn().fail <- errTest
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		_ = stop()
		rest.want(t, "0 /a", "0 /b", "120 /b")
		count := func(text string) (n int) {
			for _, f := range rec.all() {
				if f == text {
					n++
				}
			}
			return n
		}
		if ups, a, b := count("up"), count("reply /a"), count("reply /b"); ups < 15 || a != ups || b < 5 || b >= ups {
			t.Errorf("%d connections were told of a %d times, of b %d times", ups, a, b)
		}
	})
}

// Two connections at a time ask once.
func TestReferenceIsAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rest := newRESTServer(t, feeds.RESTConfig{PerMinute: 60, Burst: 5}, func(w http.ResponseWriter, path string, _ int) {
			time.Sleep(time.Second)
			fmt.Fprint(w, path)
		})
		r := &feeds.Reference{REST: rest.REST, Weight: 1}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		tried := 0
		var mu sync.Mutex
		for range 3 {
			wg.Go(func() {
				r.Run(ctx, &feeds.Attempt{}, []string{"http://x/a"}, func() {
					mu.Lock()
					defer mu.Unlock()
					tried++
				})
			})
		}
		time.Sleep(10 * time.Second)
		cancel()
		wg.Wait()
		rest.want(t, "0 /a")
		if tried != 3 {
			t.Errorf("%d of 3 were told", tried)
		}
	})
}

// An answer in parts is handed on part by part, and one that never ends is given
// up.
func TestReferenceComesInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rest := newRESTServer(t, feeds.RESTConfig{PerMinute: 60000, Burst: 1000}, func(w http.ResponseWriter, path string, _ int) { fmt.Fprint(w, path) })
		s, _ := referring(&feeds.Reference{REST: rest.REST, Weight: 1, Read: func(url string, _ []byte) (string, error) {
			switch url {
			case "http://x/1":
				return "http://x/2", nil
			case "http://x/loop":
				return url, nil
			}
			return "", nil
		}}, "http://x/1", "http://x/loop")
		var rec recorder
		stop := start(s, rec.emit)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := rec.all(); !slices.Equal(got[:3], []string{"up", "reply /1", "reply /2"}) {
			t.Errorf("frames %q", got[:3])
		}
		if p := s.Status().Problems; len(p) != 1 || !strings.Contains(p[0], "/loop: more than 100 parts") {
			t.Errorf("problems %q", p)
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// While a provider does not answer, what is known serves on; it is asked at least
// every five minutes, and all anew, without haste at first, when an hour has passed.
func TestReferenceOutlastsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		rest := newRESTServer(t, feeds.RESTConfig{PerMinute: 60000, Burst: 1000}, func(w http.ResponseWriter, _ string, _ int) {
			switch at := time.Since(began); {
			case at < time.Hour:
				fmt.Fprint(w, "old")
			case at < 7300*time.Second:
				http.Error(w, "", http.StatusBadGateway)
			default:
				fmt.Fprint(w, "new")
			}
		})
		s, conn := referring(&feeds.Reference{REST: rest.REST, Weight: 1}, "http://x/a")
		var rec recorder
		stop := start(s, rec.emit)
		time.Sleep(3700 * time.Second)
		synctest.Wait()
		before := len(rec.all())
		conn().fail <- errTest
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := rec.all()[before:]; len(got) != 3 || got[2] != "reply old" {
			t.Errorf("a connection during the outage was told %q", got)
		}
		_ = stop()
	})
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		rest := newRESTServer(t, feeds.RESTConfig{PerMinute: 60000, Burst: 1000}, func(w http.ResponseWriter, _ string, _ int) {
			if at := time.Since(began); at >= time.Hour && at < 7300*time.Second {
				http.Error(w, "", http.StatusBadGateway)
			}
		})
		s, _ := referring(&feeds.Reference{REST: rest.REST, Weight: 1}, "http://x/a")
		var rec recorder
		stop := start(s, rec.emit)
		time.Sleep(2*time.Hour + 10*time.Minute)
		_ = stop()
		want := []string{"0 /a"}
		for _, at := range []int{3600, 3605, 3615, 3635, 3675, 3755, 3915, 4215, 4515, 4815, 5115, 5415, 5715, 6015, 6315, 6615, 6915,
			7200, 7205, 7215, 7235, 7275, 7355} {
			want = append(want, fmt.Sprintf("%d /a", at))
		}
		rest.want(t, want...)
	})
}
