package orderbook

import (
	"math"
	"strconv"

	"github.com/quotewire/quotewire/market"
)

// correction applies a KindCorrection or KindCancel to all that the print touched:
// the ticker, the bars, and the sums of its feed. The prints that follow tell of
// it as an event of its own.
func (s *Shard) correction(b *book, e *market.Event) {
	in := b.in
	wrong := market.Event{Kind: e.Kind, Price: e.Price, Size: e.Size, PriceDecimals: e.PriceDecimals, SizeDecimals: e.SizeDecimals}
	if e.Kind == market.KindCorrection {
		wrong.Price, wrong.Size = e.Ask, e.AskSize
	}
	// The second fit may refine the scale under the first.
	_, _, ok := in.fit(wrong.Price, wrong.Size, e)
	var was, now tally
	if ok {
		now.price, now.size, ok = in.fit(e.Price, e.Size, e)
	}
	if ok {
		was.price, was.size, ok = in.fit(wrong.Price, wrong.Size, e)
	}
	if !ok || now.size < 0 || was.size < 0 {
		b.stats.Refused++
		return
	}
	k := s.keptOf(in)
	told := Trade{
		Kind: TradeCancel, Of: e.ID, Venue: e.Venue, Side: e.Side, Flags: e.Flags &^ market.FlagLast,
		NumConditions: e.NumConditions, Conditions: e.Conditions,
		Price: now.price, Size: now.size, Time: e.Time, Received: e.Received,
	}
	of, id := printID(e.Venue, &e.ID), uint64(0)
	if e.Kind == market.KindCorrection {
		told.Kind, told.ID = TradeCorrection, e.ID
		if e.TradeSequence != 0 {
			var text [20]byte
			told.ID, _ = market.MakeTradeID(strconv.AppendUint(text[:0], e.TradeSequence, 10))
		}
		id = printID(e.Venue, &told.ID)
	}
	if of != 0 && k.again(correctionID(e, of, id)) {
		b.stats.TradesDup++
		return
	}
	var p *keptPrint
	if of != 0 {
		p = k.find(func(p *keptPrint) bool { return p.id == of })
	}
	if p != nil && p.gone {
		b.stats.TradesDup++
		return
	}
	b.stats.Corrections++
	in.upd.TradeSeq++
	in.upd.Trades = append(in.upd.Trades, told)
	switch {
	case p != nil && e.Kind == market.KindCancel:
		s.amend(b, p, nil, e)
	case p != nil:
		s.amend(b, p, &keptPrint{id: id, price: now.price, size: now.size}, e)
	default:
		was.venue, now.venue = e.Venue, e.Venue
		s.correctUnkept(b, &was, &now, e)
	}
}

// correctionID returns a number by which a correction is known that comes again,
// over another line, whatever the decimals that it is written with.
func correctionID(e *market.Event, of, id uint64) uint64 {
	price, pd := market.Trim(e.Price, e.PriceDecimals, 0)
	size, sd := market.Trim(e.Size, e.SizeDecimals, 0)
	h := uint64(e.Kind)
	for _, n := range [...]uint64{of, id, uint64(price), uint64(pd), uint64(size), uint64(sd)} {
		h = (h ^ n) * 0x9E3779B97F4A7C15 // 2^64 / golden ratio
		h ^= h >> 32
	}
	return h
}

// cancelByCondition applies a print that takes back another: OPRA has no
// identifiers and sends the print once more, under a condition that says so. It is
// the newest of the venue with that price and size.
func (s *Shard) cancelByCondition(b *book, e *market.Event, price market.Price, size market.Size) {
	k := s.keptOf(b.in)
	b.stats.Corrections++
	p := k.find(func(p *keptPrint) bool { return !p.gone && p.venue == e.Venue && p.price == price && p.size == size })
	if p != nil {
		s.amend(b, p, nil, e)
		return
	}
	was := tally{price: price, size: size, venue: e.Venue}
	s.correctUnkept(b, &was, &tally{}, e)
}

// keptOf returns what is kept of the instrument's prints, from now on if nothing
// was.
func (s *Shard) keptOf(in *instrument) *keptPrints {
	t := s.tapeOf(in)
	if t.kept == nil {
		in.keep(&s.prints, t.day.end) // prints of this day may have passed
	}
	return t.kept
}

// amend puts another print in the place of one that is kept, at its time, or
// takes it back, and makes anew what it touched.
func (s *Shard) amend(b *book, p, now *keptPrint, e *market.Event) {
	in := b.in
	b.stats.Volume = max(b.stats.Volume-p.size, 0)
	was := p.tally()
	p.gone = true
	if now == nil {
		s.recount(b, &was, nil, e)
		return
	}
	last := in.tape.kept.latest(math.MaxInt64)
	in.tape.hasLast = last.may != 0 && in.tape.day.holds(last.at)
	p.id, p.price, p.size, p.may, p.gone = now.id, now.price, now.size, in.may(e, now.price), false
	t := p.tally()
	b.stats.Volume = addSize(b.stats.Volume, p.size)
	s.recount(b, &was, &t, e)
}

