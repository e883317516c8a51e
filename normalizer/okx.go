package normalizer

import (
	"math"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// okx decodes OKX's public WebSocket v5 and the answers of its REST list of
// instruments.
type okx struct {
	*base
	venue       market.VenueID
	instruments listings[okxInstrument]
	current     *okxInstrument // whose book the frame in hand changes
}

// okxInstrument is what is known of one instrument, subscribed or not.
type okxInstrument struct {
	id        market.InstrumentID // 0: no event of it yet
	reference reference
	channel   okxChannel // whose book it is on this connection; okxNone before the first
	imaged    bool       // its book's snapshot has come and nothing was missed since
	chained   bool       // seq is the seqId of the book's last message
	seq       int64
}

// forget notes that its book is not to be trusted until the next snapshot, with
// which all is told again.
func (in *okxInstrument) forget() {
	in.imaged = false
	in.reference.forget()
}

// okxChannel is a channel, as far as it is read.
type okxChannel uint8

const (
	okxNone        okxChannel = iota
	okxBooks                  // a snapshot, then changes
	okxBooks50                // as okxBooks, 50 levels
	okxBooks400               // as okxBooks, every 10 ms
	okxBooks5                 // an image each time
	okxTop                    // the best level each time
	okxTrades                 // aggregated by taker order and price
	okxAllTrades              // each one
	okxTickers                //
	okxInstruments            //
	okxOther                  // known, not taken
)

func okxChannelOf(name []byte) okxChannel {
	switch string(name) {
	case "books":
		return okxBooks
	case "books50-l2-tbt":
		return okxBooks50
	case "books-l2-tbt":
		return okxBooks400
	case "books5":
		return okxBooks5
	case "bbo-tbt":
		return okxTop
	case "trades":
		return okxTrades
	case "trades-all":
		return okxAllTrades
	case "tickers":
		return okxTickers
	case "instruments":
		return okxInstruments
	case "status", "mark-price", "index-tickers", "funding-rate", "open-interest", "price-limit", "estimated-price", "opt-summary":
		return okxOther
	}
	return okxNone
}

// isBook reports whether the channel tells a book, that a lost message would
// make wrong.
func (c okxChannel) isBook() bool { return c >= okxBooks && c <= okxBooks5 }

func newOKX(b *base, _ Config) (Decoder, error) {
	venue, err := b.dir.Venue("okx")
	return &okx{base: b, venue: venue}, err
}

// okxMessage holds what a message says beside its data.
type okxMessage struct {
	event, code, msg, action, data span
	channelName, instID            span
	channel                        okxChannel
	hasArg, read                   bool
}

// Decode implements [Decoder].
//
// A frame is one message of one channel and instrument. A book message that is
// refused, or that does not follow the one before, becomes a KindGap of its
// instrument, of all where it breaks off before the name.
func (d *okx) Decode(dst []market.Event, f feeds.Frame) ([]market.Event, error) {
	switch f.Kind {
	case feeds.Data, feeds.Reply:
	case feeds.Up, feeds.Down:
		for _, in := range d.instruments.order {
			in.channel, in.chained = okxNone, false
			in.forget()
		}
		return d.control(dst, f)
	default:
		return d.control(dst, f)
	}
	if string(f.Payload) == "pong" {
		// The answer to the text "ping", the only message that is no JSON.
		d.received = f.Received
		dst, e := d.add(dst, market.KindHeartbeat)
		e.Venue = d.venue
		return dst, nil
	}
	if !d.begin(f) {
		return d.gap(dst, 0, d.venue), d.err()
	}
	if f.Kind == feeds.Reply {
		return d.reply(dst)
	}
	n := len(dst)
	d.current = nil
	var m okxMessage
	s := &d.s
	if s.open('{') {
		for s.key() {
			switch string(s.name) {
			case "arg":
				d.arg(&m)
			case "event":
				m.event = s.value()
			case "code":
				m.code = s.value()
			case "msg":
				m.msg = s.value()
			case "action":
				m.action = s.value()
			case "data":
				// In the order that OKX sends them, what data means is known by
				// now and it is read in passing.
				if !m.read && m.hasArg && (m.action.kind != absent || m.channel > okxBooks400) {
					m.read = true
					dst = d.data(dst, &m)
				} else {
					m.data = s.value()
				}
			default:
				s.value()
			}
		}
	}
	if !s.end() {
		d.refusal = Refusal{}
		d.refuseFault()
		return d.broken(dst[:n], &m), d.err()
	}
	if m.event.kind != absent {
		return d.answer(dst, &m), d.err()
	}
	if !m.read {
		switch {
		case !m.hasArg:
			d.refuse(CauseUnknownType, "message without arg and event")
		case m.data.kind == absent:
			d.refuse(CauseMissingField, "data")
			dst = d.broken(dst, &m)
		default:
			back := s.at(m.data)
			dst = d.data(dst, &m)
			s.resume(back)
		}
	}
	return dst, d.err()
}

// arg reads what the message is about.
func (d *okx) arg(m *okxMessage) {
	s := &d.s
	if s.peek() != '{' || m.hasArg {
		s.value()
		return
	}
	s.open('{')
	for v := (span{}); s.member(&v); {
		switch string(s.name) {
		case "channel":
			m.channelName = v
		case "instId":
			m.instID = v
		}
	}
	if b, ok := s.str(m.channelName); ok {
		m.hasArg = true
		m.channel = okxChannelOf(b)
	}
}

// broken handles a message that is not whole: its book cannot be trusted.
func (d *okx) broken(dst []market.Event, m *okxMessage) []market.Event {
	switch {
	case d.current != nil:
		d.current.forget()
		return d.gap(dst, d.current.id, d.venue)
	case m.channel.isBook():
		if in, why := d.seen(m.instID); why == nil {
			in.forget()
			return d.gap(dst, in.id, d.venue)
		}
		return d.gap(dst, 0, d.venue)
	case !m.hasArg && m.event.kind == absent:
		return d.gap(dst, 0, d.venue)
	}
	return dst
}

// answer handles what is not data: acknowledgements and refusals.
func (d *okx) answer(dst []market.Event, m *okxMessage) []market.Event {
	s := &d.s
	event, _ := s.str(m.event)
	switch string(event) {
	case "subscribe", "login", "channel-conn-count", "notice":
	case "unsubscribe":
		return d.left(dst, m)
	case "error", "channel-conn-count-error":
		text, _ := s.str(m.msg)
		detail := string(clip(text))
		d.refuse(CauseProvider, "%q %q", detail, clip(s.raw(m.code)))
	default:
		d.refuse(CauseUnknownType, "event %q", clip(event))
	}
	return dst
}

// left takes note that a book is subscribed no longer: what is missed until its
// next snapshot must not go unseen where that does not come.
func (d *okx) left(dst []market.Event, m *okxMessage) []market.Event {
	b, _ := d.s.str(m.instID)
	in := d.instruments.by[string(b)]
	if in == nil || in.channel != m.channel || in.channel == okxNone {
		return dst
	}
	in.channel, in.chained = okxNone, false
	if !in.imaged {
		return dst
	}
	in.forget()
	return d.gap(dst, in.id, d.venue)
}

// data reads the data of a message whose channel is known.
func (d *okx) data(dst []market.Event, m *okxMessage) []market.Event {
	s := &d.s
	switch m.channel {
	case okxOther:
		s.value()
		return dst
	case okxNone:
		s.value()
		name, _ := s.str(m.channelName)
		d.refuse(CauseUnknownType, "channel %q", clip(name))
		return dst
	}
	if s.peek() != '[' {
		v := s.value()
		d.refuse(CauseBadValue, "data is not an array: %q", clip(s.raw(v)))
		return d.broken(dst, m)
	}
	s.open('[')
	for s.elem() {
		if s.peek() != '{' {
			v := s.value()
			d.refuse(CauseBadValue, "data holds %q", clip(s.raw(v)))
			dst = d.broken(dst, m)
			continue
		}
		switch {
		case m.channel.isBook():
			dst = d.book(dst, m)
		case m.channel == okxTop:
			dst = d.top(dst, m)
		case m.channel == okxTrades, m.channel == okxAllTrades:
			dst = d.trade(dst)
		case m.channel == okxTickers:
			dst = d.ticker(dst)
		default:
			dst = d.instrument(dst)
		}
	}
	return dst
}

// listing returns what is known of the instrument named by v.
func (d *okx) listing(v span) (*okxInstrument, *fault) {
	b, ok := d.s.str(v)
	if !ok {
		return nil, d.blame(CauseMissingField, "instId", v)
	}
	if in := d.instruments.by[string(b)]; in != nil {
		return in, nil
	}
	if _, ok := okxClass(string(b)); !ok || market.CheckSymbol(string(b)) != nil {
		return nil, d.blame(CauseBadSymbol, "instId", v)
	}
	in, _ := d.instruments.get(b)
	if in == nil {
		return nil, d.blame(CauseOversized, "more symbols than a feed may have, at", v)
	}
	return in, nil
}

// seen is listing for events: it gives the instrument its number.
func (d *okx) seen(v span) (*okxInstrument, *fault) {
	in, why := d.listing(v)
	if why != nil || in.id != 0 {
		return in, why
	}
	b, _ := d.s.str(v)
	symbol := string(b)
	class, _ := okxClass(symbol)
	id, err := d.register(symbol, symbol, class)
	if err != nil {
		return nil, d.blame(CauseBadSymbol, "instId", v)
	}
	in.id = id
	return in, nil
}

// book reads one element of a book channel. Levels, then the checksum over the
// book that they make. Where anything in it is bad, or where it does not follow
// the message before, a KindGap takes the place of all of it.
//
// The chain (API v5, "Order book channel", sequence ID): an update's prevSeqId
// is the seqId of the message before. It is equal to its own seqId where nothing
// changed, and larger after maintenance, which is no gap. Recordings from before
// 2023 have no numbers, and messages since 23 June 2026 a checksum of 0, which
// is none.
func (d *okx) book(dst []market.Event, m *okxMessage) []market.Event {
	s := &d.s
	n := len(dst)
	in, why := d.seen(m.instID)
	image := m.channel == okxBooks5
	snapshot := image
	if !image {
		action, _ := s.str(m.action)
		snapshot = string(action) == "snapshot"
		if !snapshot && string(action) != "update" {
			why = first(why, d.blame(CauseBadValue, "action", m.action))
		}
	}
	if why == nil {
		d.current = in
		if in.channel != okxNone && in.channel != m.channel {
			// Two streams of one book cannot both be followed.
			why = d.blame(CauseBadValue, "a second book channel of the instrument", m.channelName)
			s.value()
			d.refusePart("book", why)
			return dst
		}
		if snapshot {
			dst = d.tell(dst, &in.reference, max(in.reference.status, market.StatusTrading), in.id, d.venue)
			dst, _ = d.add(dst, market.KindClear)
		}
	}
	var ts, checksum, prev, seq span
	var have [2]bool
	s.open('{')
	for s.key() {
		switch string(s.name) {
		case "asks", "bids":
			i, side := 0, market.SideBid
			if s.name[0] == 'a' {
				i, side = 1, market.SideAsk
			}
			if have[i] || why != nil {
				why = first(why, d.blame(CauseBadValue, "a side twice", s.value()))
				continue
			}
			have[i] = true
			dst, why = d.pairs(dst, side)
		case "ts":
			ts = s.value()
		case "checksum":
			checksum = s.value()
		case "prevSeqId":
			prev = s.value()
		case "seqId":
			seq = s.value()
		default:
			s.value()
		}
	}
	if s.bad {
		return dst
	}
	if !have[0] || !have[1] {
		why = first(why, d.blame(CauseMissingField, "bids or asks", span{}))
	}
	at, ok := s.millis(ts)
	if !ok {
		why = first(why, d.blame(CauseBadNumber, "ts", ts))
	}
	sum := int64(0)
	if checksum.kind != absent {
		if sum, ok = s.whole(checksum); !ok || sum < math.MinInt32 || sum > math.MaxUint32 {
			why = first(why, d.blame(CauseBadNumber, "checksum", checksum))
		}
	}
	lost := false
	if why == nil {
		lost, why = d.follow(in, snapshot, prev, seq)
	}
	if why != nil {
		d.refusePart("book", why)
		lost = true
	}
	if lost {
		id := market.InstrumentID(0)
		if in != nil {
			id = in.id
			in.forget()
		}
		return d.gap(dst[:n], id, d.venue)
	}
	in.channel = m.channel
	in.imaged = in.imaged || snapshot
	if sum != 0 {
		var e *market.Event
		dst, e = d.add(dst, market.KindChecksum)
		e.Sequence, e.Checksum = uint64(uint32(sum)), market.ChecksumTexts
		if snapshot {
			d.mark(dst[n:])
		}
	}
	if len(dst) == n {
		return d.beats(dst, in.id, d.venue, at)
	}
	return d.seal(dst, n, in.id, d.venue, at, snapshot)
}

// mark makes a snapshot say that its book's checksums are over texts.
func (d *okx) mark(events []market.Event) {
	for i := range events {
		if events[i].Kind == market.KindClear {
			events[i].Checksum = market.ChecksumTexts
			return
		}
	}
}

// follow holds a book message against the one before it.
func (d *okx) follow(in *okxInstrument, snapshot bool, prev, seq span) (lost bool, why *fault) {
	if seq.kind == absent {
		in.chained = false
		return false, nil
	}
	n, ok := d.s.whole(seq)
	if !ok {
		return false, d.blame(CauseBadNumber, "seqId", seq)
	}
	if !snapshot && in.chained && prev.kind != absent {
		p, ok := d.s.whole(prev)
		if !ok {
			return false, d.blame(CauseBadNumber, "prevSeqId", prev)
		}
		lost = p != in.seq
	}
	in.chained, in.seq = true, n
	return lost, nil
}
