package client

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire"
	"github.com/shopspring/decimal"
)

// ErrNoSnapshot means that a delta came before any snapshot, or after an error and
// before the snapshot that repairs it.
var ErrNoSnapshot = errors.New("delta without a snapshot before it")

// SequenceError means that a delta does not follow what was applied before.
type SequenceError struct {
	Have      uint64 // seq applied last
	Prev, Seq uint64 // of the delta
}

// Error tells the numbers.
func (e *SequenceError) Error() string {
	return fmt.Sprintf("delta from %d to %d does not follow %d", e.Prev, e.Seq, e.Have)
}

// ChecksumError means that a book is not the server's.
type ChecksumError struct {
	Seq       uint64
	Want, Got uint32 // as the message said, and over the levels held
}

// Error tells the numbers.
func (e *ChecksumError) Error() string {
	return fmt.Sprintf("checksum of the book at %d is %d, the server's is %d", e.Seq, e.Got, e.Want)
}

// Level is one price level.
type Level struct {
	Price, Size decimal.Decimal
	Venues      []VenueSize // split by venue, largest first; nil without a split
}

// Book is a book kept by snapshots and deltas. The zero value is an empty book of
// all levels. It belongs to one goroutine. After an error of Apply its levels are
// not to be trusted until a snapshot was applied.
type Book struct {
	depth      int
	scale      market.Scale
	bids, asks ladder
	pos        wire.Position
	trusted    bool
}

// NewBook returns an empty book that keeps the best depth levels a side, all with
// 0. The depth must be the one that the ack granted, or the checksum cannot match.
func NewBook(depth int) *Book { return &Book{depth: max(depth, 0)} }

// Apply applies a *wire.Snapshot or a *wire.Delta of a book. Its errors are, or
// wrap, [ErrNoSnapshot], [*SequenceError], [*ChecksumError] or an error of
// package market for a number that is none or does not fit.
func (b *Book) Apply(m wire.Message) error {
	switch m := m.(type) {
	case *wire.Snapshot:
		b.trusted = false
		b.bids.clear()
		b.asks.clear()
		b.scale = market.Scale{}
		b.pos = wire.Position{Epoch: m.Epoch, Seq: m.Seq}
		return b.apply(&m.State)
	case *wire.Delta:
		if !b.trusted {
			return ErrNoSnapshot
		}
		// A delta from a position to itself, with no change in it, answers a resume:
		// nothing happened meanwhile.
		if m.Prev != b.pos.Seq || m.Seq < m.Prev || m.Seq == m.Prev && m.N != 0 {
			b.trusted = false
			return &SequenceError{Have: b.pos.Seq, Prev: m.Prev, Seq: m.Seq}
		}
		b.trusted = false
		b.pos.Seq = m.Seq
		return b.apply(&m.State)
	}
	return fmt.Errorf("apply %s to a book: want a snapshot or a delta", m.Type())
}

func (b *Book) apply(m *wire.State) error {
	for i := range m.Bids {
		if err := b.set(&b.bids, &b.asks, true, &m.Bids[i]); err != nil {
			return fmt.Errorf("apply bid %s at %s: %w", m.Bids[i].Size, m.Bids[i].Price, err)
		}
	}
	for i := range m.Asks {
		if err := b.set(&b.asks, &b.bids, false, &m.Asks[i]); err != nil {
			return fmt.Errorf("apply ask %s at %s: %w", m.Asks[i].Size, m.Asks[i].Price, err)
		}
	}
	if b.depth > 0 {
		b.bids.trim(b.depth)
		b.asks.trim(b.depth)
	}
	if m.CRC != nil {
		if got := b.CRC(); got != *m.CRC {
			return &ChecksumError{Seq: m.Seq, Want: *m.CRC, Got: got}
		}
	}
	b.trusted = true
	return nil
}

func (b *Book) set(side, other *ladder, descending bool, l *wire.PriceLevel) error {
	price, pd, err := market.ParsePrice(l.Price)
	if err != nil {
		return err
	}
	size, sd, err := market.ParseSize(l.Size)
	if err != nil {
		return err
	}
	if size < 0 {
		return market.ErrRange
	}
	if to := b.scale.Finer(market.Scale{Price: pd, Size: sd}); to != b.scale {
		if err := side.rescale(b.scale, to); err != nil {
			return err
		}
		if err := other.rescale(b.scale, to); err != nil {
			return err
		}
		b.scale = to
	}
	if price, err = market.Rescale(price, pd, b.scale.Price); err != nil {
		return err
	}
	if size, err = market.Rescale(size, sd, b.scale.Size); err != nil {
		return err
	}
	side.set(wire.Level{Price: price, Size: size}, l.Venues, descending)
	return nil
}

