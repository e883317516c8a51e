package client

import (
	"encoding/json"
	"time"

	"github.com/quotewire/quotewire/streamer/wire"
	"github.com/shopspring/decimal"
)

// symbolState is what a stream knows of one symbol. The stream's mutex guards
// what the program reads; position and repair are the reading goroutine's, and
// the position is also read, under the mutex, to resume.
type symbolState struct {
	meta    Meta
	granted wire.Granted

	has  bool // the state below is the server's at pos
	pos  wire.Position
	prev uint64 // of the message applied last, to know it when it comes twice
	// jump is the position before a gap that the server told: the next message may
	// follow either end of the gap.
	jump    uint64
	jumped  bool
	resumes bool // the first message after a reconnect is not here yet

	broken   bool // a snapshot is awaited
	attempts int
	retryAt  time.Time

	book   *Book
	quote  Quote
	ticker Ticker

	dirty   bool // in the stream's list of changed states
	pending Meta // Changes and Span that the program has not seen
}

func (y *symbolState) depth() int { return y.granted.Depth }

// begin takes the header of a message into the Meta and adds up what the program
// has not seen yet.
func (y *symbolState) begin(h *wire.Header) {
	changes := max(h.N, 1)
	span := time.Duration(h.Span) * time.Microsecond
	if y.dirty {
		changes += y.pending.Changes
		// From the first change to the last: the span so far and the time since.
		if at := micros(h.TS); at.After(y.meta.Time) && !y.meta.Time.IsZero() {
			span = y.pending.Span + at.Sub(y.meta.Time)
		} else {
			span += y.pending.Span
		}
	}
	y.pending.Changes, y.pending.Span = changes, span
	y.meta.Seq = h.Seq
	y.meta.Time, y.meta.Received, y.meta.Sent = micros(h.TS), micros(h.RX), micros(h.TX)
	if h.SID != 0 {
		y.meta.SID = h.SID
	}
	y.meta.Changes, y.meta.Span = changes, span
}

// snapshot replaces the state.
func (y *symbolState) snapshot(m *wire.Snapshot) error {
	y.begin(&m.Header)
	y.meta.Epoch = m.Epoch
	y.has = false
	y.pos = wire.Position{Epoch: m.Epoch, Seq: m.Seq}
	y.prev, y.jumped = m.Prev, false
	switch m.Channel {
	case wire.ChannelBook:
		if y.book == nil || y.book.depth != y.depth() {
			y.book = NewBook(y.depth())
		}
		if err := y.book.Apply(m); err != nil {
			return err
		}
	case wire.ChannelQuote:
		merged := [2]*Range{y.quote.MergedBid, y.quote.MergedAsk}
		was := y.quote
		y.quote = Quote{}
		if err := y.quote.apply(&m.QuoteFields); err != nil {
			return err
		}
		if err := y.mergeQuote(&was, merged, m.Merged); err != nil {
			return err
		}
	case wire.ChannelTicker:
		merged := y.ticker.MergedLast
		was := y.ticker
		y.ticker = Ticker{}
		if err := y.ticker.apply(&m.TickerFields); err != nil {
			return err
		}
		if err := y.mergeTicker(&was, merged, m.Merged); err != nil {
			return err
		}
	}
	y.has = true
	return nil
}

// delta changes the state. The position was checked.
func (y *symbolState) delta(m *wire.Delta) error {
	y.begin(&m.Header)
	y.has = false
	y.pos.Seq, y.prev, y.jumped = m.Seq, m.Prev, false
	switch y.meta.Channel {
	case wire.ChannelBook:
		if err := y.book.Apply(m); err != nil {
			return err
		}
	case wire.ChannelQuote:
		was := y.quote
		if err := y.quote.apply(&m.QuoteFields); err != nil {
			return err
		}
		if err := y.mergeQuote(&was, [2]*Range{was.MergedBid, was.MergedAsk}, m.Merged); err != nil {
			return err
		}
	case wire.ChannelTicker:
		was := y.ticker
		if err := y.ticker.apply(&m.TickerFields); err != nil {
			return err
		}
		if err := y.mergeTicker(&was, was.MergedLast, m.Merged); err != nil {
			return err
		}
	}
	y.has = true
	return nil
}

