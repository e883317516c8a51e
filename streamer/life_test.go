package streamer

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire"
)

func TestShutdownTellsClients(t *testing.T) {
	s := serve(t, Config{})
	s.book("BTC-USD", "kraken", 1000, 2)
	a, b := s.dial(""), s.dial("?channel=quote&symbols=BTC-USD")
	want[*wire.Ack](b)
	want[*wire.Snapshot](b)
	ended := make(chan error, 1)
	go func() { ended <- s.hub.Shutdown(t.Context()) }()
	for _, c := range []*client{a, b} {
		if e := want[*wire.Error](c); e.Code != wire.CodeServerShutdown || e.RetryAfter <= 0 {
			t.Errorf("error is %s", c.last)
		}
		c.wantClose(websocket.CloseServiceRestart)
	}
	if err := <-ended; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if status, _, _ := s.get("/v1/stream"); status != 503 {
		t.Errorf("a new client gets %d", status)
	}
}

// dialAndStall connects a client whose writer is stuck: it reads nothing after the
// welcome, and a pipe holds nothing.
func (s *server) dialAndStall() *client {
	c := s.dial("?channel=quote&symbols=BTC-USD&interval=0")
	synctest.Wait()
	s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, 77))
	synctest.Wait()
	return c
}

// TestStopEndsSessions: without a Shutdown before it, the end of Run ends the
// sessions in the same way, those that take nothing too.
func TestStopEndsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, closeAll := servePipe(t, Config{})
		defer closeAll()
		s.book("BTC-USD", "kraken", 1000, 2)
		stalled, c := s.dialAndStall(), s.dial("")
		go func() { // a pipe holds nothing: what is not read blocks the writer
			if e := want[*wire.Error](c); e.Code != wire.CodeServerShutdown {
				t.Errorf("error is %s", c.last)
			}
			c.wantClose(websocket.CloseServiceRestart)
		}()
		synctest.Wait()
		begin := time.Now()
		s.stop()
		if took := time.Since(begin); took > 3*closeGrace {
			t.Errorf("stopping took %v", took)
		}
		if _, err := stalled.conn.NetConn().Read(make([]byte, 1)); err == nil {
			t.Error("the stalled client is still connected")
		}
	})
}

// TestShutdownCutsTheStalled: when the caller has no more time, connections that
// are left are cut.
func TestShutdownCutsTheStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, closeAll := servePipe(t, Config{})
		defer closeAll()
		s.book("BTC-USD", "kraken", 1000, 2)
		s.dialAndStall()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if err := s.hub.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		if took := time.Since(begin); took != 10*time.Millisecond {
			t.Errorf("Shutdown took %v", took)
		}
	})
}

// TestStopWhileSymbolsAppear ends Run while patterns take in new symbols: who
// waits for a lane must give up.
func TestStopWhileSymbolsAppear(t *testing.T) {
	for range 20 {
		s := serve(t, Config{Lanes: 2})
		c := s.dial("?channel=quote&symbols=*")
		want[*wire.Ack](c)
		go func() {
			for i := range 50 {
				s.hub.instrumentHeard()
				_, _ = s.dir.Instrument("S"+string(rune('A'+i)), 0)
			}
		}()
		want[*wire.Ack](c)
		closed := make(chan struct{})
		go func() { defer close(closed); c.wantClose(websocket.CloseServiceRestart) }()
		s.stop()
		<-closed
	}
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, closeAll := servePipe(t, Config{Heartbeat: time.Second, ReadTimeout: 3 * time.Second})
		defer closeAll()
		c := s.dial("")
		pings := 0
		c.conn.SetPingHandler(func(string) error {
			pings++
			return c.conn.WriteControl(websocket.PongMessage, nil, time.Now().Add(time.Second))
		})
		begin := time.Now()
		for i := range 10 {
			h := want[*wire.Heartbeat](c)
			if at := time.Since(begin); at != time.Duration(i+1)*time.Second || h.TX != time.Now().UnixMicro() || h.Lag != 0 {
				t.Errorf("heartbeat %s after %v", c.last, at)
			}
		}
		if pings < 9 {
			t.Errorf("%d pings", pings)
		}
		// From here it answers no more.
		c.conn.SetPingHandler(func(string) error { return nil })
		c.wantClose(websocket.ClosePolicyViolation)
		if at := time.Since(begin); at > 14*time.Second {
			t.Errorf("closed after %v", at)
		}
	})
}

