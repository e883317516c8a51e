package feeds_test

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/feedtest"
)

// serve runs f for each connection and returns the address.
func serve(tb testing.TB, f func(*websocket.Conn)) string {
	tb.Helper()
	up := websocket.Upgrader{EnableCompression: true}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		f(conn)
	}))
	tb.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

// untilClosed reads until the client goes.
func untilClosed(conn *websocket.Conn) {
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			return
		}
	}
}

func causeOf(err error) feeds.DisconnectCause {
	if d, ok := errors.AsType[*feeds.DisconnectError](err); ok {
		return d.Cause
	}
	return ""
}

func TestDialAnswers(t *testing.T) {
	for _, tt := range []struct {
		name       string
		code       int
		retryAfter string
		cause      feeds.DisconnectCause
		wait       time.Duration
	}{
		{"too many requests, seconds", 429, "120", feeds.CauseLost, 2 * time.Minute},
		{"unavailable, date", 503, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), feeds.CauseLost, time.Hour},
		{"unavailable, date in the past", 503, "Sun, 06 Nov 1994 08:49:37 GMT", feeds.CauseLost, 0},
		{"unavailable, nonsense", 503, "soon", feeds.CauseLost, 0},
		{"unavailable, silent", 503, "", feeds.CauseLost, 0},
		{"unauthorized", 401, "", feeds.CauseRefused, 0},
		{"forbidden", 403, "", feeds.CauseRefused, 0},
		{"a web page", 200, "", feeds.CauseProtocol, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tt.retryAfter != "" {
					w.Header().Set("Retry-After", tt.retryAfter)
				}
				w.WriteHeader(tt.code)
			}))
			defer s.Close()
			_, err := feeds.DialWS(t.Context(), feeds.WSConfig{URL: "ws" + strings.TrimPrefix(s.URL, "http")})
			d, ok := errors.AsType[*feeds.DisconnectError](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			if d.Cause != tt.cause || (d.RetryAfter-tt.wait).Abs() > 10*time.Second {
				t.Errorf("cause %q, retry after %v, want %q, %v (%v)", d.Cause, d.RetryAfter, tt.cause, tt.wait, err)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		_, err = feeds.DialWS(t.Context(), feeds.WSConfig{URL: "ws://" + l.Addr().String()})
		if causeOf(err) != feeds.CauseLost {
			t.Errorf("got %v", err)
		}
	})
}

func TestReads(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16)
	for _, tt := range []struct {
		name     string
		limit    int64
		compress bool
		send     func(*websocket.Conn)
		want     int // length of the first message
		cause    feeds.DisconnectCause
	}{
		{"text", 0, false, func(c *websocket.Conn) { _ = c.WriteMessage(websocket.TextMessage, []byte("abc")) }, 3, ""},
		{"5 MB", 16 << 20, false, func(c *websocket.Conn) { _ = c.WriteMessage(websocket.TextMessage, big) }, 5 << 20, ""},
		{"5 MB compressed", 16 << 20, true, func(c *websocket.Conn) { _ = c.WriteMessage(websocket.TextMessage, big) }, 5 << 20, ""},
		{"oversized", 1 << 20, false, func(c *websocket.Conn) { _ = c.WriteMessage(websocket.TextMessage, big) }, 0, feeds.CauseOversized},
		{"oversized once decompressed", 1 << 20, true, func(c *websocket.Conn) {
			_ = c.SetCompressionLevel(flate.BestCompression)
			_ = c.WriteMessage(websocket.TextMessage, big)
		}, 0, feeds.CauseOversized},
		{"close frame", 0, false, func(c *websocket.Conn) {
			_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1008, "ErrSlowConsume"), time.Now().Add(time.Second))
		}, 0, feeds.CauseLost},
		{"cut", 0, false, func(c *websocket.Conn) { c.NetConn().Close() }, 0, feeds.CauseLost},
		{"no WebSocket frame", 0, false, func(c *websocket.Conn) { _, _ = c.NetConn().Write([]byte("\xff\xff nonsense")) }, 0, feeds.CauseProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url := serve(t, func(c *websocket.Conn) { tt.send(c); untilClosed(c) })
			ws, err := feeds.DialWS(t.Context(), feeds.WSConfig{URL: url, ReadLimit: tt.limit, Compress: tt.compress})
			if err != nil {
				t.Fatal(err)
			}
			defer ws.Close()
			got, binary, err := ws.Next()
			if len(got) != tt.want || binary || causeOf(err) != tt.cause {
				t.Errorf("%d bytes, binary %v, %v; want %d bytes, cause %q", len(got), binary, err, tt.want, tt.cause)
			}
			if err == nil && tt.want == len(big) && !bytes.Equal(got, big) {
				t.Error("the message was changed on the way")
			}
		})
	}
}

