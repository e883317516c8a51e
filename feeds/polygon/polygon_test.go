package polygon_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/polygon"
	"github.com/quotewire/quotewire/feeds/sim"
)

const key = "TOPSECRETKEY"

func connector(tb testing.TB, url, market string, subs ...string) *polygon.Connector {
	tb.Helper()
	c, err := polygon.New(polygon.Config{URL: url, Market: market, APIKey: key, Subscriptions: subs}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// count returns how many frames contain all the parts.
func count(frames []string, parts ...string) (n int) {
	for _, f := range frames {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(f, p) }) {
			n++
		}
	}
	return n
}

func isDown(f string) bool { return strings.HasPrefix(f, "down") }

// policy waits little, so that tests do not.
var policy = feeds.Policy{Mute: -1, InitialBackoff: 10 * time.Millisecond}

func TestSubscribes(t *testing.T) {
	s, m := newServer(t, sim.Config{Keys: []string{key}})
	l := supervise(t, connector(t, s.URL(), "stocks", "T.AAPL", "Q.*", "T.MSFT", "T.AAPL"), policy)
	l.await(t, "acknowledgements", func(f []string) bool { return count(f, "subscribed to") > 0 && len(s.Subscriptions()) == 3 })
	if got, want := s.Subscriptions(), []string{"Q.*", "T.AAPL", "T.MSFT"}; !slices.Equal(got, want) {
		t.Errorf("subscribed %q, want %q", got, want)
	}
	m.Step(2 * time.Second)
	l.await(t, "trades and quotes", func(f []string) bool { return count(f, `"ev":"T"`) > 0 && count(f, `"ev":"Q"`) > 0 })
	frames := l.all()
	if frames[0] != "up" || count(frames[1:2], `"connected"`) != 1 || count(frames[2:3], `"auth_success"`) != 1 {
		t.Errorf("the stream begins with %.300q", frames[:3])
	}
	if count(frames, key) != 0 {
		t.Error("the key is in the stream")
	}
	if st := l.Status(); st.State != feeds.StateLive || len(st.Problems) != 0 {
		t.Errorf("status %+v", st)
	}
	l.Resync("AAPL") // the provider has no such thing; nothing may come of it
	l.stop()
	if frames := l.all(); frames[len(frames)-1] != "down closed: stopped" {
		t.Errorf("the stream ends with %.100q", frames[len(frames)-1])
	}
	if st := l.Status(); st.State != feeds.StateStopped || st.Resyncs != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestCryptoBooks(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s.URL(), "crypto", "XL2.BTC-USD", "XT.*"), policy)
	l.await(t, "subscriptions", func([]string) bool { return len(s.Subscriptions()) == 2 })
	m.Step(2 * time.Second)
	l.await(t, "books", func(f []string) bool { return count(f, `"XL2"`) > 0 })
}

func TestNotAuthorizedChannelIsAProblem(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s.URL(), "stocks", "NOI.*", "T.*"), policy)
	l.await(t, "the problem", func([]string) bool { return len(l.Status().Problems) == 1 })
	l.await(t, "the other subscription", func([]string) bool { return slices.Contains(s.Subscriptions(), "T.*") })
	m.Step(time.Second)
	l.await(t, "trades", func(f []string) bool { return count(f, `"ev":"T"`) > 0 })
	if got := l.Status().Problems[0]; !strings.Contains(got, "not authorized") {
		t.Errorf("problem %q", got)
	}
	if count(l.all(), `"error"`) == 0 {
		t.Error("the refusal is not in the stream")
	}
}

