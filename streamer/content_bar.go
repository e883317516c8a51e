package streamer

import (
	"slices"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// barContent shows the bars of one interval, each with its state. The books tell
// what prints made of a bar; that it is final, and that an interval was empty,
// follows from the watermark, here, for those who asked.
type barContent struct {
	topic *topic
	key   topicKey
	lane  *lane
	scale market.Scale
	epoch uint64 // of the view that was loaded

	open  []openBar     // not final yet, by start
	final orderbook.Bar // the latest by start that was sent as final or revised
	ended bool          // there is one
	since int64         // start of the bar that was open when the stream began; 0 if none was
	until int64         // the watermark that was acted on
	seq   uint64        // changes of bars noted
	ticks uint64        // how far final bars have come, in steps

	shown    orderbook.Bar // the latest by start that was sent
	hasShown bool
}

// openBar is a bar whose time runs, or for whose prints we still wait.
type openBar struct {
	orderbook.Bar
	n uint64 // changes not sent yet
}

// concerns implements content.
func (c *barContent) concerns(u *orderbook.Update) bool {
	if u.Changed&orderbook.ChangedBars == 0 {
		return false
	}
	return slices.ContainsFunc(u.Bars, func(b orderbook.Bar) bool { return b.Interval == c.key.bar })
}

// rescale implements content.
func (c *barContent) rescale(to market.Scale) bool {
	from := c.scale
	c.scale = to
	fits := c.final.Fits(from, to) && c.shown.Fits(from, to)
	for i := range c.open {
		fits = fits && c.open[i].Fits(from, to)
	}
	if !fits {
		c.epoch = 0 // what is to be loaded now is all that is left
		return false
	}
	c.final.Rescale(from, to)
	c.shown.Rescale(from, to)
	for i := range c.open {
		c.open[i].Rescale(from, to)
	}
	return true
}

// load implements content. A view of which all bars were noted, as after a gap on the
// bus that took none or whose bars have come since, is no news: those that are not
// final yet, of which the view has the latest alone, go on.
func (c *barContent) load(v *orderbook.View) {
	if c.epoch != 0 && c.epoch == v.Epoch && c.seq == v.BarSeq[c.key.bar] &&
		(c.scale == v.Scale || c.scale.Finer(v.Scale) == v.Scale && c.rescale(v.Scale)) {
		return
	}
	*c = barContent{topic: c.topic, key: c.key, lane: c.lane, scale: v.Scale, epoch: v.Epoch, open: c.open[:0],
		until: max(c.lane.watermark, v.Watermark), seq: v.BarSeq[c.key.bar]}
	c.ticks = step(c.key.bar, c.until)
	if c.seq == 0 {
		return
	}
	c.shown, c.hasShown = v.Bars[c.key.bar], true
	if c.shown.End > c.until {
		c.open, c.since = append(c.open, openBar{Bar: c.shown}), c.shown.Start
		return
	}
	c.shown = lastEmpty(c.shown, c.until)
	c.final, c.ended, c.ticks = c.shown, true, step(c.key.bar, c.shown.End)
}

// lastEmpty returns the last of the empty bars that follow a bar, or the bar itself,
// that is over at a time.
func lastEmpty(b orderbook.Bar, until int64) orderbook.Bar {
	if length := int64(b.Interval.Length()); b.Interval != orderbook.Day {
		if skip := (min(until, b.DayEnd)-b.End)/length - 1; skip > 0 {
			b, _ = b.Next()
			b.Start, b.End = b.Start+(skip-1)*length, b.End+(skip-1)*length
		}
	}
	for {
		next, ok := b.Next()
		if !ok || next.End > until {
			return b
		}
		b = next
	}
}

// step numbers the ends of bars: with the number of changes it makes a position
// that grows with either and is the same wherever the stream is served.
func step(i orderbook.Interval, at int64) uint64 {
	const second = 1e9
	if i == orderbook.Second {
		return uint64(max(at, 0)) / second
	}
	return uint64(max(at, 0)) / (60 * second)
}

// position returns where the stream stands once all that was noted has been sent.
func (c *barContent) position() uint64 { return c.seq + c.ticks }

// note implements content: it sorts the bars that changed. Those that are final are
// sent at once, the others when the interval allows.
func (c *barContent) note(_ *orderbook.View, u *orderbook.Update) {
	for i := range u.Bars {
		b := &u.Bars[i]
		if b.Interval != c.key.bar {
			continue
		}
		// The watermark here decides, not whether the node has revised the bar: a
		// gateway's comes later, and would make final what was there before.
		if b.End > c.until {
			// The stream is whole from its first bar on. Others before that one may be
			// open of which the view had nothing, so that none of them can become final.
			if b.Start >= c.since {
				c.change(b)
			}
			c.seq = b.Seq
			continue
		}
		c.flush()
		c.seq = b.Seq
		c.revise(b)
	}
}

// change takes another content of a bar that is not final.
func (c *barContent) change(b *orderbook.Bar) {
	i := len(c.open)
	for i > 0 && c.open[i-1].Start > b.Start {
		i--
	}
	if i > 0 && c.open[i-1].Start == b.Start {
		c.open[i-1].Bar = *b
		c.open[i-1].n++
		return
	}
	c.open = slices.Insert(c.open, i, openBar{Bar: *b, n: 1})
}

// revise sends a bar that changed after it was final. One that a node tells as new
// although all of its time was said to be final is revised too: nothing else may
// follow a final bar.
func (c *barContent) revise(b *orderbook.Bar) {
	is := *b
	is.Rev = max(is.Rev, 1)
	if is.Start >= c.since && (!c.ended || is.Start >= c.final.Start) {
		// The empty ones after it were over before anybody could know of them.
		c.final, c.ended = lastEmpty(is, c.until), true
	}
	c.send(&is, orderbook.BarRevised, c.seq+c.ticks, 0)
}

// flush sends what has changed of bars that are not final, in the order of the
// changes.
func (c *barContent) flush() {
	for {
		var first *openBar
		for i := range c.open {
			if o := &c.open[i]; o.n > 0 && (first == nil || o.Seq < first.Seq) {
				first = o
			}
		}
		if first == nil {
			return
		}
		n := first.n
		first.n = 0
		c.send(&first.Bar, orderbook.BarProvisional, first.Seq+c.ticks, n)
	}
}

// advance sends what is final at a watermark: the bars that end by then, and the
// empty ones between them.
func (c *barContent) advance(until int64) {
	if until <= c.until {
		return
	}
	due := func(b *orderbook.Bar) bool { return b.End <= until }
	flushed := false
	for {
		next, follows := orderbook.Bar{}, false
		if c.ended {
			next, follows = c.final.Next()
			follows = follows && due(&next)
		}
		var b orderbook.Bar
		n := uint64(0)
		switch {
		case len(c.open) > 0 && due(&c.open[0].Bar) && (!follows || c.open[0].Start <= next.Start):
			b, n = c.open[0].Bar, c.open[0].n
			c.open = slices.Delete(c.open, 0, 1)
		case follows:
			b = next
		default:
			c.until = until
			return
		}
		if !flushed {
			// Those that are not due keep their place in the order of changes.
			flushed = true
			c.flush()
		}
		c.final, c.ended = b, true
		c.ticks = step(c.key.bar, b.End)
		c.send(&b, orderbook.BarFinal, c.seq+c.ticks, n)
	}
}

// send appends one bar to the log.
func (c *barContent) send(b *orderbook.Bar, state orderbook.BarState, seq, n uint64) {
	t, l, f := c.topic, c.lane, c.key.format
	now := l.now
	h := wire.Head{SID: t.sid, Symbol: t.symbol, Seq: seq, Prev: t.seq, TS: t.ts, RX: t.rx, TX: now}
	if n > 1 {
		h.N = n
	}
	l.buf, l.mark = f.BeginBar(l.buf[:0], &h)
	l.buf = c.fields(l.buf, b, state)
	if !c.hasShown || b.Start >= c.shown.Start {
		c.shown, c.hasShown = *b, true
	}
	t.send(position{seq, t.ts, t.rx}, now)
}

// fields appends a bar. Prices that there are none of are left out.
func (c *barContent) fields(dst []byte, b *orderbook.Bar, state orderbook.BarState) []byte {
	f := c.key.format
	dst = f.Word(dst, wire.KeyBar, c.key.bar.String())
	dst = f.Time(dst, wire.KeyStart, b.Start)
	dst = f.Word(dst, wire.KeyBarState, state.String())
	dst = f.Uint(dst, wire.KeyRev, uint64(b.Rev))
	if b.HasOpen {
		dst = f.Price(dst, wire.KeyBarOpen, b.Open, c.scale)
	}
	if b.HasRange {
		dst = f.Price(dst, wire.KeyBarHigh, b.High, c.scale)
		dst = f.Price(dst, wire.KeyBarLow, b.Low, c.scale)
	}
	if b.HasOpen {
		dst = f.Price(dst, wire.KeyBarClose, b.Close, c.scale)
	}
	dst = f.Size(dst, wire.KeyBarVolume, b.Volume, c.scale)
	dst = f.Uint(dst, wire.KeyBarTrades, b.Trades)
	if p, d, ok := b.VWAP(c.scale); ok {
		dst = f.OwnNumber(dst, wire.KeyBarVWAP, p, d)
	}
	return dst
}

// snapshot implements content: the latest bar that was sent.
func (c *barContent) snapshot(dst []byte) []byte {
	if !c.hasShown {
		return c.key.format.Word(dst, wire.KeyBar, c.key.bar.String())
	}
	return c.fields(dst, &c.shown, c.shown.State(c.until))
}

// delta implements content. Bars are messages of their own, see send.
func (c *barContent) delta(dst []byte, _ *orderbook.View) ([]byte, bool) { return dst, false }