func TestBinaryIsTold(t *testing.T) {
	url := serve(t, func(c *websocket.Conn) {
		_ = c.WriteMessage(websocket.BinaryMessage, []byte{1})
		untilClosed(c)
	})
	ws, err := feeds.DialWS(t.Context(), feeds.WSConfig{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	if _, binary, err := ws.Next(); !binary || err != nil {
		t.Errorf("binary %v, %v", binary, err)
	}
}

func TestCloseReason(t *testing.T) {
	url := serve(t, func(c *websocket.Conn) {
		_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1008, "ErrSlowConsume"), time.Now().Add(time.Second))
		untilClosed(c)
	})
	ws, err := feeds.DialWS(t.Context(), feeds.WSConfig{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	if _, _, err = ws.Next(); err == nil || !strings.Contains(err.Error(), "1008") || !strings.Contains(err.Error(), "ErrSlowConsume") {
		t.Errorf("the reason is not told: %v", err)
	}
}

// Against a server that reads nothing, answers nothing and never closes, a stop
// must still be quick.
func TestStopAgainstDeafServer(t *testing.T) {
	release := make(chan struct{})
	url := serve(t, func(c *websocket.Conn) {
		_ = c.WriteMessage(websocket.TextMessage, []byte("hello"))
		<-release
	})
	defer close(release)
	up := make(chan struct{}, 10)
	s := &feeds.Supervisor{Connector: wsConnector{feeds.WSConfig{URL: url}}}
	stop := start(s, func(f feeds.Frame) error { up <- struct{}{}; return nil })
	<-up
	<-up
	began := time.Now()
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
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
	s := &feeds.Supervisor{Connector: wsConnector{feeds.WSConfig{URL: "ws://" + l.Addr().String()}}}
	stop := start(s, new(recorder).emit)
	c := <-accepted
	defer c.Close()
	began := time.Now()
	_ = stop()
	if d := time.Since(began); d > 10*time.Second { // 3 s, and what a busy machine adds
		t.Errorf("stopping took %v", d)
	}
}

// wsConnector is the simplest connector there can be.
type wsConnector struct{ config feeds.WSConfig }

func (c wsConnector) Connect(ctx context.Context, _ *feeds.Attempt) (feeds.Connection, error) {
	ws, err := feeds.DialWS(ctx, c.config)
	if err != nil {
		return nil, err
	}
	return ws, nil
}

func TestPingsWhenIdle(t *testing.T) { testPings(t, false, 0) }

func TestPingsAlways(t *testing.T) { testPings(t, true, 3) }

// testPings counts the pings of an idle minute, and of one with data.
func testPings(t *testing.T, always bool, busy int) {
	synctest.Test(t, func(t *testing.T) {
		l := feedtest.NewPipe()
		got := make(chan string, 100)
		talk := make(chan struct{})
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			go func() {
				for range talk {
					_ = conn.WriteMessage(websocket.TextMessage, []byte("data"))
				}
			}()
			for {
				_, m, err := conn.ReadMessage()
				if err != nil {
					return
				}
				got <- string(m)
			}
		})}
		go func() { _ = srv.Serve(l) }()
		ws, err := feeds.DialWS(t.Context(), feeds.WSConfig{URL: "ws://pipe", NetDial: l.Dial, PingEvery: 20 * time.Second, IdlePing: []byte("ping?"), PingAlways: always})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				if _, _, err := ws.Next(); err != nil {
					return
				}
			}
		}()
		time.Sleep(61 * time.Second)
		if len(got) != 3 {
			t.Errorf("%d pings in an idle minute, want 3", len(got))
		}
		for range 60 {
			talk <- struct{}{}
			time.Sleep(time.Second)
		}
		if len(got) != 3+busy {
			t.Errorf("%d pings while data came, want %d", len(got)-3, busy)
		}
		close(talk)
		ws.Close()
		srv.Close()
		synctest.Wait()
	})
}

