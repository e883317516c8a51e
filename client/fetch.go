package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/quotewire/quotewire/streamer/wire"
)

// fetching is a fetch whose answer is coming: so many messages of a stream.
type fetching struct {
	id    uint64
	state *symbolState
	left  int
	out   []Update
	err   error
}

// Fetch asks again for the prints of a symbol from one seq to another, both among
// them, as after a [Gap]. It returns *Trades with them in their order, in whole
// messages, which may begin before the range and end after it, and a *Gap for what
// the server does not have any longer. It is for trade streams. What it returns is
// no part of what the stream hands out.
func (s *Stream) Fetch(ctx context.Context, symbol string, from, to uint64) ([]Update, error) {
	if s.sub.Channel != wire.ChannelTrade {
		return nil, fmt.Errorf("fetch: channel %s: want trade", s.sub.Channel)
	}
	if from > to {
		return nil, fmt.Errorf("fetch: from %d to %d: want from at most to", from, to)
	}
	s.mu.Lock()
	y := s.symbols[symbol]
	sid := uint64(0)
	if y != nil {
		sid = y.meta.SID
	}
	s.mu.Unlock()
	if sid == 0 {
		return nil, fmt.Errorf("fetch: %s is not streamed", symbol)
	}
	w := &call{op: wire.OpFetch, answer: make(chan error, 1), fetched: &fetching{state: y}}
	if err := s.c.await(ctx, wire.Request{Op: wire.OpFetch, SID: sid, From: from, To: to,
		Given: wire.FieldSID | wire.FieldFrom | wire.FieldTo}, w); err != nil {
		return nil, err
	}
	return w.fetched.out, w.fetched.err
}

// Pause stops the stream, or lets it go on from where it was: with the newest state
// of each symbol, or with the prints since, as far as the server still has them.
// It outlives reconnects. Streams of the client for the same channel, symbols and
// venue, and for bars the same interval, stop and go on together.
func (s *Stream) Pause(ctx context.Context, paused bool) error {
	r := wire.Request{Op: wire.OpUpdate, Channel: s.sub.Channel, Symbols: s.sub.Symbols, Paused: paused,
		Given: wire.FieldChannel | wire.FieldSymbols | wire.FieldPaused}
	if venueName(s.sub.Venue) != wire.Consolidated {
		r.Venue, r.Given = s.sub.Venue, r.Given|wire.FieldVenue
	}
	if s.sub.Bar != "" && s.sub.Channel == wire.ChannelBar {
		r.Bar, r.Given = s.sub.Bar, r.Given|wire.FieldBar
	}
	return s.c.ask(ctx, r, s, func() { s.paused = paused })
}

// fetchBegins takes the ack of a fetch.
func (c *Client) fetchBegins(id uint64, w *call, m *wire.Ack) {
	f := w.fetched
	f.id = id
	if m.Messages != nil {
		f.left = *m.Messages
	}
	if f.left == 0 || len(m.Streams) == 0 {
		c.answered(id, nil)
		return
	}
	c.fetches[m.Streams[0].SID] = f
}

// fetched takes a message that is part of the answer to a fetch; false if it is
// none.
func (c *Client) fetched(m wire.Message) bool {
	if len(c.fetches) == 0 {
		return false
	}
	sid := uint64(0)
	switch m := m.(type) {
	case *wire.Trade:
		sid = m.SID
	case *wire.Gap:
		sid = m.SID
	}
	f := c.fetches[sid]
	if f == nil {
		return false
	}
	meta := f.state.meta
	switch m := m.(type) {
	case *wire.Trade:
		trades, err := readTrades(m.Events)
		if err != nil {
			c.n.malformed.Add(1)
			f.err = errors.Join(f.err, err)
		}
		meta.Seq, meta.Changes = m.Seq, uint64(max(len(trades), 1))
		meta.Time, meta.Received, meta.Sent = micros(m.TS), micros(m.RX), micros(m.TX)
		f.out = append(f.out, &Trades{Meta: meta, Trades: trades})
	case *wire.Gap:
		meta.Seq = m.To
		f.out = append(f.out, &Gap{Meta: meta, From: m.From, To: m.To, Reason: m.Reason})
	}
	if f.left--; f.left == 0 {
		delete(c.fetches, sid)
		c.answered(f.id, nil)
	}
	return true
}
