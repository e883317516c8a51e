package feedtest

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// Peer is a provider that does what a test says and remembers when it heard what,
// for rules that a simulated provider has no reason to show: limits, pauses,
// refusals. It listens on a [Pipe], so that it can live in a synctest bubble. The
// fields are set before somebody dials.
type Peer struct {
	*Pipe
	// Greet returns what a new connection is told first; nil is nothing.
	Greet func() []string
	// Answer returns what a message is answered with; nil answers nothing.
	Answer func(message string) []string
	// REST answers requests that do not open a WebSocket; nil refuses them.
	REST http.HandlerFunc
	// Deaf, while it is set, leaves protocol pings without an answer.
	Deaf atomic.Bool

	began time.Time
	mu    sync.Mutex
	heard []Heard
	conns []chan string // what is to be said, by connection
}

// Heard is what a Peer was told.
type Heard struct {
	At   time.Duration // since NewPeer
	Conn int           // the WebSocket, by order; -1 for a request over REST
	Text string        // the message, or what was asked

	Binary bool // the message is a binary one
}

// peerQueue is how much may wait to be said. A queue, because a connector that
// sends a lot does not read meanwhile, and a Pipe holds nothing.
const peerQueue = 10_000

// NewPeer returns a Peer that serves until the test ends.
func NewPeer(tb testing.TB) *Peer {
	tb.Helper()
	p := &Peer{Pipe: NewPipe(), began: time.Now()}
	hs := &http.Server{Handler: p}
	served := make(chan struct{})
	go func() { defer close(served); _ = hs.Serve(p) }()
	tb.Cleanup(func() {
		_ = hs.Close() // and with it the Pipe
		<-served
	})
	return p
}

// ServeHTTP implements [http.Handler].
func (p *Peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !websocket.IsWebSocketUpgrade(r) {
		p.hear(Heard{Conn: -1, Text: r.URL.RequestURI()})
		if p.REST == nil {
			http.NotFound(w, r)
			return
		}
		p.REST(w, r)
		return
	}
	ws, err := new(websocket.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	defer func() { _ = ws.Close() }()
	answer := ws.PingHandler()
	ws.SetPingHandler(func(data string) error {
		if p.Deaf.Load() {
			return nil
		}
		return answer(data)
	})
	say := make(chan string, peerQueue)
	if p.Greet != nil {
		for _, text := range p.Greet() {
			say <- text
		}
	}
	p.mu.Lock()
	n := len(p.conns)
	p.conns = append(p.conns, say)
	p.mu.Unlock()
	gone := make(chan struct{})
	var writing sync.WaitGroup
	defer writing.Wait()
	defer close(gone)
	writing.Go(func() {
		for {
			select {
			case <-gone:
				return
			case text := <-say:
				if ws.WriteMessage(websocket.TextMessage, []byte(text)) != nil {
					return
				}
			}
		}
	})
	for {
		kind, b, err := ws.ReadMessage()
		if err != nil {
			return
		}
		p.hear(Heard{Conn: n, Text: string(b), Binary: kind == websocket.BinaryMessage})
		if p.Answer == nil {
			continue
		}
		for _, text := range p.Answer(string(b)) {
			say <- text
		}
	}
}

func (p *Peer) hear(h Heard) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.At = time.Since(p.began)
	p.heard = append(p.heard, h)
}

// Heard returns what was heard so far.
func (p *Peer) Heard() []Heard {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.heard)
}

// Say sends a message to the connection that was made last, after what waits.
func (p *Peer) Say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[len(p.conns)-1] <- text
}