// A peer that answers no protocol ping and says nothing else is dead; one that
// speaks, or answers, is not, and neither is one that we do not listen to.
func TestUnansweredPings(t *testing.T) {
	const every, wait = 5 * time.Second, 10 * time.Second
	for _, tt := range []struct {
		name    string
		answers bool          // pings
		talks   time.Duration // sends a message so often; 0 never
		pings   bool          // sends pings of its own
		rests   time.Duration // our own pause between two messages
		dead    time.Duration // found so late at most; 0 never
	}{
		{name: "silent and deaf", dead: 2*every + wait},
		{name: "answers", answers: true},
		{name: "talks", talks: time.Second},
		{name: "talks seldom", talks: 9 * time.Second},
		{name: "asks", pings: true},
		{name: "we are slow", talks: time.Millisecond, rests: 40 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := feedtest.NewPipe()
				ctx, cancel := context.WithCancel(t.Context())
				srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
					if err != nil {
						t.Error(err)
						return
					}
					defer conn.Close()
					if !tt.answers {
						conn.SetPingHandler(func(string) error { return nil })
					}
					go func() {
						every := tt.talks
						if tt.pings {
							every = 4 * time.Second
						}
						for every > 0 && ctx.Err() == nil {
							time.Sleep(every)
							if tt.pings {
								_ = conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Minute))
							} else if conn.WriteMessage(websocket.TextMessage, []byte("data")) != nil {
								return
							}
						}
					}()
					for {
						if _, _, err := conn.ReadMessage(); err != nil {
							return
						}
					}
				})}
				go func() { _ = srv.Serve(l) }()
				ws, err := feeds.DialWS(ctx, feeds.WSConfig{URL: "ws://pipe", NetDial: l.Dial, PingEvery: every, PongWait: wait})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				time.AfterFunc(5*time.Minute, cancel)
				for err == nil {
					_, _, err = ws.Next()
					time.Sleep(tt.rests)
				}
				switch lived := time.Since(began); {
				case tt.dead == 0 && lived < 5*time.Minute:
					t.Errorf("given up after %v: %v", lived, err)
				case tt.dead > 0 && (lived > tt.dead || causeOf(err) != feeds.CauseMute || err.Error() != "mute: no answer to a ping for 10s"):
					t.Errorf("given up after %v: %v", lived, err)
				}
				cancel()
				ws.Close()
				srv.Close()
				time.Sleep(time.Minute)
				synctest.Wait()
			})
		})
	}
}

// The path of a frame, from the socket to emit, must not allocate, but for the
// 8 bytes that gorilla takes for each message's reader.
func TestAllocationsPerFrame(t *testing.T) {
	const warm, n = 1000, 20000
	url := serve(t, func(c *websocket.Conn) { flood(c, warm+n); untilClosed(c) })
	s := &feeds.Supervisor{Feed: "f", Provider: "p", Connector: wsConnector{feeds.WSConfig{URL: url}}}
	count := 0
	var allocs float64
	err := s.Run(t.Context(), func(f feeds.Frame) error {
		if f.Kind != feeds.Data {
			return nil
		}
		count++
		switch count {
		case warm:
			allocs = mallocs()
		case warm + n:
			allocs = (mallocs() - allocs) / n
			return io.EOF
		}
		return nil
	})
	if err != io.EOF {
		t.Fatal(err)
	}
	t.Logf("%.3f allocations a frame, server included", allocs)
	if allocs > 1.2 {
		t.Errorf("%.3f allocations a frame", allocs)
	}
}
