package binance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/quotewire/quotewire/feeds"
)

// connection is one connection to Binance, of one socket or of several.
type connection struct {
	connector *Connector
	attempt   *feeds.Attempt
	snapshots *feeds.Snapshots
	sockets   []*socket
	ctx       context.Context // of its life
	cancel    context.CancelFunc
	running   sync.WaitGroup
	messages  chan message     // of several sockets
	last      message          // whose payload is in use
	pace      *rate.Limiter    // of requests that follow
	mu        sync.Mutex       // over asked and requests
	asked     map[int][]string // symbols whose diffs a request subscribed, by its number
	requests  int
	leaving   error // the next Next returns it
}

// socket is one WebSocket.
type socket struct {
	ws   *feeds.WS
	path string // of its streams
	// since is when its reader began to wait for a message, ns since the Unix
	// epoch; 0 while it does not.
	since atomic.Int64
}

// message is what a socket's reader hands over. It reads on, over the payload,
// when something is sent to taken.
type message struct {
	payload []byte
	binary  bool
	err     error
	taken   chan struct{}
}

// dial opens a socket and subscribes its streams. Requests are spaced: Binance
// cuts a connection that sends more than 5 a second, of futures 10.
func (c *connection) dial(p plan) error {
	ws, err := feeds.DialWS(c.ctx, feeds.WSConfig{
		URL:       c.connector.config.URL + p.path,
		ReadLimit: readLimit,
		PingEvery: pingEvery,
		// A request, because its answer is a message and so feeds the watch over
		// silence.
		IdlePing: fmt.Appendf(nil, `{"method":"LIST_SUBSCRIPTIONS","id":%d}`, listID),
		NetDial:  c.connector.config.NetDial,
	})
	if err != nil {
		return err
	}
	c.sockets = append(c.sockets, &socket{ws: ws, path: p.path})
	for i, batch := range p.batches {
		if i > 0 {
			if err := pause(c.ctx, c.connector.config.Market.spec().subscribeEvery); err != nil {
				return err
			}
		}
		if err := c.subscribe(ws, batch); err != nil {
			return err
		}
	}
	return nil
}

// subscribe sends one request for streams.
func (c *connection) subscribe(ws *feeds.WS, streams []string) error {
	c.mu.Lock()
	c.requests++
	id := c.requests
	for _, stream := range streams {
		if _, channel, _ := strings.Cut(stream, "@"); diffs(channel) {
			c.asked[id] = append(c.asked[id], symbolOf(stream))
		}
	}
	c.mu.Unlock()
	if err := ws.WriteJSON(request{"SUBSCRIBE", streams, id}); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// start starts what runs beside Next.
func (c *connection) start() {
	c.running.Go(func() { c.snapshots.Run(c.ctx) })
	if len(c.sockets) == 1 {
		return
	}
	c.messages = make(chan message)
	for _, s := range c.sockets {
		c.running.Go(func() { c.read(s) })
	}
	c.running.Go(func() { c.watch() })
}

// read hands the messages of one of several sockets to Next.
func (c *connection) read(s *socket) {
	taken := make(chan struct{})
	for {
		s.since.Store(time.Now().UnixNano())
		payload, binary, err := s.ws.Next()
		s.since.Store(0)
		select {
		case <-c.ctx.Done():
			return
		case c.messages <- message{payload, binary, err, taken}:
		}
		if err != nil {
			return
		}
		select {
		case <-c.ctx.Done():
			return
		case <-taken:
		}
	}
}

// watch ends the connection when one of several sockets is mute: the supervisor,
// which watches over all of them together, would not see it.
func (c *connection) watch() {
	tick := time.NewTicker(Mute / 10)
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		for _, s := range c.sockets {
			since := s.since.Load()
			if since == 0 || time.Since(time.Unix(0, since)) < Mute {
				continue
			}
			err := &feeds.DisconnectError{Cause: feeds.CauseMute, Err: fmt.Errorf("no message for %v on one of %d sockets", Mute, len(c.sockets))}
			select {
			case <-c.ctx.Done():
			case c.messages <- message{err: err}:
			}
			return
		}
	}
}

// Next implements [feeds.Connection].
func (c *connection) Next() ([]byte, bool, error) {
	if c.leaving != nil {
		return nil, false, c.leaving
	}
	payload, binary, err := c.next()
	if err != nil {
		return nil, false, err
	}
	c.inspect(payload)
	return payload, binary, nil
}

func (c *connection) next() ([]byte, bool, error) {
	if c.messages == nil {
		return c.sockets[0].ws.Next()
	}
	if c.last.taken != nil {
		select {
		case <-c.ctx.Done():
			return nil, false, c.ctx.Err()
		case c.last.taken <- struct{}{}:
		}
	}
	select {
	case <-c.ctx.Done():
		return nil, false, c.ctx.Err()
	case c.last = <-c.messages:
		return c.last.payload, c.last.binary, c.last.err
	}
}

// inspect looks for answers to our requests, and for the server's farewell.
func (c *connection) inspect(payload []byte) {
	if isShutdown(payload) {
		c.leaving = &feeds.DisconnectError{Cause: feeds.CauseLost, Err: errors.New("the server is about to shut down")}
		return
	}
	a, ok := readAnswer(payload)
	if !ok {
		return
	}
	if p := a.problem(); p != "" {
		c.attempt.Problem(p)
		return
	}
	c.mu.Lock()
	symbols := c.asked[*a.ID]
	delete(c.asked, *a.ID)
	c.mu.Unlock()
	for _, s := range symbols {
		_ = c.snapshots.Ask(s) // fails when the connection has ended
	}
}

// Resync asks for the book of one symbol again: a snapshot over REST, which
// neither the streams nor other books notice.
func (c *connection) Resync(symbol string) error {
	for _, ch := range c.connector.config.Channels {
		if diffs(ch) {
			return c.snapshots.Ask(symbol)
		}
	}
	return errors.New("no books are subscribed that need snapshots")
}

// Close implements [feeds.Connection].
func (c *connection) Close() {
	c.cancel()
	var closing sync.WaitGroup
	for _, s := range c.sockets {
		closing.Go(s.ws.Close)
	}
	closing.Wait()
	c.running.Wait()
	c.connector.rest.CloseIdle()
}