// A refusal does not say what it is about: what got no answer is named after a
// while, also while nothing comes.
func TestUnansweredSubscriptionsAreNamed(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	c, err := polygon.New(polygon.Config{URL: s.URL(), Market: "stocks", APIKey: key, AnswerWait: 2 * time.Second,
		Subscriptions: []string{"NOI.*", "T.AAPL", "FMV.BRK.B", "Q.*"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := supervise(t, c, policy)
	want := []string{"not authorized", "no answer to the subscription of FMV.BRK.B, NOI.*"}
	l.await(t, "the problems", func([]string) bool { return slices.Equal(l.Status().Problems, want) })
	if l.Status().State != feeds.StateLive {
		t.Errorf("status %+v", l.Status())
	}
}

// A connection tells its market, and never its key.
func TestUpTellsTheMarket(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	c := connector(t, s.URL()+"/", "crypto", "XT.*")
	url := make(chan string, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	source := &feeds.Supervisor{Feed: "test", Provider: "polygon", Connector: c, Policy: policy}
	go func() {
		done <- source.Run(ctx, func(f feeds.Frame) error {
			if f.Kind == feeds.Up {
				url <- f.URL
			}
			return nil
		})
	}()
	if got := <-url; got != s.URL()+"/crypto" {
		t.Errorf("up with %q", got)
	}
	cancel()
	<-done
}

// The library reconnects by itself, silently; the provider must see one
// connection, and the stream must tell of its end. This test finds a version of
// the library whose words have changed.
func TestKillDoesNotReconnect(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault func(*sim.Server)
		down  string
	}{
		{"kill", (*sim.Server).Kill, "down lost: "},
		{"going away", func(s *sim.Server) { s.CloseAll(1001) }, "down lost: connection closed unexpectedly: websocket: close 1001"},
		{"normal closure", func(s *sim.Server) { s.CloseAll(1000) }, "down lost: "},
		{"oversized", func(s *sim.Server) { s.SendRaw(make([]byte, 1_000_001)) }, "down oversized: frame above the library's limit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, m := newServer(t, sim.Config{})
			patient := policy
			patient.InitialBackoff = time.Hour // only the library would reconnect
			l := supervise(t, connector(t, s.URL(), "stocks", "T.*"), patient)
			l.await(t, "subscription", func([]string) bool { return len(s.Subscriptions()) == 1 })
			m.Step(500 * time.Millisecond)
			began := time.Now()
			tt.fault(s)
			l.await(t, "down", func(f []string) bool { return slices.ContainsFunc(f, isDown) })
			if d := time.Since(began); d > 10*time.Second { // it tells at once
				t.Errorf("the loss was told after %v", d)
			}
			frames := l.all()
			if got := frames[len(frames)-1]; !strings.HasPrefix(got, tt.down) {
				t.Errorf("%q, want %q", got, tt.down)
			}
			l.awaitState(t, feeds.StateDown)
			l.stop() // waits for the library to be gone
			if n := s.Accepted(); n != 1 {
				t.Errorf("the provider saw %d connections", n)
			}
		})
	}
}

// While the provider is away the library's own reconnect would fail, and leave
// its goroutine for ever; the leak check of TestMain is the test.
func TestRestart(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	p := policy
	p.MaxBackoff = 20 * time.Millisecond
	l := supervise(t, connector(t, s.URL(), "stocks", "T.*"), p)
	for range 3 {
		l.await(t, "subscription", func([]string) bool { return len(s.Subscriptions()) == 1 })
		m.Step(time.Second)
		l.await(t, "trades", func(f []string) bool { return count(f, `"ev":"T"`) > 0 })
		s.RefuseConnections(true)
		s.Kill()
		before := l.Status().Attempts
		l.await(t, "some attempts", func([]string) bool { return l.Status().Attempts >= before+4 })
		s.RefuseConnections(false)
	}
	l.awaitState(t, feeds.StateLive)
	var changes []string
	for _, f := range l.all() {
		if f == "up" || isDown(f) {
			changes = append(changes, f[:2])
		}
	}
	if want := []string{"up", "do", "up", "do", "up", "do", "up"}; !slices.Equal(changes, want) {
		t.Errorf("the stream told of %q", changes)
	}
}

func TestRefusedKey(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	s.RefuseKeys(true)
	l := supervise(t, connector(t, s.URL(), "stocks", "T.*"), policy)
	l.awaitState(t, feeds.StateRefused)
	st := l.Status()
	if d := time.Until(st.NextRetry); d < 4*time.Minute {
		t.Errorf("next attempt in %v", d)
	}
	frames := l.all()
	if len(frames) != 3 || count(frames[1:2], `"auth_failed"`) != 1 || !strings.HasPrefix(frames[2], "down refused: ") {
		t.Errorf("frames %q", frames)
	}
	if strings.Contains(strings.Join(frames, " ")+st.Cause, key) {
		t.Error("the key is shown")
	}
}

func TestRefusedKeyIsTriedAgain(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	s.RefuseKeys(true)
	p := policy
	p.RefusedRetry = 50 * time.Millisecond
	l := supervise(t, connector(t, s.URL(), "stocks", "T.*"), p)
	l.awaitState(t, feeds.StateRefused)
	s.RefuseKeys(false)
	l.awaitState(t, feeds.StateLive)
}

func TestEvicted(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s.URL(), "stocks", "T.*"), policy)
	l.await(t, "subscription", func([]string) bool { return len(s.Subscriptions()) == 1 })
	s.Evict()
	l.awaitState(t, feeds.StateEvicted)
	if d := time.Until(l.Status().NextRetry); d < 25*time.Second {
		t.Errorf("next attempt in %v", d)
	}
	frames := l.all()
	n := len(frames)
	if count(frames[n-2:n-1], `"max_connections"`) != 1 || !strings.HasPrefix(frames[n-1], "down evicted: ") {
		t.Errorf("the stream ends with %q", frames[n-2:])
	}
}

