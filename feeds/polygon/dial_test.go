package polygon_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/feeds"
)

// The supervisor alone says when to try again: the library dials once.
func TestRefusedDialIsNotRepeated(t *testing.T) {
	var dials atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		dials.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(s.Close)
	p := policy
	p.InitialBackoff = time.Hour
	l := supervise(t, connector(t, "ws"+strings.TrimPrefix(s.URL, "http"), "stocks", "T.*"), p)
	l.awaitState(t, feeds.StateDown)
	if n := dials.Load(); n != 1 {
		t.Errorf("dialed %d times", n)
	}
}

// The library cannot be told to stop dialing. What comes of that when nobody wants
// it any more is closed.
func TestLateConnectionIsClosed(t *testing.T) {
	dialed, stopped, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(dialed)
		<-stopped
		c, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		for err == nil {
			_, _, err = c.ReadMessage()
		}
		if c != nil {
			_ = c.Close()
		}
		ended <- err
	}))
	l := supervise(t, connector(t, "ws"+strings.TrimPrefix(s.URL, "http"), "stocks", "T.*"), policy)
	<-dialed
	l.stop()
	close(stopped)
	select {
	case err := <-ended:
		if !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("it is still open")
		s.CloseClientConnections()
	}
	s.Close()
}
