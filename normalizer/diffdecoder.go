package normalizer

import (
	"slices"

	"github.com/quotewire/quotewire/market"
)

// diffDecoder is what the decoders share whose books start from an answer beside
// the stream: it makes events of what their diffBooks decide.
type diffDecoder struct {
	*base
	venue market.VenueID
	rule  diffRule
	held  int // levels kept for all books

	// diffTimed: the shortest delay of a message since the connection came up,
	// the difference of the clocks included, ns; known if timed.
	delay int64
	timed bool
	// diffTimed: how often the venue's clock was set back.
	clocks uint32
	// What a loss of any message means for books that are not known yet.
	loss diffBook
}

// diffSymbol is what such a decoder knows of one symbol, subscribed or not.
type diffSymbol struct {
	id        market.InstrumentID // 0: no event of it yet
	canonical string              // by the reference data, empty until known
	reference reference
	book      diffBook
	waiting   bool         // the books know that there is one
	flags     market.Flags // of every event of its book
}

// forget begins the symbol anew on a fresh connection.
func (p *diffSymbol) forget() {
	p.waiting = false
	p.reference.forget()
}

// number gives a symbol its instrument number.
func (d *diffDecoder) number(p *diffSymbol, spelling, canonical string, class market.Class) *fault {
	id, err := d.register(canonical, spelling, class)
	if err != nil {
		return d.blame(CauseBadSymbol, "symbol that cannot be one", span{})
	}
	if other, _ := d.VenueSymbol(id); other != spelling {
		// Two symbols of the venue must not share a book.
		return d.blame(CauseBadSymbol, "symbol of an instrument that has another", span{})
	}
	p.id = id
	return nil
}

// change handles a message of changes whose levels are in dst from n on.
func (d *diffDecoder) change(dst []market.Event, n int, p *diffSymbol, x diff) []market.Event {
	d.stamp(dst[n:], p, x, 0)
	switch p.book.take(d.rule, x, dst[n:], &d.held) {
	case diffWait:
		// Told once for each connection: the books must know that there is one
		// that waits for its image.
		if p.waiting {
			return dst[:n]
		}
	case diffIgnore:
		if d.rule == diffTimed && p.book.synced && p.book.clock != d.clocks {
			// The image has it by the clock of before.
			p.book.begin(&d.held)
			p.waiting = true
			return d.gap(dst[:n], p.id, d.venue)
		}
		return dst[:n]
	case diffGap:
		p.waiting = true
		if d.rule == diffTimed && p.book.back == 0 {
			d.setBack(x.time)
		}
		return d.gap(dst[:n], p.id, d.venue)
	}
	if len(dst) > n {
		p.waiting = true
		dst[len(dst)-1].Flags |= market.FlagLast
	}
	return dst
}

// lose appends the gap of a book of which a message was refused.
func (d *diffDecoder) lose(dst []market.Event, p *diffSymbol) []market.Event {
	d.lost(p)
	return d.gap(dst, p.id, d.venue)
}

// lost begins a book anew of which a message was lost just now. An image from
// before is of no use; where numbers would not show that, times must.
func (d *diffDecoder) lost(p *diffSymbol) {
	p.book.begin(&d.held)
	if d.rule == diffTimed {
		d.judge(&p.book)
	}
}

// delayJitter is how much a message's delay may exceed the shortest one known
// and the next one be no longer: what was lost may be so much younger than it
// looks.
const delayJitter = 250_000_000

// judge notes that an image must be from after now.
func (d *diffDecoder) judge(b *diffBook) {
	b.unsure = !d.timed
	if d.timed {
		b.since = max(b.since, uint64(max(d.received-d.delay+delayJitter, 0))/1000)
	}
}

// clock learns from a message's time how much later messages come at the least,
// by our clock, than they were made by the venue's.
func (d *diffDecoder) clock(time int64) {
	if delay := d.received - time; !d.timed || delay < d.delay {
		d.timed, d.delay = true, delay
	}
}

// setBack learns anew: the venue's clock was set back to time.
func (d *diffDecoder) setBack(time int64) {
	d.timed = false
	d.clocks++
	d.clock(time)
}

// otherClock reports whether an image is from before the venue's clock was set
// back, or from after it was set forward, which the stream has not shown yet: it
// is made so much later than anything that came as no stream is late.
func (d *diffDecoder) otherClock(time int64) bool {
	return d.rule == diffTimed && d.timed && d.received-time < d.delay-maxLateness
}