// Another program with the same key: it stays, we wait.
func TestSecondProgram(t *testing.T) {
	s, _ := newServer(t, sim.Config{})
	first := supervise(t, connector(t, s.URL(), "stocks", "T.*"), policy)
	first.awaitState(t, feeds.StateLive)
	second := supervise(t, connector(t, s.URL(), "stocks", "T.*"), policy)
	second.awaitState(t, feeds.StateLive)
	first.awaitState(t, feeds.StateEvicted)
	if st := second.Status(); st.State != feeds.StateLive || s.Accepted() != 2 {
		t.Errorf("the second is %q after %d connections", st.State, s.Accepted())
	}
}

func TestMute(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	p := policy
	p.Mute = 200 * time.Millisecond
	l := supervise(t, connector(t, s.URL(), "stocks", "T.*"), p)
	l.await(t, "subscription", func([]string) bool { return len(s.Subscriptions()) == 1 })
	s.Mute(true)
	m.Step(time.Second)
	l.await(t, "stale and down", func(f []string) bool { return slices.ContainsFunc(f, isDown) })
	s.Mute(false)
	frames := l.all()
	down := slices.IndexFunc(frames, isDown)
	if want := []string{"stale mute: no message for 200ms", "down mute: no message for 200ms"}; !slices.Equal(frames[down-1:down+1], want) {
		t.Errorf("frames %q, want %q", frames[down-1:down+1], want)
	}
	l.await(t, "up", func(f []string) bool { return slices.Contains(f[down:], "up") })
}

// What the provider said before it went is told before Down.
func TestTailIsNotLost(t *testing.T) {
	s, m := newServer(t, sim.Config{})
	l := supervise(t, connector(t, s.URL(), "stocks", "T.*", "Q.*"), policy)
	l.await(t, "subscription", func([]string) bool { return len(s.Subscriptions()) == 2 })
	m.Step(2 * time.Second)
	for i := range 500 {
		s.SendRaw(fmt.Appendf(nil, `[{"ev":"last","n":%d}]`, i))
	}
	s.CloseAll(1001)
	l.await(t, "down", func(f []string) bool { return slices.ContainsFunc(f, isDown) })
	frames := l.all()
	down := slices.IndexFunc(frames, isDown)
	for i := range 500 {
		if got, want := frames[down-500+i], fmt.Sprintf(`data [{"ev":"last","n":%d}]`, i); got != want {
			t.Fatalf("frame %d before down is %q, want %q", 500-i, got, want)
		}
	}
}