// TestShutdownWaitsNotForever: a client that does not answer the close frame does
// not hold up the end, whatever else it does.
func TestShutdownWaitsNotForever(t *testing.T) {
	for name, do := range map[string]func(c *websocket.Conn) error{
		"silent":   func(*websocket.Conn) error { return nil },
		"requests": func(c *websocket.Conn) error { return c.WriteMessage(websocket.TextMessage, []byte(`{"op":"ping"}`)) },
		"pings": func(c *websocket.Conn) error {
			return c.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, closeAll := servePipe(t, Config{Heartbeat: time.Hour, RequestRate: 1000, RequestBurst: 1000})
				defer closeAll()
				c := s.dial("")
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					_, _ = io.Copy(io.Discard, c.conn.NetConn())
				}()
				go func() {
					for do(c.conn) == nil {
						select {
						case <-time.After(10 * time.Millisecond):
						case <-ended:
							return
						}
					}
				}()
				time.Sleep(time.Second)
				begin := time.Now()
				if err := s.hub.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				if took := time.Since(begin); took > 3*closeGrace {
					t.Errorf("Shutdown took %v", took)
				}
				<-ended
			})
		})
	}
}

// TestLag: a client that was behind is told by how much.
func TestLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, closeAll := servePipe(t, Config{Heartbeat: 10 * time.Second, ReadTimeout: time.Hour})
		defer closeAll()
		s.book("BTC-USD", "kraken", 1000, 2)
		c := s.dialAndStall()
		time.Sleep(3 * time.Second)
		for {
			m, err := c.read()
			if err != nil {
				t.Fatal(err)
			}
			if h, ok := m.(*wire.Heartbeat); ok {
				if h.Lag != 3000 {
					t.Errorf("lag is %d ms", h.Lag)
				}
				return
			}
		}
	})
}

// TestWriteTimeout: where the operator wants it, a client that takes nothing is
// cut.
func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, closeAll := servePipe(t, Config{WriteTimeout: 2 * time.Second, Heartbeat: time.Hour})
		defer closeAll()
		s.book("BTC-USD", "kraken", 1000, 2)
		s.dialAndStall()
		time.Sleep(1900 * time.Millisecond)
		if n := s.sessions(); n != 1 {
			t.Errorf("%d sessions before the time", n)
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if n := s.sessions(); n != 0 {
			t.Errorf("%d sessions after the time", n)
		}
	})
}

// TestUnreadReplies: a client that asks and does not read is ended before its
// replies take much memory.
func TestUnreadReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, closeAll := servePipe(t, Config{RequestRate: 1e6, RequestBurst: 1e6, Heartbeat: time.Hour})
		defer closeAll()
		for i := range 2000 {
			s.symbol("SYMBOL-" + strings.Repeat("X", 20) + string(rune('A'+i%26)) + string(rune('A'+i/26%26)) + string(rune('A'+i/676)))
		}
		c := s.dial("")
		most := 0
		var err error
		for range 10_000 {
			// Acks of 2,000 streams, 200 kB each.
			if err = c.conn.WriteMessage(websocket.TextMessage, []byte(`{"op":"subscribe","channel":"trade","symbols":["*"]}`)); err != nil {
				break
			}
			synctest.Wait()
			s.hub.mu.Lock()
			for session := range s.hub.sessions {
				session.mu.Lock()
				most = max(most, session.queued)
				session.mu.Unlock()
			}
			s.hub.mu.Unlock()
		}
		if !errors.Is(err, io.ErrClosedPipe) || most > maxQueued || most < maxQueued/2 {
			t.Errorf("ended with %v, %d bytes were queued at most", err, most)
		}
		t.Logf("%d bytes were queued at most", most)
	})
}

