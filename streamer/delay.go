package streamer

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// UpdateCodec turns updates into bytes and back, where they wait for delayed
// clients. It is used by one goroutine at a time.
type UpdateCodec interface {
	// Append appends an update.
	Append(dst []byte, u *orderbook.Update) []byte
	// Decode makes u what was appended, with its instrument and venues as they
	// were, reusing the memory of its slices.
	Decode(data []byte, u *orderbook.Update) error
}

// maxSkew is how far a venue's clock may be ahead of ours and still count for
// when what it says is old enough. One that is further ahead is wrong, and would
// hold back all that comes after.
const maxSkew = int64(time.Minute)

// segmentBytes is how much of a delay line is compressed at once.
const segmentBytes = 256 << 10

// delayLine holds updates back until they are old enough, in the order in which
// they came. What waits is compressed and bounded; what does not fit is left out,
// and the caller has to make up for it. It belongs to one goroutine.
type delayLine struct {
	delay int64
	limit int64 // bytes of sealed segments
	codec UpdateCodec
	enc   *zstd.Encoder
	dec   *zstd.Decoder

	sealed []segment // compressed, the oldest first
	first  int       // of sealed, what is before it has been read
	bytes  int64     // in sealed
	open   []byte    // being filled
	read   []byte    // being read
	at     int       // in read
	last   int64     // when the newest is old enough
	count  int       // updates that wait
}

// segment is a run of records, compressed.
type segment struct {
	data []byte
	size int // when it is not
}

// minDelayBytes is the least that a line may hold.
const minDelayBytes = 64 << 10

// recordHead is the head of a record: when it is old enough, and its length.
const recordHead = 8 + 4

func newDelayLine(delay time.Duration, limit int64, codec UpdateCodec) (*delayLine, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("delay line: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fmt.Errorf("delay line: %w", err)
	}
	return &delayLine{delay: int64(delay), limit: limit, codec: codec, enc: enc, dec: dec}, nil
}

// close frees what the line holds.
func (d *delayLine) close() {
	_ = d.enc.Close()
	d.dec.Close()
	d.sealed, d.open, d.read, d.count = nil, nil, nil, 0
}

// put takes an update at the time; false if it does not fit.
func (d *delayLine) put(u *orderbook.Update, now int64) bool {
	if d.bytes >= d.limit {
		return false
	}
	d.last = max(d.last, youngest(u, now)+d.delay)
	at := len(d.open)
	d.open = binary.LittleEndian.AppendUint64(d.open, uint64(d.last))
	d.open = append(d.open, 0, 0, 0, 0)
	d.open = d.codec.Append(d.open, u)
	binary.LittleEndian.PutUint32(d.open[at+8:], uint32(len(d.open)-at-recordHead))
	d.count++
	if len(d.open) >= segmentBytes {
		s := segment{d.enc.EncodeAll(d.open, nil), len(d.open)}
		d.sealed = append(d.sealed, s)
		d.bytes += int64(cap(s.data))
		d.open = d.open[:0]
	}
	return true
}

// youngest returns the latest time that an update tells, or at which it came: by
// the venue's clock and by ours.
func youngest(u *orderbook.Update, now int64) int64 {
	rx, ts := max(now, u.Received), u.Time
	for i := range u.Trades {
		rx, ts = max(rx, u.Trades[i].Received), max(ts, u.Trades[i].Time)
	}
	ts = max(ts, u.Quote.Time, u.Ticker.Time)
	return max(min(rx, now+maxSkew), min(ts, now+maxSkew))
}

// due returns when the next update is old enough, false if none waits.
func (d *delayLine) due() (int64, bool) {
	if !d.fill() {
		return 0, false
	}
	return int64(binary.LittleEndian.Uint64(d.read[d.at:])), true
}

// take makes u the next update, if it is old enough.
func (d *delayLine) take(u *orderbook.Update, now int64) (bool, error) {
	due, ok := d.due()
	if !ok || due > now {
		return false, nil
	}
	n := int(binary.LittleEndian.Uint32(d.read[d.at+8:]))
	data := d.read[d.at+recordHead:][:n]
	d.at += recordHead + n
	d.count--
	return true, d.codec.Decode(data, u)
}