// serve runs f for each connection and returns the address.
func serve(tb testing.TB, f func(c *websocket.Conn)) string {
	tb.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		f(c)
	}))
	tb.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

// The library's Close would wait 30 s for a server that ignores close frames.
func TestStopAgainstDeafServer(t *testing.T) {
	release := make(chan struct{})
	url := serve(t, func(c *websocket.Conn) {
		_ = c.WriteMessage(websocket.TextMessage, []byte(`[{"ev":"status","status":"connected"},{"ev":"status","status":"auth_success"}]`))
		<-release
	})
	t.Cleanup(sync.OnceFunc(func() { close(release) }))
	l := supervise(t, connector(t, url, "stocks", "T.*"), policy)
	l.awaitState(t, feeds.StateLive)
	l.stop() // fails after 3 s
}

// flood serves a provider that never pauses, and returns its address.
func flood(tb testing.TB) string {
	tb.Helper()
	return serve(tb, func(c *websocket.Conn) {
		go func() {
			for {
				if _, _, err := c.ReadMessage(); err != nil {
					return
				}
			}
		}()
		_ = c.WriteMessage(websocket.TextMessage, []byte(`[{"ev":"status","status":"connected"},{"ev":"status","status":"auth_success"}]`))
		m, _ := websocket.NewPreparedMessage(websocket.TextMessage, []byte(`[{"ev":"T"}]`))
		for c.WritePreparedMessage(m) == nil {
		}
	})
}

// A flood that nobody reads must not keep us from stopping: the library's
// queues are full, and it would wait for ever.
func TestStopUnderFlood(t *testing.T) {
	url := flood(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := &feeds.Supervisor{Connector: connector(t, url, "stocks", "T.*"), Policy: policy}
	full := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		n := 0
		done <- s.Run(ctx, func(f feeds.Frame) error {
			if n++; n != 100 {
				return nil
			}
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for s.Status().Backlog < 20_000 { // as good as full, and quicker
				<-tick.C
			}
			close(full)
			<-ctx.Done()
			return nil
		})
	}()
	<-full
	began := time.Now()
	cancel()
	<-done
	if d := time.Since(began); d > 10*time.Second { // 3 s, and what a busy machine adds
		t.Errorf("stopping took %v", d)
	}
}

// A server that takes the TCP connection and never answers the upgrade.
func TestStopWhileDialing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	s := supervise(t, connector(t, "ws://"+l.Addr().String(), "stocks", "T.*"), policy)
	c := <-accepted
	defer c.Close()
	s.stop() // fails after 3 s
}

func TestStatusesOfTheServer(t *testing.T) {
	for _, tt := range []struct {
		name, frames string // separated by blanks
		state        feeds.State
		down         string
	}{
		{"auth timeout", `[{"ev":"status","status":"auth_timeout","message":"timeout"}]`, feeds.StateDown, "down lost: timeout"},
		{"evicted while signing in", `[{"ev":"status","status":"max_connections","message":"max"}]`, feeds.StateEvicted, "down evicted: max"},
		{"the key comes back", `[{"ev":"status","status":"auth_failed","message":"no:` + key + `"}]`, feeds.StateRefused, "down refused: no:***"},
		{"refused, and then more", `[{"ev":"status","status":"auth_failed","message":"no"},{"ev":"status","status":"max_connections","message":"max"}]`, feeds.StateRefused, "down refused: no"},
		{"connected twice", `[{"ev":"status","status":"connected"}] [{"ev":"status","status":"connected"}]`, feeds.StateDown, "down lost: the library reconnected by itself"},
		{"a server of 2019", `[{"ev":"status","status":"success","message":"authenticated"}]`, feeds.StateLive, ""},
		{"no JSON", `"status" [{"ev":"status","status":"auth_success"}]`, feeds.StateLive, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url := serve(t, func(c *websocket.Conn) {
				for f := range strings.FieldsSeq(tt.frames) {
					_ = c.WriteMessage(websocket.TextMessage, []byte(f))
				}
				for {
					if _, _, err := c.ReadMessage(); err != nil {
						return
					}
				}
			})
			p := policy
			p.InitialBackoff = time.Hour
			l := supervise(t, connector(t, url, "stocks", "T.*"), p)
			l.awaitState(t, tt.state)
			frames := l.all()
			if last := frames[len(frames)-1]; tt.down != "" && last != tt.down {
				t.Errorf("the stream ends with %q, want %q", last, tt.down)
			}
		})
	}
}

