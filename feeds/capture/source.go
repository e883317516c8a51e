package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

// Source replays one capture, or several merged, as a feeds.Source. Frames come
// in the order of their receive times; at the same time, those of the file named
// first come first, and within a file its own order is kept always, also where
// its times go back. The same files thus give the same frames in the same
// order, at any speed. Frames are emitted as they were recorded, Received
// included. The fields are not changed while Run is at work.
type Source struct {
	// Files are the captures, at least one.
	Files []string
	// Together replays the files side by side, as one market, though they were made
	// one after the other: all begin when the earliest does, by their receive
	// times, and the replay ends with the first that ends.
	Together bool
	// Speed is how many times faster than recorded the frames come: 1 as they
	// were recorded, 10 ten times as fast, down to 0.001. 0 means as fast as
	// they are taken.
	//
	// The pace follows the receive times. A source that was held up catches up.
	Speed float64
	// MaxGap bounds the time between two frames that pacing believes, in
	// recorded time, in both directions; 0 means one minute. A longer silence, or a clock
	// that was set forward, is waited for as MaxGap. Frames whose time goes back are
	// not waited for; where it goes back by more than MaxGap the clock was set
	// back, and the pace goes on from there.
	MaxGap time.Duration
	// OnProgress, if set, is called from Run as reading moves on, block by
	// block, with the bytes read and the size of all files. The sum may end
	// short of total where a file is damaged.
	OnProgress func(done, total int64)
	// OnDamage, if set, is called from Run where a capture is damaged or
	// truncated (err is, or wraps, [*CorruptError] or [ErrTruncated]). If it
	// returns nil the replay goes on behind the damage, with a feeds.Lost frame for every
	// feed of that file seen so far, because which of them lost frames is not
	// known; its payload is the number lost over all of them. Without
	// OnDamage, damage ends Run with the error, once all that came before it in
	// its file was emitted.
	OnDamage func(file string, err error) error
}

// track is one file of a replay.
type track struct {
	path string
	r    *Reader
	f    feeds.Frame // the next frame
	done bool

	seen  []feedKey
	queue []feeds.Frame // Lost frames to be emitted before going on
	last  int64         // receive time of the latest frame
	shift int64         // added to its receive times
}

// Run emits the frames of the files. It returns nil at their end, ctx.Err() if
// ctx ended, the error of emit as it is, and otherwise what was wrong with a file.
func (s *Source) Run(ctx context.Context, emit func(feeds.Frame) error) error {
	if len(s.Files) == 0 {
		return errors.New("replay: no capture given")
	}
	if s.Speed != 0 && !(s.Speed >= 0.001) {
		return fmt.Errorf("replay: speed %v is neither 0 nor at least 0.001", s.Speed)
	}
	tracks := make([]*track, 0, len(s.Files))
	defer func() {
		for _, t := range tracks {
			t.r.Close() // read only: nothing can be lost
		}
	}()
	var total int64
	for _, path := range s.Files {
		r, err := Open(path)
		if err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		tracks = append(tracks, &track{path: path, r: r})
		st, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		total += st.Size()
	}
	for _, t := range tracks {
		if err := s.advance(t); err != nil {
			return err
		}
	}
	if s.Together {
		first := tracks[0].f.Received
		for _, t := range tracks {
			first = min(first, t.f.Received)
		}
		for _, t := range tracks {
			t.shift = first - t.f.Received
		}
	}
	p := pacer{speed: s.Speed, maxGap: s.MaxGap}
	if p.maxGap <= 0 {
		p.maxGap = time.Minute
	}
	defer p.stop()
	reported := int64(-1)
	for {
		if s.OnProgress != nil {
			var done int64
			for _, t := range tracks {
				done += t.r.Offset()
			}
			if done != reported {
				reported = done
				s.OnProgress(done, total)
			}
		}
		var next *track
		for _, t := range tracks {
			if t.done && s.Together {
				return nil
			}
			if !t.done && (next == nil || t.f.Received+t.shift < next.f.Received+next.shift) {
				next = t
			}
		}
		if next == nil {
			return nil
		}
		f := next.f
		f.Received += next.shift
		if err := p.wait(ctx, f.Received); err != nil {
			return err
		}
		if err := emit(f); err != nil {
			return err
		}
		if err := s.advance(next); err != nil {
			return err
		}
	}
}

// advance reads the track's next frame.
func (s *Source) advance(t *track) error {
	for len(t.queue) == 0 {
		f, err := t.r.Next()
		switch {
		case err == nil:
			t.note(f)
			return nil
		case err == io.EOF:
			t.done = true
			return nil
		}
		if done, err := s.damage(t, err); err != nil || done {
			t.done = true
			return err
		}
	}
	t.f, t.queue = t.queue[0], t.queue[1:]
	return nil
}

func (t *track) note(f feeds.Frame) {
	t.f, t.last = f, f.Received
	k := feedKey{f.Feed, f.Provider}
	// Frames of one feed mostly follow each other, and feeds are few.
	for i := len(t.seen) - 1; i >= 0; i-- {
		if t.seen[i] == k {
			t.seen[i], t.seen[len(t.seen)-1] = t.seen[len(t.seen)-1], k
			return
		}
	}
	t.seen = append(t.seen, k)
}

// damage asks what to do about err and goes on behind it; done tells that
// nothing follows.
func (s *Source) damage(t *track, err error) (done bool, _ error) {
	var c *CorruptError
	if s.OnDamage == nil || !errors.Is(err, ErrTruncated) && !errors.As(err, &c) {
		return true, fmt.Errorf("replay %s: %w", t.path, err)
	}
	if err := s.OnDamage(t.path, err); err != nil {
		return true, err
	}
	lost, skip := t.r.SkipBlock()
	if errors.Is(skip, ErrTruncated) {
		if c == nil {
			return true, nil
		}
		return true, s.OnDamage(t.path, skip)
	}
	if skip != nil {
		return true, fmt.Errorf("replay %s: %w", t.path, skip)
	}
	if lost > 0 {
		n := strconv.AppendUint(nil, lost, 10)
		for _, k := range t.seen {
			t.queue = append(t.queue, feeds.Frame{Kind: feeds.Lost, Feed: k.name, Provider: k.provider, Received: t.last, Payload: n})
		}
	}
	return false, nil
}

// pacer waits until frames are due.
type pacer struct {
	speed  float64
	maxGap time.Duration

	begun bool
	start time.Time
	at    int64         // the recorded time that the pace has come to
	due   time.Duration // recorded time that has passed since start
	timer *time.Timer
}

func (p *pacer) wait(ctx context.Context, received int64) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	default:
	}
	if p.speed == 0 {
		return nil
	}
	if !p.begun {
		p.begun, p.start, p.at = true, time.Now(), received
	}
	// Unsigned, so that no pair of times overflows.
	switch {
	case received > p.at:
		p.due += time.Duration(min(uint64(received)-uint64(p.at), uint64(p.maxGap)))
		p.at = received
	case uint64(p.at)-uint64(received) > uint64(p.maxGap):
		p.at = received
	}
	// The due time is reckoned from the start, so that delays do not add up.
	d := time.Duration(float64(p.due)/p.speed) - time.Since(p.start)
	if d <= 0 {
		return nil
	}
	if p.timer == nil {
		p.timer = time.NewTimer(d)
	} else {
		p.timer.Reset(d)
	}
	select {
	case <-p.timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pacer) stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
}