// Trusted reports whether the levels are the server's at Position.
func (b *Book) Trusted() bool { return b.trusted }

// Position returns what was applied last.
func (b *Book) Position() wire.Position { return b.pos }

// CRC returns the checksum of the levels held, as messages carry it.
func (b *Book) CRC() uint32 { return wire.BookCRC(b.bids.levels, b.asks.levels, b.scale) }

// Levels returns the bids from the highest and the asks from the lowest, at most n
// a side, all with 0. The slices are the caller's.
func (b *Book) Levels(n int) (bids, asks []Level) {
	return b.bids.export(n, b.scale), b.asks.export(n, b.scale)
}

// ladder is one side, best first. venues runs beside levels once any level had a
// split; until then it is nil.
type ladder struct {
	levels []wire.Level
	venues []map[string]string
}

func (l *ladder) clear() {
	l.levels = l.levels[:0]
	l.venues = nil
}

func (l *ladder) set(v wire.Level, venues map[string]string, descending bool) {
	i, found := slices.BinarySearchFunc(l.levels, v.Price, func(at wire.Level, p market.Price) int {
		switch {
		case at.Price == p:
			return 0
		case (at.Price < p) != descending:
			return -1
		}
		return 1
	})
	if venues != nil && l.venues == nil {
		l.venues = make([]map[string]string, len(l.levels))
	}
	switch {
	case v.Size == 0:
		if found {
			l.levels = slices.Delete(l.levels, i, i+1)
			if l.venues != nil {
				l.venues = slices.Delete(l.venues, i, i+1)
			}
		}
	case found:
		l.levels[i].Size = v.Size
		if l.venues != nil {
			l.venues[i] = venues
		}
	default:
		l.levels = slices.Insert(l.levels, i, v)
		if l.venues != nil {
			l.venues = slices.Insert(l.venues, i, venues)
		}
	}
}

func (l *ladder) trim(depth int) {
	if len(l.levels) > depth {
		l.levels = l.levels[:depth]
		if l.venues != nil {
			clear(l.venues[depth:])
			l.venues = l.venues[:depth]
		}
	}
}

func (l *ladder) rescale(from, to market.Scale) error {
	for i := range l.levels {
		at := &l.levels[i]
		var err error
		if at.Price, err = market.Rescale(at.Price, from.Price, to.Price); err != nil {
			return err
		}
		if at.Size, err = market.Rescale(at.Size, from.Size, to.Size); err != nil {
			return err
		}
	}
	return nil
}

func (l *ladder) export(n int, scale market.Scale) []Level {
	if n <= 0 || n > len(l.levels) {
		n = len(l.levels)
	}
	out := make([]Level, n)
	for i := range out {
		out[i].Price = market.ToDecimal(l.levels[i].Price, scale.Price)
		out[i].Size = market.ToDecimal(l.levels[i].Size, scale.Size)
		if l.venues != nil {
			// A split that is no number was not refused with its level: it is not
			// part of the book that the checksum proves.
			out[i].Venues, _ = venueSizes(l.venues[i])
		}
	}
	return out
}

// venueSizes returns the sizes by venue, largest first, then by name.
func venueSizes(m map[string]string) ([]VenueSize, error) {
	if len(m) == 0 {
		return nil, nil
	}
	out := make([]VenueSize, 0, len(m))
	for _, venue := range slices.Sorted(maps.Keys(m)) {
		size, err := parseDecimal(m[venue])
		if err != nil {
			return nil, fmt.Errorf("size at %s: %w", venue, err)
		}
		out = append(out, VenueSize{Venue: venue, Size: size})
	}
	slices.SortStableFunc(out, func(a, b VenueSize) int { return b.Size.Cmp(a.Size) })
	return out, nil
}

func (b *Book) clone() *Book {
	c := *b
	c.bids = ladder{slices.Clone(b.bids.levels), slices.Clone(b.bids.venues)}
	c.asks = ladder{slices.Clone(b.asks.levels), slices.Clone(b.asks.venues)}
	return &c
}