// recount makes ticker and bars anew from the prints that are kept, where one of
// them is no longer was. Of a bar whose other prints are not all kept only the
// sums can be put right: was is taken out of them, and now, unless nil, put in.
func (s *Shard) recount(b *book, was, now *tally, e *market.Event) {
	in := b.in
	k := in.tape.kept
	var bars [NumIntervals]*barState
	var sums [NumIntervals]barState
	partial, late := false, false
	for i := range bars {
		bar, kept := in.find(Interval(i), was.at)
		if bar == nil && kept && now != nil && now.may&touches[i] != 0 {
			bar = in.bar(Interval(i), was.at)
		}
		late = late || !kept
		today := i == int(Day) && in.tape.day.holds(was.at)
		switch {
		case bar == nil:
		case bar.Start > k.lost || today:
			bars[i] = bar
			sums[i].Interval = Interval(i)
			if today {
				sums[i] = k.day
				sums[i].Interval = Day
			}
		default:
			partial = true
			bar.subtract(was)
			if now != nil {
				bar.add(&tally{size: now.size, product: now.product, may: now.may & (mayCount | mayVolume)})
			}
			in.tellBar(bar, s.watermark)
		}
	}
	k.each(func(p *keptPrint) {
		t := p.tally()
		for i, bar := range bars {
			if bar != nil && bar.holds(p.at) {
				sums[i].add(&t)
			}
		}
	})
	for i, bar := range bars {
		if bar == nil {
			continue
		}
		n := &sums[i]
		n.Rev, n.Seq, n.Start, n.End, n.DayEnd = bar.Rev, bar.Seq, bar.Start, bar.End, bar.DayEnd
		n.until, n.told, n.revised, n.slot = bar.until, bar.told, bar.revised, bar.slot
		changed := n.Bar != bar.Bar
		if *bar = *n; changed {
			in.tellBar(bar, s.watermark)
		}
	}
	if partial {
		b.stats.CorrectionsPartial++
	}
	if late {
		b.stats.LateBars++
	}
	in.retell(e)
}

// retell makes the ticker show what the day's bar and the last prints are now.
func (in *instrument) retell(e *market.Event) {
	t := &in.upd.Ticker
	was := *t
	k, day := in.tape.kept, &in.tape.day
	last, ext := k.latest(math.MaxInt64), k.latestExt()
	if prev := k.latest(day.start); k.last.may == 0 || k.last.at < day.start {
		t.HasPrevClose, t.PrevClose, in.tape.prevAt = prev.may != 0, prev.price, prev.at
	}
	if d := in.today(); d != nil {
		t.HasOpen, t.Open, t.HasRange, t.High, t.Low = d.HasOpen, d.Open, d.HasRange, d.High, d.Low
		t.Volume, t.Notional, t.Trades = d.Volume, d.Notional, d.Trades
		in.tape.openAt = d.openAt
	}
	t.HasLast, t.Last, t.LastSize, t.LastVenue = last.may != 0, last.price, last.size, last.venue
	t.HasExt, t.ExtLast, t.ExtTime = ext.may != 0, ext.price, ext.at
	in.tape.lastAt, in.tape.extAt = last.at, ext.at
	in.tape.hasLast = last.may != 0 && day.holds(last.at)
	if *t != was {
		t.Time, t.Received = e.Time, e.Received
		in.upd.Changed |= ChangedTicker
	}
}

// correctUnkept takes out of the day's sums what a print was that is no longer
// kept, and puts in what it is. Its high, low, open and the bars of its time
// cannot be known and stay. A print that was never heard touches nothing.
func (s *Shard) correctUnkept(b *book, was, now *tally, e *market.Event) {
	in := b.in
	k := in.tape.kept
	day := in.today()
	if k.lost == 0 || day == nil || k.lost < in.tape.day.start {
		b.stats.CorrectionsUnknown++
		return
	}
	was.may, now.may = mayCount|mayVolume, mayCount|mayVolume
	was.multiply()
	now.multiply()
	if was.price < 0 || now.price < 0 || !k.day.subtract(was) || !day.subtract(was) {
		b.stats.CorrectionsUnknown++
		return
	}
	b.stats.CorrectionsPartial++
	if e.Kind == market.KindCorrection {
		k.day.add(now)
		day.add(now)
	}
	in.tellBar(day, s.watermark)
	in.retell(e)
}
