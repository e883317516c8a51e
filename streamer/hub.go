package streamer

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"maps"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// Hub serves clients from lanes of state. Make one with [NewHub], feed it through
// [Hub.Sink], run it with [Hub.Run] and mount its [Hub.Handler].
type Hub struct {
	cfg     Config
	lanes   []*lane         // in real time
	delayed []*lane         // as many for each of delays
	delays  []time.Duration // the shortest first
	ledger  ledger
	writers []*writer
	loaded  atomic.Uint64 // writers that have much to do, a bit each
	served  atomic.Uint64 // sessions that were given a writer
	metrics *metrics
	packer  *packer
	spool   spool
	sids    atomic.Uint64

	mu       sync.Mutex // over sessions and closing
	sessions map[*session]struct{}
	closing  bool
	active   sync.WaitGroup // sessions being served

	heard   chan struct{} // an instrument was heard of for the first time
	known   market.InstrumentID
	stopped chan struct{} // closed when Run has ended
	inline  bool          // no goroutines: calls of lanes run at once
	awaits  bool          // symbols that are not known are waited for

	watermarks []watermarks // of the lanes in real time, then of each of delays
}

// ErrStopped is returned by calls to a hub whose Run has ended.
var ErrStopped = errors.New("streamer: hub stopped")

// NewHub returns a hub. It panics if cfg has no Directory, or delays and no codec.
func NewHub(cfg Config) *Hub {
	if cfg.Directory == nil {
		panic("streamer: Config.Directory is required")
	}
	cfg = cfg.withDefaults()
	h := &Hub{
		cfg: cfg, metrics: newMetrics(cfg.Metrics), packer: newPacker(),
		sessions: make(map[*session]struct{}),
		heard:    make(chan struct{}, 1),
		stopped:  make(chan struct{}),
	}
	h.ledger = newLedger(&h.cfg, h.metrics)
	h.delays = slices.Compact(slices.Sorted(slices.Values(cfg.Delays)))
	h.watermarks = make([]watermarks, 1+len(h.delays))
	for i := range h.watermarks {
		h.watermarks[i].lanes = make([]atomic.Int64, cfg.Lanes)
	}
	for i := range cfg.Lanes {
		h.lanes = append(h.lanes, newLane(h, i, 0))
	}
	for i, d := range h.delays {
		for _, l := range h.lanes {
			h.delayed = append(h.delayed, newDelayedLane(l, d, i+1))
		}
	}
	for i := range cfg.Writers {
		h.writers = append(h.writers, newWriter(h, i))
	}
	if cfg.Metrics != nil {
		cfg.Metrics.MustRegister(queues{h})
	}
	return h
}

// newDelayedLane returns a lane that lags behind another.
func newDelayedLane(source *lane, delay time.Duration, nth int) *lane {
	h := source.hub
	if h.cfg.NewCodec == nil {
		panic("streamer: Config.NewCodec is required with Delays")
	}
	line, err := newDelayLine(delay, max(h.cfg.DelayBytes/int64(len(h.delays)*len(h.lanes)), minDelayBytes), h.cfg.NewCodec())
	if err != nil {
		panic(err) // of options that do not depend on anything
	}
	l := newLane(h, source.number, nth)
	l.delay, l.source, l.line = delay, source, line
	l.missed = make(map[market.InstrumentID]struct{})
	source.tiers = append(source.tiers, tier{lane: l})
	return l
}

// Sink returns what hands a shard's updates to the i-th lane. Instruments must
// be spread over shards as over lanes, number modulo their count. The sink blocks
// while the lane's queue is full, until Run ends.
func (h *Hub) Sink(i int) orderbook.Sink {
	return &laneSink{lane: h.lanes[i], stopped: h.stopped}
}

// Run runs the lanes until ctx ends, and returns its error. Sessions that are
// still served then are ended and waited for, which takes a few seconds at most.
func (h *Hub) Run(ctx context.Context) error {
	lanes, ctx := errgroup.WithContext(ctx)
	for _, l := range slices.Concat(h.lanes, h.delayed) {
		lanes.Go(func() error { return l.run(ctx) })
	}
	var listener sync.WaitGroup
	listener.Go(func() {
		for {
			select {
			case <-h.heard:
				h.takeIn()
			case <-h.stopped:
				return
			}
		}
	})
	var writers sync.WaitGroup
	stop := make(chan struct{})
	for _, w := range h.writers {
		writers.Go(func() { w.run(stop) })
	}
	err := lanes.Wait()
	// Who waits for a lane gives up, so that nothing below can.
	close(h.stopped)
	listener.Wait()
	h.endAll()
	h.active.Wait()
	close(stop)
	writers.Wait()
	h.spool.close()
	return err
}