// TestLinger: who comes back in time resumes with what changed, later with a
// snapshot, and then the topic has gone.
func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, closeAll := servePipe(t, Config{Linger: 10 * time.Second, Heartbeat: time.Hour})
		defer closeAll()
		s.book("BTC-USD", "kraken", 1000, 5)
		c := s.dial("")
		subscribe := func(resume string) {
			c.send(`{"op":"subscribe","channel":"book","symbols":["BTC-USD"],"interval":"0"%s}`, resume)
			want[*wire.Ack](c)
		}
		leave := func() {
			c.send(`{"op":"unsubscribe","channel":"book","symbols":["BTC-USD"]}`)
			want[*wire.Ack](c)
		}
		subscribe("")
		first := want[*wire.Snapshot](c)
		leave()
		time.Sleep(9 * time.Second)
		s.apply(s.level("BTC-USD", "kraken", 1, 999, 1))
		s.apply(s.level("BTC-USD", "kraken", 1, 999, 2))
		s.applied()
		subscribe(`,"resume":{"BTC-USD":{"epoch":"9f2c","seq":1}}`)
		if d := want[*wire.Delta](c); d.SID != first.SID || d.Prev != 1 || d.Seq != 2 {
			t.Errorf("first message is %s", c.last)
		}
		if d := want[*wire.Delta](c); d.Prev != 2 || d.Seq != 3 {
			t.Errorf("second message is %s", c.last)
		}
		leave()
		subscribe(`,"resume":{"BTC-USD":{"epoch":"9f2c","seq":3}}`)
		if d := want[*wire.Delta](c); d.Prev != 3 || d.Seq != 3 || !strings.Contains(c.last, `"n":0`) {
			t.Errorf("nothing has changed, and the message is %s", c.last)
		}
		leave()
		time.Sleep(21 * time.Second)
		s.apply(s.level("BTC-USD", "kraken", 1, 999, 3))
		s.applied()
		subscribe(`,"resume":{"BTC-USD":{"epoch":"9f2c","seq":3}}`)
		if g := want[*wire.Gap](c); g.From != 4 || g.To != 4 || g.Reason != gapResume || g.SID == first.SID {
			t.Errorf("gap is %s", c.last)
		}
		if m := want[*wire.Snapshot](c); m.Seq != 4 {
			t.Errorf("snapshot is %s", c.last)
		}
		leave()
		subscribe(`,"resume":{"BTC-USD":{"epoch":"9f2b","seq":4}}`)
		if m := want[*wire.Snapshot](c); m.Seq != 4 {
			t.Errorf("of another epoch: %s", c.last)
		}
	})
}

// TestHeldTopicStays: a topic whose time is over, but which a session is about to
// attach to, is not forgotten under its hands.
func TestHeldTopicStays(t *testing.T) {
	w := NewHub(Config{Directory: newTestDirectory(t), Linger: time.Second})
	l := w.lanes[0]
	key := topicKey{instrument: 1, channel: wire.ChannelQuote}
	held := l.open(key, 0)
	l.tick(int64(time.Hour))
	if l.topics[key] != held {
		t.Error("it was forgotten")
	}
	held.held--
	l.tick(int64(2 * time.Hour))
	if len(l.topics) != 0 || len(l.instrument(1).topics) != 0 {
		t.Error("it was kept")
	}
}

// TestClosedConnections: however a client goes, what it held is given back.
func TestClosedConnections(t *testing.T) {
	s := serve(t, Config{})
	s.book("BTC-USD", "kraken", 1000, 2)
	for _, leave := range []func(net.Conn){
		func(c net.Conn) { _ = c.Close() },
		func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() }, // reset
		func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() },
	} {
		c := s.dial("?channel=quote&symbols=BTC-*")
		want[*wire.Ack](c)
		leave(c.conn.NetConn())
		s.untilSessions(0)
	}
	s.hub.active.Wait()
	if err := s.hub.call(s.hub.lanes[0], func(int64) {
		for _, topic := range s.hub.lanes[0].topics {
			if len(topic.subs) != 0 || topic.held != 0 {
				t.Errorf("%d subscribers and %d holders are left", len(topic.subs), topic.held)
			}
		}
	}); err != nil {
		t.Error(err)
	}
}
