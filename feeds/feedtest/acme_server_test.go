package feedtest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// acmeServer plays Acme. It has the methods of feedtest.Server; a simulator in
// package sim gets these, and more faults, for nothing.
type acmeServer struct {
	*httptest.Server
	mu    sync.Mutex
	conns map[*websocket.Conn]map[string]uint64 // number of the last message, by symbol held
	books map[string]map[string]int             // bids by price
	steps int
	mute  bool
	deny  bool
	wg    sync.WaitGroup
}

func startAcme(t testing.TB) *acmeServer {
	s := &acmeServer{
		conns: map[*websocket.Conn]map[string]uint64{},
		books: map[string]map[string]int{"BTC-USD": {"99": 1, "98": 2}, "ETH-USD": {"9.9": 1}},
	}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		s.Kill()
		s.Server.Close()
		s.wg.Wait()
	})
	return s
}

func (s *acmeServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	deny := s.deny
	s.wg.Add(1)
	s.mu.Unlock()
	defer s.wg.Done()
	if deny {
		http.Error(w, "closed", http.StatusServiceUnavailable)
		return
	}
	c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.conns[c] = map[string]uint64{}
	s.mu.Unlock()
	for {
		_, b, err := c.ReadMessage()
		s.mu.Lock()
		if err != nil {
			delete(s.conns, c)
			s.mu.Unlock()
			c.Close()
			return
		}
		s.received(c, b)
		s.mu.Unlock()
	}
}

func (s *acmeServer) received(c *websocket.Conn, b []byte) {
	var m struct{ Subscribe, Unsubscribe string }
	if json.Unmarshal(b, &m) != nil || s.conns[c] == nil {
		return
	}
	switch symbol := m.Subscribe + m.Unsubscribe; {
	case s.books[symbol] == nil:
		s.send(c, fmt.Sprintf(`{"refused":%q}`, symbol))
	case m.Unsubscribe != "":
		delete(s.conns[c], symbol)
		s.send(c, fmt.Sprintf(`{"unsubscribed":%q}`, symbol))
	default:
		s.send(c, fmt.Sprintf(`{"subscribed":%q}`, symbol))
		s.book(c, symbol, true, s.books[symbol])
	}
}

func (s *acmeServer) send(c *websocket.Conn, text string) {
	if !s.mute {
		c.WriteMessage(websocket.TextMessage, []byte(text))
	}
}

func (s *acmeServer) book(c *websocket.Conn, symbol string, image bool, bids map[string]int) {
	s.conns[c][symbol]++
	var levels []string
	for _, p := range slices.Sorted(maps.Keys(bids)) {
		levels = append(levels, fmt.Sprintf(`["%s","%d"]`, p, bids[p]))
	}
	s.send(c, fmt.Sprintf(`{"book":%q,"n":%d,"image":%t,"bids":[%s],"asks":[]}`, symbol, s.conns[c][symbol], image, strings.Join(levels, ",")))
}

// step changes a level of each book.
func (s *acmeServer) step(time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps++
	for symbol, book := range s.books {
		price := fmt.Sprintf("%d.5", 1+s.steps%9)
		book[price] = s.steps % 5
		for c, held := range s.conns {
			if _, ok := held[symbol]; ok {
				s.book(c, symbol, false, map[string]int{price: book[price]})
			}
		}
		if book[price] == 0 {
			delete(book, price)
		}
	}
	for c := range s.conns {
		s.send(c, `{"beat":1}`)
	}
}

func (s *acmeServer) URL() string { return "ws" + strings.TrimPrefix(s.Server.URL, "http") }

func (s *acmeServer) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
		delete(s.conns, c)
	}
}

func (s *acmeServer) CloseAll(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(time.Second))
		delete(s.conns, c)
	}
}

func (s *acmeServer) RefuseConnections(on bool) { s.mu.Lock(); s.deny = on; s.mu.Unlock() }
func (s *acmeServer) Mute(on bool)              { s.mu.Lock(); s.mute = on; s.mu.Unlock() }

func (s *acmeServer) SendRaw(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.WriteMessage(websocket.TextMessage, b)
	}
}

func (s *acmeServer) Connections() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.conns) }