// image makes a complete image of the levels that are in dst from n on: what is
// to be told of the symbol and KindClear come before them.
func (d *diffDecoder) image(dst []market.Event, n int, p *diffSymbol, x diff, depth uint16) []market.Event {
	dst = d.start(dst, n, p, x, depth, market.FlagSnapshot)
	dst[len(dst)-1].Flags |= market.FlagLast
	return dst
}

func (d *diffDecoder) start(dst []market.Event, n int, p *diffSymbol, x diff, depth uint16, flags market.Flags) []market.Event {
	levels := len(dst) - n
	dst = d.tell(dst, &p.reference, p.reference.status, p.id, d.venue)
	dst, e := d.add(dst, market.KindClear)
	e.Depth = depth
	rotate(dst[n:], levels)
	d.stamp(dst[n:], p, x, flags)
	return dst
}

// rotate brings the events from n on before the first n.
func rotate(events []market.Event, n int) {
	slices.Reverse(events[:n])
	slices.Reverse(events[n:])
	slices.Reverse(events)
}

// snapshot handles the answer to a request for a book, whose levels are in dst
// from n on: the image, then the changes that have come and that it lacks.
func (d *diffDecoder) snapshot(dst []market.Event, n int, p *diffSymbol, x diff) []market.Event {
	again := p.book.synced
	if d.otherClock(x.time) {
		if !again {
			d.refuse(CauseOldSnapshot, "snapshot %d of %s is not by the clock of the stream", x.last, d.dir.Symbol(p.id))
		}
		return dst[:n]
	}
	from, to, ok := p.book.takeImage(d.rule, x.last, d.received)
	if !ok {
		if !again {
			d.refuse(CauseOldSnapshot, "snapshot %d of %s is older than the changes that are kept", x.last, d.dir.Symbol(p.id))
		}
		return dst[:n]
	}
	p.waiting, p.book.clock = true, d.clocks
	flags := market.FlagSnapshot | market.FlagReply
	dst = d.start(dst, n, p, x, 0, flags)
	for i := from; i < to; i++ {
		if !again && p.flags&market.FlagPiecemeal == 0 {
			// Only then: where the book is shown already, the image, which is
			// older, must not be seen without the changes since.
			dst[len(dst)-1].Flags |= market.FlagLast
			flags = 0
		}
		k := len(dst)
		dst = d.appendKept(dst, &p.book, i)
		d.stamp(dst[k:], p, p.book.diffs[i].diff, flags)
	}
	dst[len(dst)-1].Flags |= market.FlagLast
	return dst
}

// stamp completes the events of a book message, but for FlagLast.
func (d *diffDecoder) stamp(events []market.Event, p *diffSymbol, x diff, flags market.Flags) {
	floor := p.reference.floor()
	for i := range events {
		e := &events[i]
		e.Instrument, e.Venue, e.Time, e.Sequence, e.Flags = p.id, d.venue, x.time, x.last, flags|p.flags
		switch e.Kind {
		case market.KindLevel, market.KindOrder:
			trimLevel(e, floor)
		case market.KindInstrument, market.KindStatus:
			e.Flags = 0
		}
	}
}

// appendKept appends a kept diff's levels as events, without their header.
func (d *diffDecoder) appendKept(dst []market.Event, b *diffBook, i int) []market.Event {
	levels, orders := b.levelsOf(i)
	for k, l := range levels {
		var e *market.Event
		dst, e = d.add(dst, market.KindLevel)
		e.Side = l.side
		e.Price, e.PriceDecimals = l.price, l.pd
		e.Size, e.SizeDecimals = l.size, l.sd
		if orders != nil {
			e.Kind, e.Action = market.KindOrder, orders[k].action
			e.SetOrder(orders[k].id)
		}
	}
	return dst
}

// trimLevel drops trailing zeros of a level's numbers beyond what its instrument
// needs: venues that pad every number to eight decimals would else refine its
// scale until a size in the trillions does not fit.
func trimLevel(e *market.Event, floor market.Scale) {
	if e.PriceDecimals > floor.Price {
		e.Price, e.PriceDecimals = market.Trim(e.Price, e.PriceDecimals, floor.Price)
	}
	if e.SizeDecimals > floor.Size {
		e.Size, e.SizeDecimals = market.Trim(e.Size, e.SizeDecimals, floor.Size)
	}
}

// floor returns down to which decimals trailing zeros are dropped: those of the
// symbol's increments. Before these are known all zeros of a size go, and those
// of a price beyond the eighth decimal.
func (r *reference) floor() market.Scale {
	if r.known {
		return r.scale
	}
	return market.Scale{Price: 8, Size: 0}
}
