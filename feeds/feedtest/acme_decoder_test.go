package feedtest_test

import (
	"encoding/json"
	"sync"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/normalizer"
)

// acmeDecoder is a normalizer.Decoder.
type acmeDecoder struct {
	dir      *market.Directory
	feed     market.FeedID
	venue    market.VenueID
	next     map[string]uint64 // the number that a book's next message has; 0: its image is to come
	spelling sync.Map          // market.InstrumentID to string
}

// acmeMessage is any message of Acme.
type acmeMessage struct {
	Book         string
	N            uint64
	Image        bool
	Bids, Asks   [][2]string
	Unsubscribed string
}

func newAcmeDecoder(dir *market.Directory, feed string) (*acmeDecoder, error) {
	id, err := dir.Feed(feed)
	if err != nil {
		return nil, err
	}
	venue, err := dir.Venue("acme")
	return &acmeDecoder{dir: dir, feed: id, venue: venue, next: map[string]uint64{}}, err
}

func (d *acmeDecoder) VenueSymbol(id market.InstrumentID) (string, bool) {
	s, ok := d.spelling.Load(id)
	text, _ := s.(string)
	return text, ok
}

func (d *acmeDecoder) Decode(dst []market.Event, f feeds.Frame) ([]market.Event, error) {
	e := market.Event{Feed: d.feed, Received: f.Received}
	switch f.Kind {
	case feeds.Up:
		clear(d.next) // numbers begin anew with each connection
		e.Kind = market.KindUp
		return append(dst, e), nil
	case feeds.Down:
		e.Kind = market.KindDown
		return append(dst, e), nil
	case feeds.Stale:
		e.Kind = market.KindStale
		return append(dst, e), nil
	case feeds.Lost: // of a recording
		clear(d.next)
		e.Kind = market.KindGap
		return append(dst, e), nil
	}
	e.Venue = d.venue
	var m acmeMessage
	if err := json.Unmarshal(f.Payload, &m); err != nil {
		// What was lost is not known: no book of the feed may be trusted.
		clear(d.next)
		e.Kind, e.Flags = market.KindGap, market.FlagLast
		return append(dst, e), &normalizer.Refusal{Cause: normalizer.CauseSyntax, Detail: err.Error(), Count: 1}
	}
	if m.Unsubscribed != "" {
		m = acmeMessage{Book: m.Unsubscribed} // n is 0: what is missed from here is a gap
	}
	if m.Book == "" {
		e.Kind = market.KindHeartbeat
		return append(dst, e), nil
	}
	id, err := d.dir.Instrument(m.Book, market.ClassCrypto)
	if err != nil {
		return dst, &normalizer.Refusal{Cause: normalizer.CauseBadSymbol, Detail: m.Book, Count: 1}
	}
	d.spelling.LoadOrStore(id, m.Book)
	e.Instrument, e.Sequence = id, m.N
	return d.book(dst, e, &m)
}

// book appends one book message: all of it, or a gap.
func (d *acmeDecoder) book(dst []market.Event, e market.Event, m *acmeMessage) ([]market.Event, error) {
	n := len(dst)
	next := d.next[m.Book]
	if !m.Image && next != 0 && m.N != next {
		d.next[m.Book] = 0
		e.Kind, e.Flags = market.KindGap, market.FlagLast
		return append(dst, e), nil
	}
	if m.Image {
		e.Kind, e.Flags = market.KindClear, market.FlagSnapshot
		dst = append(dst, e)
	}
	e.Kind = market.KindLevel
	for side, levels := range [][][2]string{m.Bids, m.Asks} {
		e.Side = market.SideBid + market.Side(side)
		for _, l := range levels {
			var err1, err2 error
			e.Price, e.PriceDecimals, err1 = market.ParsePrice(l[0])
			e.Size, e.SizeDecimals, err2 = market.ParseSize(l[1])
			if err1 != nil || err2 != nil {
				d.next[m.Book] = 0
				e = market.Event{Kind: market.KindGap, Flags: market.FlagLast, Feed: e.Feed, Received: e.Received, Venue: e.Venue, Instrument: e.Instrument}
				return append(dst[:n], e), &normalizer.Refusal{Cause: normalizer.CauseBadNumber, Detail: l[0] + " " + l[1], Count: 1}
			}
			dst = append(dst, e)
		}
	}
	if len(dst) > n {
		dst[len(dst)-1].Flags |= market.FlagLast // only now is the book whole
	}
	if m.Image || next != 0 {
		d.next[m.Book] = m.N + 1
	}
	return dst, nil
}
