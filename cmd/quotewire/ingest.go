package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/normalizer"
	"github.com/quotewire/quotewire/orderbook"
)

// tape takes frames in the order in which they reach the books.
type tape interface{ Record(feeds.Frame) }

// ingest leads frames through their feed's decoder to the books.
type ingest struct {
	dir    *market.Directory
	logger *slog.Logger
	units  map[string]normalizer.SizeUnit // by feed name; shares where absent
	quotes []quoteConfig                  // what consolidated quotes go by
	prints tapeConfig                     // what bars and corrections go by
	// take gets the events of one frame; the batch is its own from then on.
	take func(context.Context, *orderbook.Batch) error
	// batch returns an empty batch.
	batch func() *orderbook.Batch

	// tape, if set, records. Then frames go one at a time from the tape to the
	// books, so that a replay of the file meets them in the very order in which
	// they were applied.
	tape  tape
	order sync.Mutex

	mu    sync.RWMutex
	feeds map[string]*feedIngest
	byID  map[market.FeedID]*feedIngest
}

// feedIngest is one feed's decoder and what came of its frames. Decoding belongs
// to the feed's goroutine; the counters may be read from anywhere.
type feedIngest struct {
	name, provider string
	id             market.FeedID
	decoder        normalizer.Decoder
	resync         feeds.Resyncer // nil where the feed cannot
	status         func() feeds.Status
	log            *rate.Limiter

	frames, events    atomic.Uint64
	unknownConditions atomic.Uint64

	mu      sync.Mutex
	refused map[normalizer.Cause]uint64
	samples []refusedFrame
}

// refusedFrame is what an operator sees of a frame that was refused.
type refusedFrame struct {
	Time   int64            `json:"time"` // receive time, µs since the Unix epoch
	Cause  normalizer.Cause `json:"cause"`
	Detail string           `json:"detail"`
	Bytes  int              `json:"bytes"` // of the whole frame
	Start  string           `json:"start"` // its first bytes
}

// Bounds of what is kept of refused frames.
const (
	maxSamples     = 10
	maxSampleBytes = 256
)

func newIngest(dir *market.Directory, logger *slog.Logger) *ingest {
	return &ingest{
		dir: dir, logger: logger,
		batch: func() *orderbook.Batch { return &orderbook.Batch{} },
		units: make(map[string]normalizer.SizeUnit),
		feeds: make(map[string]*feedIngest), byID: make(map[market.FeedID]*feedIngest),
	}
}

// add registers a feed; the first added takes precedence where two carry a venue.
func (in *ingest) add(name, provider string) (*feedIngest, error) {
	dec, err := normalizer.New(provider, normalizer.Config{Directory: in.dir, Feed: name, QuoteSizeUnit: in.units[name]})
	if err != nil {
		return nil, fmt.Errorf("feed %q: %w", name, err)
	}
	id, err := in.dir.Feed(name)
	if err != nil {
		return nil, fmt.Errorf("feed %q: %w", name, err)
	}
	f := &feedIngest{name: name, provider: provider, id: id, decoder: dec,
		log: rate.NewLimiter(rate.Every(time.Second), 3), refused: make(map[normalizer.Cause]uint64)}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.feeds[name], in.byID[id] = f, f
	return f, nil
}

func (in *ingest) feed(name string) *feedIngest {
	in.mu.RLock()
	defer in.mu.RUnlock()
	return in.feeds[name]
}

// list returns the feeds in the order in which they were added.
func (in *ingest) list() []*feedIngest {
	in.mu.RLock()
	defer in.mu.RUnlock()
	out := make([]*feedIngest, 0, len(in.feeds))
	for _, f := range in.feeds {
		out = append(out, f)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].id < out[j].id })
	return out
}