// fill makes sure that there is something to read, if anything waits.
func (d *delayLine) fill() bool {
	if d.at < len(d.read) {
		return true
	}
	d.at = 0
	if d.first < len(d.sealed) {
		s := d.sealed[d.first]
		d.sealed[d.first] = segment{}
		d.first++
		if d.first*2 >= len(d.sealed) {
			d.sealed = append(d.sealed[:0], d.sealed[d.first:]...)
			d.first = 0
		}
		d.bytes -= int64(cap(s.data))
		var err error
		if d.read, err = d.dec.DecodeAll(s.data, d.read[:0]); err != nil || len(d.read) != s.size {
			panic(fmt.Sprintf("streamer: a delay line cannot read what it wrote: %v", err))
		}
		return true
	}
	d.read, d.open = d.open, d.read[:0]
	return len(d.read) > 0
}

// tier is what a lane that is in real time knows of one that lags behind it.
type tier struct {
	lane *lane
	// owed are the instruments of which the other lane misses updates: it gets
	// their state as soon as there is room.
	owed map[market.InstrumentID]struct{}
}

// passOn hands a batch that has been applied to the lanes that lag behind, or
// back. It waits for nobody: a lane that cannot take it is owed the state.
func (l *lane) passOn(b *updateBatch) {
	b.users.Store(int32(len(l.tiers)) + 1)
	for i := range l.tiers {
		t := &l.tiers[i]
		select {
		case t.lane.in <- b:
		default:
			for i := range b.updates {
				t.owe(b.updates[i].Instrument)
			}
			l.hub.metrics.delayDropped.Add(float64(len(b.updates)))
			b.release()
		}
	}
	b.release()
}

func (t *tier) owe(id market.InstrumentID) {
	if id == 0 {
		return
	}
	if t.owed == nil {
		t.owed = make(map[market.InstrumentID]struct{})
	}
	t.owed[id] = struct{}{}
}

// owedWait is how soon a lane tries again to hand on a state.
const owedWait = 50 * time.Millisecond

// settle hands the state of instruments that are owed, as many as fit.
func (l *lane) settle(t *tier) {
	// Nobody else fills the queue: where there is room, it does not block.
	for len(t.owed) > 0 && len(t.lane.in) < cap(t.lane.in) {
		b := &updateBatch{}
		b.users.Store(1)
		for id := range t.owed {
			delete(t.owed, id)
			if v := &l.instrument(id).view; v.Seq > 0 {
				b.updates = append(b.updates, orderbook.Update{})
				v.Snapshot(&b.updates[len(b.updates)-1])
			}
			if len(b.updates) == maxBatch {
				break
			}
		}
		t.lane.in <- b
	}
}

// hold takes a batch into the lane's delay line.
func (l *lane) hold(b *updateBatch, now int64) {
	var missed []market.InstrumentID
	for i := range b.updates {
		if b.updates[i].Instrument == 0 {
			continue // the updates tell the watermark too
		}
		if !l.line.put(&b.updates[i], now) {
			missed = append(missed, b.updates[i].Instrument)
		}
	}
	b.release()
	l.hub.metrics.delayBytes.Add(float64(l.line.bytes - l.lineBytes))
	l.hub.metrics.delayWaiting.Add(float64(l.line.count - l.lineCount))
	l.lineBytes, l.lineCount = l.line.bytes, l.line.count
	if len(missed) == 0 {
		return
	}
	l.hub.metrics.delayDropped.Add(float64(len(missed)))
	for _, id := range missed {
		l.missed[id] = struct{}{}
	}
}

// serve applies updates that have become old enough, and asks for the state of
// those that did not fit once there is room.
func (l *lane) serve(now int64) {
	for range maxBatch {
		ok, err := l.line.take(&l.late, now)
		if !ok {
			break
		}
		if err != nil {
			// What the codec cannot read it wrote itself.
			l.hub.metrics.gaps.Inc()
			l.hub.cfg.Logger.Error("delayed update lost", "err", err)
			continue
		}
		l.advance(l.late.Watermark, now)
		l.update(&l.late, now)
	}
	if len(l.missed) == 0 || l.line.bytes >= l.line.limit*7/8 {
		return
	}
	missed := l.missed
	l.missed = make(map[market.InstrumentID]struct{})
	source := l.source
	source.mail.post(func(int64) {
		for i := range source.tiers {
			if t := &source.tiers[i]; t.lane == l {
				for id := range missed {
					t.owe(id) // the lane settles it when it comes round
				}
			}
		}
	})
}
