package streamer

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"maps"
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
	lanes   []*lane
	writers []*writer
	served  atomic.Uint64 // sessions that were given a writer
	metrics *metrics
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
}

// ErrStopped is returned by calls to a hub whose Run has ended.
var ErrStopped = errors.New("streamer: hub stopped")

// NewHub returns a hub. It panics if cfg has no Directory.
func NewHub(cfg Config) *Hub {
	if cfg.Directory == nil {
		panic("streamer: Config.Directory is required")
	}
	cfg = cfg.withDefaults()
	h := &Hub{
		cfg: cfg, metrics: newMetrics(cfg.Metrics),
		sessions: make(map[*session]struct{}),
		heard:    make(chan struct{}, 1),
		stopped:  make(chan struct{}),
	}
	for range cfg.Lanes {
		h.lanes = append(h.lanes, newLane(h))
	}
	for range cfg.Writers {
		h.writers = append(h.writers, newWriter(h))
	}
	return h
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
	for _, l := range h.lanes {
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
	h.mu.Lock()
	delete(h.sessions, s)
	h.mu.Unlock()
	h.metrics.connections.Dec()
	h.metrics.closed.WithLabelValues(s.endReason).Inc()
	h.cfg.Logger.Debug("session ended", "session", s.id, "remote", s.remote, "reason", s.endReason)
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

func (h *Hub) lane(id market.InstrumentID) *lane { return h.lanes[int(id)%len(h.lanes)] }

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

// VenueHealth is a venue's state over all instruments, for /v1/status.
type VenueHealth struct {
	Venue string `json:"venue"`
	// Instruments by state: "live", "resyncing", "stale", "down", "halted".
	Instruments map[string]int `json:"instruments"`
}

// SymbolInfo is one instrument of /v1/symbols.
type SymbolInfo struct {
	Symbol        string   `json:"symbol"`
	Class         string   `json:"class"`
	Venues        []string `json:"venues"`
	PriceDecimals int      `json:"price_decimals"`
	SizeDecimals  int      `json:"size_decimals"`
	State         string   `json:"state"` // best state of any venue; "none" if nothing was heard yet
}

// Symbols returns all instruments, in the order in which they became known.
func (h *Hub) Symbols() ([]SymbolInfo, error) {
	list := h.cfg.Directory.Instruments(0)
	out := make([]SymbolInfo, len(list))
	for i, in := range list {
		out[i] = SymbolInfo{Symbol: in.Symbol, Class: in.Class.String(), Venues: []string{}, State: orderbook.StateNone.String()}
	}
	for n, l := range h.lanes {
		err := h.call(l, func(int64) {
			for i, in := range list {
				if int(in.ID)%len(h.lanes) != n || int(in.ID) >= len(l.instruments) || l.instruments[in.ID] == nil {
					continue
				}
				v := &l.instruments[in.ID].view
				o := &out[i]
				o.PriceDecimals, o.SizeDecimals = int(v.Scale.Price), int(v.Scale.Size)
				state := orderbook.StateNone
				for _, w := range v.Venues {
					o.Venues = append(o.Venues, l.venueName(w.Venue))
					if w.State != orderbook.StateNone && (state == orderbook.StateNone || w.State < state) {
						state = w.State
					}
				}
				o.State = state.String()
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Venues returns the health of every venue that was heard of.
func (h *Hub) Venues() ([]VenueHealth, error) {
	byVenue := make(map[market.VenueID]map[string]int)
	last := market.VenueID(0)
	for _, l := range h.lanes {
		err := h.call(l, func(int64) {
			for _, in := range l.instruments {
				if in == nil {
					continue
				}
				for _, w := range in.view.Venues {
					if w.State == orderbook.StateNone {
						continue
					}
					if byVenue[w.Venue] == nil {
						byVenue[w.Venue] = make(map[string]int)
						last = max(last, w.Venue)
					}
					byVenue[w.Venue][w.State.String()]++
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	out := []VenueHealth{}
	for id := market.VenueID(1); id <= last; id++ {
		if byVenue[id] != nil {
			out = append(out, VenueHealth{h.cfg.Directory.VenueName(id), byVenue[id]})
		}
	}
	return out, nil
}

// waitShort is how long handlers wait for things that should be there at once.
const waitShort = 5 * time.Second