// frame takes one frame. A frame that is refused is counted and kept in part; it
// is no error here.
func (in *ingest) frame(ctx context.Context, f feeds.Frame) error {
	feed := in.feed(f.Feed)
	if feed == nil {
		// A recording names its feeds itself.
		var err error
		if feed, err = in.add(f.Feed, f.Provider); err != nil {
			return err
		}
	}
	if in.tape != nil {
		in.order.Lock()
		defer in.order.Unlock()
		in.tape.Record(f)
	}
	b := in.batch()
	var err error
	b.Events, err = feed.decoder.Decode(b.Events[:0], f)
	feed.frames.Add(1)
	feed.events.Add(uint64(len(b.Events)))
	if n := unknownConditions(b.Events); n > 0 {
		feed.unknownConditions.Add(n)
	}
	if err != nil {
		feed.refuse(in.logger, f, err)
	}
	return in.take(ctx, b)
}

// unknownConditions counts the prints with a sale condition that is in no table:
// what such a print may update is a guess.
func unknownConditions(events []market.Event) (n uint64) {
	for i := range events {
		if e := &events[i]; e.Kind == market.KindTrade && e.NumConditions > 0 && e.Updates().Unknown {
			n++
		}
	}
	return n
}

func (f *feedIngest) refuse(logger *slog.Logger, fr feeds.Frame, err error) {
	r := &normalizer.Refusal{Cause: "other", Detail: err.Error(), Count: 1}
	errors.As(err, &r)
	f.mu.Lock()
	f.refused[r.Cause] += uint64(max(r.Count, 1))
	if len(f.samples) == maxSamples {
		f.samples = append(f.samples[:0], f.samples[1:]...)
	}
	f.samples = append(f.samples, refusedFrame{Time: fr.Received / 1000, Cause: r.Cause, Detail: r.Detail,
		Bytes: len(fr.Payload), Start: string(fr.Payload[:min(len(fr.Payload), maxSampleBytes)])})
	f.mu.Unlock()
	if f.log.Allow() {
		logger.Warn("frame refused", "feed", f.name, "cause", string(r.Cause), "detail", r.Detail, "bytes", len(fr.Payload))
	}
}

// refusals returns how many parts of frames were refused, by cause.
func (f *feedIngest) refusals() map[normalizer.Cause]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[normalizer.Cause]uint64, len(f.refused))
	for c, n := range f.refused {
		out[c] = n
	}
	return out
}

// askResync passes a book's wish for a fresh image on to its feed. It is called
// from the books' goroutine and waits for nothing.
func (in *ingest) askResync(id market.FeedID, instrument market.InstrumentID, cause orderbook.Cause) {
	in.mu.RLock()
	f := in.byID[id]
	in.mu.RUnlock()
	if f == nil {
		return
	}
	symbol, ok := f.decoder.VenueSymbol(instrument)
	in.logger.Warn("book is not trusted", "feed", f.name, "symbol", symbol, "cause", cause.String())
	if ok && f.resync != nil {
		f.resync.Resync(symbol)
	}
}

// feedStatus is one feed in /v1/status: its connection, and what became of its
// frames.
type feedStatus struct {
	feeds.Status
	refused map[normalizer.Cause]uint64
	samples []refusedFrame
	events  uint64
	unknown uint64
}

// MarshalJSON adds to the connection's fields.
func (s feedStatus) MarshalJSON() ([]byte, error) {
	base, err := json.Marshal(s.Status)
	if err != nil {
		return nil, err
	}
	more, err := json.Marshal(struct {
		Events  uint64                      `json:"events"`
		Refused map[normalizer.Cause]uint64 `json:"refused,omitempty"`
		Samples []refusedFrame              `json:"refused_frames,omitempty"`
		Unknown uint64                      `json:"unknown_conditions,omitempty"`
	}{s.events, s.refused, s.samples, s.unknown})
	if err != nil {
		return nil, err
	}
	return append(append(base[:len(base)-1], ','), more[1:]...), nil
}

// statuses returns all feeds for /v1/status.
func (in *ingest) statuses() []feedStatus {
	out := []feedStatus{}
	for _, f := range in.list() {
		s := feedStatus{refused: f.refusals(), events: f.events.Load(), unknown: f.unknownConditions.Load()}
		if f.status != nil {
			s.Status = f.status()
		} else {
			s.Feed, s.Provider, s.State, s.Frames = f.name, f.provider, "replay", f.frames.Load()
		}
		f.mu.Lock()
		s.samples = append(s.samples, f.samples...)
		f.mu.Unlock()
		out = append(out, s)
	}
	return out
}