// mergeQuote keeps the ranges over all that the program has not seen. Where it has
// seen all before, the message's own stand.
func (y *symbolState) mergeQuote(was *Quote, before [2]*Range, merged *wire.Merged) error {
	var bid, ask *Range
	if merged != nil {
		var err error
		if bid, err = mergedRange(merged.Bid); err != nil {
			return err
		}
		if ask, err = mergedRange(merged.Ask); err != nil {
			return err
		}
	}
	if y.dirty {
		bid = widen(before[0], bid, was.Bid.Price, y.quote.Bid.Price, was.Bid.Present, y.quote.Bid.Present)
		ask = widen(before[1], ask, was.Ask.Price, y.quote.Ask.Price, was.Ask.Present, y.quote.Ask.Present)
	}
	y.quote.MergedBid, y.quote.MergedAsk = bid, ask
	return nil
}

func (y *symbolState) mergeTicker(was *Ticker, before *Range, merged *wire.Merged) error {
	var last *Range
	var volume, vwap decimal.NullDecimal
	var trades uint64
	if merged != nil {
		var err error
		if last, err = mergedRange(merged.Last); err != nil {
			return err
		}
		if volume, err = nullDecimal(merged.Volume); err != nil {
			return err
		}
		if vwap, err = nullDecimal(merged.VWAP); err != nil {
			return err
		}
		trades = merged.Trades
	}
	if y.dirty {
		if volume.Valid && was.MergedVolume.Valid {
			total := volume.Decimal.Add(was.MergedVolume.Decimal)
			if vwap.Valid && was.MergedVWAP.Valid && !total.IsZero() {
				notional := vwap.Decimal.Mul(volume.Decimal).Add(was.MergedVWAP.Decimal.Mul(was.MergedVolume.Decimal))
				vwap.Decimal = notional.Div(total)
			} else {
				vwap = decimal.NullDecimal{}
			}
			volume.Decimal, trades = total, trades+was.MergedTrades
		} else {
			volume, vwap, trades = decimal.NullDecimal{}, decimal.NullDecimal{}, 0
		}
		last = widen(before, last, was.Last.Decimal, y.ticker.Last.Decimal, was.Last.Valid, y.ticker.Last.Valid)
	}
	y.ticker.MergedLast = last
	y.ticker.MergedVolume, y.ticker.MergedVWAP, y.ticker.MergedTrades = volume, vwap, trades
	return nil
}

// update returns the state for the program.
func (y *symbolState) update() Update {
	switch y.meta.Channel {
	case wire.ChannelBook:
		u := &BookUpdate{Meta: y.meta}
		u.Bids, u.Asks = y.book.Levels(0)
		return u
	case wire.ChannelTicker:
		u := y.ticker
		u.Meta = y.meta
		return &u
	}
	u := y.quote
	u.Meta = y.meta
	return &u
}

// follows reports whether a message that goes on from prev follows the position.
func (y *symbolState) follows(prev uint64) bool {
	return y.has && (prev == y.pos.Seq || (y.jumped && prev == y.jump))
}

// firstRaw reads the latest event of a bar or status snapshot, whose fields are
// those of a bar or status message.
func (y *symbolState) firstRaw(m *wire.Snapshot) (Update, error) {
	if y.meta.Channel == wire.ChannelStatus {
		var f wire.Status
		if err := json.Unmarshal(m.Raw, &f); err != nil || f.State == "" {
			return nil, err
		}
		return readStatus(y.meta, &f.StatusFields)
	}
	if m.Bar == nil {
		return nil, nil
	}
	u, err := readBar(m.Bar)
	if err != nil {
		return nil, err
	}
	u.Meta = y.meta
	return u, nil
}