// Whatever fails, the key is in no log line and no error.
func TestKeyIsNotLogged(t *testing.T) {
	var logged bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, _ := newServer(t, sim.Config{})
	config := polygon.Config{URL: s.URL(), Market: "stocks", APIKey: key, Subscriptions: []string{"T.*"}}
	c, err := polygon.New(config, logger)
	if err != nil {
		t.Fatal(err)
	}
	l := &live{Supervisor: &feeds.Supervisor{Connector: c, Policy: policy, Logger: logger}, news: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx, l.emit) }()
	l.awaitState(t, feeds.StateLive)
	s.Kill()
	l.await(t, "reconnect", func(f []string) bool { return count(f, "up") == 2 })
	s.RefuseKeys(true)
	s.Kill()
	l.awaitState(t, feeds.StateRefused)
	cancel()
	<-done
	if logged.Len() == 0 || strings.Contains(logged.String(), key) {
		t.Errorf("logged: %s", logged.String())
	}
	if shown := fmt.Sprintf("%v %+v %#v %s", config, config, config, &config); strings.Contains(shown, key) {
		t.Errorf("the config shows its key: %s", shown)
	}
}

// contracts returns subscriptions of so many options contracts.
func contracts(channel string, n int) (subs []string) {
	for i := range n {
		subs = append(subs, fmt.Sprintf("%s.O:SPY261218C%08d", channel, 1000*i))
	}
	return subs
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config polygon.Config
		errs   []string
	}{
		{"good", polygon.Config{Market: "stocks", APIKey: key, Subscriptions: []string{"T.BRK.B", "Q.*", "LULD.AAPL"}}, nil},
		{"futures", polygon.Config{Market: "futures/cme", APIKey: key, Subscriptions: []string{"T.ESZ5"}}, nil},
		{"options", polygon.Config{Market: "options", APIKey: key, Subscriptions: append(contracts("Q", 1000), "T.*", "AM.*")}, nil},
		{"too many options", polygon.Config{Market: "options", APIKey: key, Subscriptions: append(contracts("Q", 1001), "FMV.*")},
			[]string{"1001 contracts in Q: a connection takes 1000", `"FMV.*": FMV of options has no wildcard`}},
		{"empty", polygon.Config{}, []string{"no API key", `market ""`, "no subscriptions"}},
		{"all wrong", polygon.Config{URL: "socket.polygon.io", Market: "stocks", APIKey: key, Subscriptions: []string{"XT.BTC-USD", "T", "T.", "T.A,Q.B"}},
			[]string{"ws://host", `"XT.BTC-USD": stocks has the channels`, `"T" is not`, `"T." is not`, `"T.A,Q.B" is not`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := polygon.New(tt.config, nil)
			if (err == nil) != (len(tt.errs) == 0) {
				t.Fatalf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), key) {
				t.Error("the error shows the key")
			}
			for _, part := range tt.errs {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v does not tell of %s", err, part)
				}
			}
		})
	}
}