// writer returns who is to write for the next session.
func (h *Hub) writer() *writer {
	return h.writers[h.served.Add(1)%uint64(len(h.writers))]
}

// endAll ends all sessions, and no more begin.
func (h *Hub) endAll() []*session {
	h.mu.Lock()
	h.closing = true
	sessions := slices.Collect(maps.Keys(h.sessions))
	h.mu.Unlock()
	for _, s := range sessions {
		s.end(reasonShutdown)
	}
	return sessions
}

// Shutdown tells every client that the server stops, when to come back, and ends
// the sessions. It waits until they have ended; when ctx ends before, it cuts
// those that are left and returns its error. Run must still be running.
func (h *Hub) Shutdown(ctx context.Context) error {
	sessions := h.endAll()
	cut := context.AfterFunc(ctx, func() {
		for _, s := range sessions {
			if c := s.connection(); c != nil {
				_ = c.net.Close()
			}
		}
	})
	h.active.Wait()
	if !cut() {
		return ctx.Err()
	}
	return nil
}

// comeBack returns in how many ms a client is to come back: spread, so that those
// of a full server do not come all at once.
func (h *Hub) comeBack() int64 {
	h.mu.Lock()
	n := len(h.sessions)
	h.mu.Unlock()
	spread := min(max(int64(n), 1000), 30_000) // so that 1,000 come in a second
	return 500 + mathrand.Int64N(spread)
}

// register takes in a session; false if the hub is full or stopping.
func (h *Hub) register(s *session) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing || len(h.sessions) >= h.cfg.MaxConnections {
		h.metrics.rejected.Inc()
		return false
	}
	h.sessions[s] = struct{}{}
	h.active.Add(1)
	h.metrics.accepted.Inc()
	h.metrics.connections.Inc()
	return true
}

// unregister ends all that a session holds.
func (h *Hub) unregister(s *session) {
	s.unsubscribeAll()
	for i := range h.watermarks {
		h.watermarks[i].leave(s)
	}
	// Counted before it is gone: who sees it gone finds it counted.
	h.metrics.connections.Dec()
	h.metrics.closed.WithLabelValues(s.endReason()).Inc()
	h.mu.Lock()
	delete(h.sessions, s)
	h.mu.Unlock()
	s.leave()
	h.cfg.Logger.Debug("session ended", "session", s.id, "remote", s.remote, "reason", s.endReason())
	h.active.Done()
}

// instrumentHeard is called by a lane that hears of an instrument for the first
// time.
func (h *Hub) instrumentHeard() {
	select {
	case h.heard <- struct{}{}:
	default:
	}
}

// takeIn gives sessions that follow patterns the instruments that are new.
func (h *Hub) takeIn() {
	fresh := h.cfg.Directory.Instruments(h.known)
	if len(fresh) == 0 {
		return
	}
	h.known = fresh[len(fresh)-1].ID
	h.mu.Lock()
	sessions := slices.Collect(maps.Keys(h.sessions))
	h.mu.Unlock()
	for _, s := range sessions {
		s.takeIn(fresh)
	}
}

// lane returns the lane whose topics have a key.
func (h *Hub) lane(key *topicKey) *lane {
	n := len(h.lanes)
	i := int(key.instrument) % n
	if key.delay == 0 {
		return h.lanes[i]
	}
	d, _ := slices.BinarySearch(h.delays, key.delay)
	return h.delayed[d*n+i]
}

// grantDelay returns the delay that is served for one that is to be kept; false
// if there is none that is long enough.
func (h *Hub) grantDelay(d time.Duration) (time.Duration, bool) {
	if d == 0 {
		return 0, true
	}
	i, _ := slices.BinarySearch(h.delays, d)
	if i == len(h.delays) {
		return 0, false
	}
	return h.delays[i], true
}

// call runs fn in the lane's goroutine and waits for it.
func (h *Hub) call(l *lane, fn func(now int64)) error {
	if h.inline {
		l.now = h.cfg.Now()
		fn(l.now)
		return nil
	}
	done := make(chan struct{})
	l.mail.post(func(now int64) {
		fn(now)
		close(done)
	})
	select {
	case <-done:
		return nil
	case <-h.stopped:
		return ErrStopped
	}
}

// newID returns a session's identifier.
func newID() string {
	var b [8]byte
	// Never fails: crypto/rand ends the program instead.
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// waitShort is how long handlers wait for things that should be there at once.
const waitShort = 5 * time.Second
