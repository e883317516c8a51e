package streamer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// given is one update that the lane was given, and the state after it.
type given struct {
	epoch, seq uint64
	rx         int64
	changed    orderbook.Changed
	venues     map[market.VenueID]bool // of which it says something
	last       []market.Price          // prints that set the last price
	scale      market.Scale
	whole      *orderbook.Update
}

// history is all that is known of one instrument.
type history struct {
	view    orderbook.View
	given   []given
	prints  map[uint64][]orderbook.Trade // by epoch, in order
	scales  map[uint64][]market.Scale    // of prints
	hold    int                          // updates to be kept from the lane, as if lost upstream
	missing bool
}

// world is a lane fed by a shard of random venues, with model clients.
type world struct {
	t       *rapid.T
	sim     *sim
	dir     *market.Directory
	hub     *Hub
	lane    *lane
	shard   *orderbook.Shard
	epoch   uint64
	now     int64
	known   map[market.InstrumentID]*history
	clients []*modelClient
	depth   int // of interleaved activity

	checked, gaps, snapshots, deltas, resumed, merged, aged, fetched, paused int
}

func newWorld(t *rapid.T, seed uint64) *world {
	w := &world{t: t, dir: market.NewDirectory(), epoch: 0x9f00, now: 1_764_000_000e9, known: make(map[market.InstrumentID]*history)}
	w.sim = newSim(seed, w.dir)
	w.hub = NewHub(Config{Directory: w.dir, Now: func() int64 { return w.now }, LogFrames: 8, StateFrames: 3,
		Linger: 300 * time.Millisecond, MaxSubscriptions: 60})
	w.hub.inline = true
	w.lane = w.hub.lanes[0]
	w.restart()
	return w
}

// restart replaces the books by new ones, as a restarted process would.
func (w *world) restart() {
	w.epoch++
	w.shard = orderbook.NewShard(orderbook.Config{Directory: w.dir, Epoch: w.epoch, Sinks: []orderbook.Sink{w},
		Rules: func(market.Instrument) orderbook.QuoteRules {
			return orderbook.QuoteRules{MinVenues: 2, MinSize: 2, MinSizeDecimals: 1}
		}})
	for _, v := range w.sim.venues {
		v.huge = false
	}
}

// Flush implements orderbook.Sink.
func (w *world) Flush() {}

// Update implements orderbook.Sink.
func (w *world) Update(u *orderbook.Update) {
	h := w.known[u.Instrument]
	if h == nil {
		h = &history{prints: make(map[uint64][]orderbook.Trade), scales: make(map[uint64][]market.Scale)}
		w.known[u.Instrument] = h
	}
	if err := h.view.Apply(u); err != nil {
		w.t.Fatal(err)
	}
	for _, p := range u.Trades {
		h.prints[u.Epoch] = append(h.prints[u.Epoch], p)
		h.scales[u.Epoch] = append(h.scales[u.Epoch], u.Scale)
	}
	if h.hold > 0 {
		h.hold--
		h.missing = true
		return
	}
	if h.missing {
		h.missing = false
		u = image(&h.view)
	}
	g := given{epoch: u.Epoch, seq: u.Seq, rx: u.Received, changed: u.Changed, venues: make(map[market.VenueID]bool),
		scale: u.Scale, whole: image(&h.view)}
	for _, c := range u.Levels {
		g.venues[c.Venue] = true
	}
	for _, c := range u.Tops {
		g.venues[c.Venue] = true
	}
	for _, c := range u.Venues {
		g.venues[c.Venue] = true
	}
	if u.Changed&orderbook.ChangedSnapshot != 0 {
		if u.Ticker.HasLast {
			g.last = append(g.last, u.Ticker.Last)
		}
	} else {
		for _, p := range u.Trades {
			e := market.Event{Flags: p.Flags, NumConditions: p.NumConditions, Conditions: p.Conditions}
			if el := e.Updates(); el.Last || el.LastIfFirst && u.Ticker.HasLast && u.Ticker.Last == p.Price {
				g.last = append(g.last, p.Price)
			}
		}
	}
	h.given = append(h.given, g)
	w.lane.update(u, w.now)
	select {
	case <-w.hub.heard:
		w.hub.takeIn()
	default:
	}
}

// move lets n messages come in, and time pass.
func (w *world) move(n int) {
	r := w.sim.rand
	for range n {
		w.now += r.Int64N(int64(8 * time.Millisecond))
		w.sim.now = w.now - r.Int64N(1e6)
		w.lane.tick(w.now)
		w.shard.Apply(w.sim.message())
		if r.IntN(4) == 0 {
			w.lane.deliver(w.now)
		}
	}
}

// at returns the state of an instrument at a position; nil if the lane was never
// given it.
func (w *world) at(symbol, epoch string, seq uint64) *orderbook.View {
	v := &orderbook.View{}
	if epoch == "0" && seq == 0 {
		return v
	}
	id, _ := w.dir.Lookup(symbol)
	h := w.known[id]
	if h == nil {
		return nil
	}
	for i := range h.given {
		if g := &h.given[i]; g.seq == seq && strconv.FormatUint(g.epoch, 16) == epoch {
			if err := v.Apply(g.whole); err != nil {
				w.t.Fatal(err)
			}
			return v
		}
	}
	return nil
}

// spec is what a stream shows.
type spec struct {
	channel wire.Channel
	symbol  string
	venue   string
	depth   int
	venues  bool
	maxAge  string
	group   string
}

func specOf(g *wire.Granted) spec {
	return spec{g.Channel, g.Symbol, cmp.Or(g.Venue, "*"), g.Depth, g.Venues, g.MaxAge, g.Group}
}

// modelStream is a client's view of a stream.
type modelStream struct {
	spec
	interval time.Duration
	have     bool
	paused   bool
	resuming bool // no message since the resume
	stale    bool // the quote is marked as too old
	lost     bool // a gap was told, on a stream of states a snapshot must follow
	epoch    string
	seq      uint64
	bids     map[string]string // level by price: size and split
	asks     map[string]string
	fields   map[string]string // of quote, ticker
}

func (st *modelStream) lossless() bool { return st.channel == wire.ChannelTrade || st.interval == 0 }

// modelClient is a client that believes nothing.
type modelClient struct {
	w       *world
	s       *session
	streams map[uint64]*modelStream
	kept    map[spec]*modelStream // of sessions before, to resume from
	asked   map[string]bool       // symbols whose positions the last subscribe gave
	stalled bool
	resync  map[uint64]bool
	reader  wire.ProtoReader       // of this session
	fetches map[uint64]*modelFetch // by sid: whose answer is coming
}

func (w *world) connect() *modelClient {
	c := &modelClient{w: w, kept: make(map[spec]*modelStream)}
	c.open()
	w.clients = append(w.clients, c)
	return c
}

func (c *modelClient) open() {
	c.s = newSession(c.w.hub, "test", "test")
	// A position means the same in either format.
	c.s.format, c.reader = wire.Format(c.w.sim.rand.IntN(wire.NumFormats)), wire.ProtoReader{}
	c.streams, c.resync = make(map[uint64]*modelStream), make(map[uint64]bool)
	c.fetches = make(map[uint64]*modelFetch)
	c.w.hub.sessions[c.s] = struct{}{}
}

// modelFetch is a range that was asked for again.
type modelFetch struct {
	at, to uint64 // has come up to; ends with
	left   int    // messages
}

// fetched checks a message that may be part of the answer to a fetch: from where
// the one before ended on, and with the prints that there were.
func (c *modelClient) fetched(msg []byte, sid, prev, seq uint64, gap bool, events []wire.TradeEvent) bool {
	f, st := c.fetches[sid], c.streams[sid]
	if f == nil || st == nil {
		return false
	}
	if prev > f.at || seq <= f.at || gap && prev != f.at || gap && seq > f.to {
		c.fatal(msg, "does not go on from %d of %d", f.at, f.to)
	}
	if events != nil {
		if got, want := printsOf(events), c.prints(st, prev, seq); !reflect.DeepEqual(got, want) {
			c.fatal(msg, "prints are\n%+v, want\n%+v", got, want)
		}
	}
	c.w.fetched++
	f.at = seq
	if f.left--; f.left == 0 {
		if f.at < f.to {
			c.fatal(msg, "ends before %d", f.to)
		}
		delete(c.fetches, sid)
	}
	return true
}

// reconnect ends the session and keeps the positions.
func (c *modelClient) reconnect() {
	for _, sid := range slices.Sorted(maps.Keys(c.streams)) {
		if st := c.streams[sid]; st.have && !st.lost {
			c.kept[st.spec] = st
		}
	}
	delete(c.w.hub.sessions, c.s)
	c.s.unsubscribeAll()
	c.open()
}

func (c *modelClient) request(format string, args ...any) {
	text := fmt.Appendf(nil, format, args...)
	if c.s.format == wire.FormatProto {
		r, err := wire.ParseRequest(text)
		if err != nil {
			c.w.t.Fatal(err)
		}
		text = r.AppendProto(nil)
	}
	c.s.handle(text)
}

// drain takes what the session has to send.
func (c *modelClient) drain() {
	for {
		w := c.s.take(c.w.now)
		if w.empty() {
			return
		}
		for _, m := range w.messages {
			c.add(m, 1)
		}
		var err error
		for err == nil && len(w.fetches) > 0 {
			if err = c.s.refetch(w.fetches[0], c); err == nil {
				w.fetches = w.fetches[1:]
			}
		}
		if err != nil {
			w.messages = nil
			c.s.putBack(&w)
			c.w.lane.deliver(c.w.now)
			continue
		}
		if err = c.s.collectAll(&w.every, true, c); err == nil {
			err = c.s.collectAll(&w.state, false, c)
		}
		if err != nil {
			w.messages = nil
			c.s.putBack(&w)
		}
		c.w.lane.deliver(c.w.now)
	}
}

// errFull means that a client takes no more at present.
var errFull = errors.New("full")

// room implements output. As a real one may, it takes time, or has none.
func (c *modelClient) room(int) error {
	w := c.w
	if w.depth == 0 && w.sim.rand.IntN(12) == 0 {
		w.depth++
		w.move(w.sim.rand.IntN(12))
		w.depth--
	}
	if w.sim.rand.IntN(30) == 0 {
		return errFull
	}
	return nil
}

// add implements output.
func (c *modelClient) add(run []byte, n int) {
	switch c.s.format {
	case wire.FormatJSON:
		each(run, n, c.take)
		return
	case wire.FormatEvents:
		for event := range bytes.SplitSeq(bytes.TrimSuffix(run, []byte("\n\n")), []byte("\n\n")) {
			text, ok := bytes.CutPrefix(event, []byte("data: "))
			if n--; !ok {
				c.w.t.Fatalf("not an event: %q", event)
			}
			c.take(text)
		}
		if n != 0 {
			c.w.t.Fatalf("%d events too few", n)
		}
		return
	}
	for len(run) > 0 {
		msg, rest, err := c.reader.Cut(run)
		if err != nil {
			c.w.t.Fatalf("not a message: %v, %x", err, run)
		}
		if text := c.asJSON(msg); text != nil {
			c.take(text)
		}
		run = rest
	}
}

// asJSON returns a message in Protocol Buffers as it would be in JSON, nil for a
// scale.
func (c *modelClient) asJSON(inner []byte) []byte {
	m, err := c.reader.Parse(inner)
	if err != nil {
		c.w.t.Fatalf("%v in %x", err, inner)
	}
	if m == nil {
		return nil
	}
	text, err := wire.Append(nil, m)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return text
}

func (c *modelClient) fatal(msg []byte, format string, args ...any) {
	c.w.t.Helper()
	c.w.t.Fatalf("%s\nin %s", fmt.Sprintf(format, args...), msg)
}

func (c *modelClient) take(msg []byte) {
	if !json.Valid(msg) || bytes.IndexByte(msg, '\n') >= 0 {
		c.fatal(msg, "not one line of JSON")
	}
	if c.s.format != wire.FormatProto {
		conforms(c.w.t, msg)
	}
	m, err := wire.Parse(msg)
	if err != nil {
		c.fatal(msg, "%v", err)
	}
	c.w.checked++
	switch m := m.(type) {
	case *wire.Ack:
		c.ack(m)
	case *wire.Error:
	case *wire.Gap:
		if m.Reason == gapFetch {
			if !c.fetched(msg, m.SID, m.From-1, m.To, true, nil) {
				c.fatal(msg, "nothing was fetched")
			}
			break
		}
		if !c.fetched(msg, m.SID, m.From-1, m.To, false, nil) {
			c.gap(msg, m)
		}
	case *wire.Snapshot:
		c.snapshot(msg, m)
	case *wire.Delta:
		if !c.fetched(msg, m.SID, m.Prev, m.Seq, false, nil) {
			c.delta(msg, m)
		}
	case *wire.Trade:
		if !c.fetched(msg, m.SID, m.Prev, m.Seq, false, append([]wire.TradeEvent{}, m.Events...)) {
			c.trade(msg, m)
		}
	case *wire.Status:
		if !c.fetched(msg, m.SID, m.Prev, m.Seq, false, nil) {
			c.delta(msg, &wire.Delta{State: wire.State{Header: m.Header}})
		}
	default:
		c.fatal(msg, "unexpected %T", m)
	}
}

func (c *modelClient) ack(m *wire.Ack) {
	for i := range m.Streams {
		g := &m.Streams[i]
		switch m.Op {
		case wire.OpFetch:
			if *m.Messages > 0 {
				c.fetches[g.SID] = &modelFetch{m.From - 1, m.To, *m.Messages}
			} else if m.From <= m.To {
				c.w.t.Fatalf("nothing of %d to %d", m.From, m.To)
			}
		case wire.OpUnsubscribe:
			delete(c.streams, g.SID)
		case wire.OpSubscribe, wire.OpUpdate:
			if st := c.streams[g.SID]; st != nil {
				st.paused = g.Paused
				continue
			}
			d, err := time.ParseDuration(g.Interval)
			if err != nil {
				c.w.t.Fatal(err)
			}
			st := &modelStream{spec: specOf(g), interval: d}
			if old := c.kept[st.spec]; old != nil && m.Op == wire.OpSubscribe && c.asked[g.Symbol] {
				interval := st.interval
				*st = *old
				st.interval, st.resuming = interval, true
				delete(c.kept, st.spec)
			}
			st.paused = g.Paused
			c.streams[g.SID] = st
		}
	}
	for sid := range c.streams {
		if c.s.sub(sid) == nil {
			delete(c.streams, sid)
		}
	}
}

func (c *modelClient) stream(msg []byte, sid, seq uint64) *modelStream {
	st := c.streams[sid]
	if st == nil {
		c.fatal(msg, "message of a stream that is not subscribed, or before its ack")
	}
	// That nothing was missed is the answer to a resume, and tells no news.
	if answer := st.resuming && seq == st.seq; st.paused && !answer {
		c.fatal(msg, "message of a stream that is paused")
	}
	return st
}

func (c *modelClient) gap(msg []byte, m *wire.Gap) {
	st := c.stream(msg, m.SID, m.To)
	switch {
	case !st.lossless():
		c.fatal(msg, "gap on a conflated stream")
	case !st.have || m.From != st.seq+1 || m.To < m.From:
		c.fatal(msg, "gap does not begin after %d", st.seq)
	case m.Reason == gapResume && !st.resuming:
		c.fatal(msg, "reason %s", m.Reason)
	}
	st.seq, st.lost = m.To, st.channel != wire.ChannelTrade
	st.resuming = st.resuming && m.Reason == gapResume
	c.w.gaps++
}

func (c *modelClient) snapshot(msg []byte, m *wire.Snapshot) {
	st := c.stream(msg, m.SID, m.Seq)
	c.w.snapshots++
	if m.Channel != st.channel || m.Symbol != st.symbol || cmp.Or(m.Venue, "*") != st.venue {
		c.fatal(msg, "snapshot of another stream, want %v", st.spec)
	}
	if st.have && m.Epoch == st.epoch {
		if m.Seq < st.seq && !st.resuming {
			c.fatal(msg, "goes back from %d", st.seq)
		}
		if st.lossless() && m.Seq > st.seq {
			// One that stands for a single change is no skip: it could not be told
			// as a delta.
			if st.channel == wire.ChannelTrade || st.resuming {
				c.fatal(msg, "skips what came after %d without a gap", st.seq)
			}
			c.skipsNothing(st, msg, st.seq, m.Seq)
		}
	}
	st.have, st.lost, st.resuming, st.stale = true, false, false, false
	st.epoch, st.seq = m.Epoch, m.Seq
	st.bids, st.asks, st.fields = make(map[string]string), make(map[string]string), make(map[string]string)
	c.apply(st, msg, &m.State)
	c.aged(st, msg, &m.State)
	c.compare(st, msg)
	if st.channel == wire.ChannelTrade {
		c.latest(st, msg, m)
	}
}

// latest checks the print that a snapshot of a trade stream shows: the one at its
// position, where that is the venue's.
func (c *modelClient) latest(st *modelStream, msg []byte, m *wire.Snapshot) {
	if m.Seq == 0 {
		if len(m.Events) > 0 {
			c.fatal(msg, "a print before the first")
		}
		return
	}
	prints := c.prints(st, m.Seq-1, m.Seq)
	if len(prints) == 1 && (len(m.Events) != 1 || m.Events[0].Price != prints[0].Price || m.Events[0].Size != prints[0].Size) {
		c.fatal(msg, "latest print is %+v", prints[0])
	}
}

func (c *modelClient) delta(msg []byte, m *wire.Delta) {
	st := c.stream(msg, m.SID, m.Seq)
	c.w.deltas++
	if !st.have || m.Prev != st.seq {
		c.fatal(msg, "does not follow %v %d", st.have, st.seq)
	}
	if st.lost {
		c.fatal(msg, "delta after a gap")
	}
	if st.resuming {
		c.w.resumed++
	}
	old := m.Stale.Set && m.Stale.Value
	if m.Seq <= m.Prev && !((st.resuming || old) && m.Seq == m.Prev && m.N == 0) {
		c.fatal(msg, "does not go forward")
	}
	if old {
		c.w.aged++
	}
	empty := m.Seq == m.Prev
	st.resuming = false
	st.seq = m.Seq
	c.apply(st, msg, &m.State)
	c.aged(st, msg, &m.State)
	c.compare(st, msg)
	if !empty {
		c.account(st, msg, m)
	}
}

// aged checks that a quote is marked as stale from when it is too old, and only
// then, and takes the mark off the fields, which go by the position.
func (c *modelClient) aged(st *modelStream, msg []byte, m *wire.State) {
	if m.Stale.Set {
		st.stale = m.Stale.Value
	}
	delete(st.fields, "stale")
	if st.channel != wire.ChannelQuote || st.venue != "*" {
		return // when a venue's own quote was made the model does not know
	}
	v := c.w.at(st.symbol, st.epoch, st.seq)
	if v == nil {
		c.fatal(msg, "no such position")
	}
	limit, _ := time.ParseDuration(st.maxAge)
	age := m.TX - v.Quote.Received/1000 // both cut to µs
	if there := v.Quote.BidSize > 0 || v.Quote.AskSize > 0; limit == 0 || !there {
		if st.stale {
			c.fatal(msg, "stale")
		}
	} else if is := limit.Microseconds(); age > is+1 && !st.stale && m.TX-c.remade(st)/1000 > is+1 || age < is-1 && st.stale {
		c.fatal(msg, "stale is %v at an age of %d of %d µs", st.stale, age, is)
	}
}

// remade returns when the quote that a stream shows was last made anew as it is:
// that moves no position, and yet it is as old as that.
func (c *modelClient) remade(st *modelStream) (at int64) {
	id, _ := c.w.dir.Lookup(st.symbol)
	for _, g := range c.w.known[id].given {
		if g.seq <= st.seq || strconv.FormatUint(g.epoch, 16) != st.epoch {
			continue
		}
		if v := c.w.at(st.symbol, st.epoch, g.seq); c.w.differs(st, v) == nil {
			at = max(at, v.Quote.Received)
		}
	}
	return at
}

// apply changes the view by the fields of a message.
func (c *modelClient) apply(st *modelStream, msg []byte, m *wire.State) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(msg, &raw); err != nil {
		c.fatal(msg, "%v", err)
	}
	switch st.channel {
	case wire.ChannelBook:
		for _, side := range []struct {
			levels []wire.PriceLevel
			to     map[string]string
		}{{m.Bids, st.bids}, {m.Asks, st.asks}} {
			for _, lv := range side.levels {
				if lv.Size == "0" {
					delete(side.to, lv.Price)
					continue
				}
				side.to[lv.Price] = levelText(lv.Size, lv.Venues)
			}
		}
		if st.depth > 0 && (len(st.bids) > st.depth || len(st.asks) > st.depth) {
			c.fatal(msg, "more than %d levels", st.depth)
		}
		if m.CRC != nil {
			if got := wire.TextCRC(sortedLevels(st.bids, true), sortedLevels(st.asks, false)); got != *m.CRC {
				c.fatal(msg, "crc of what the client holds is %d", got)
			}
		}
	case wire.ChannelQuote, wire.ChannelTicker, wire.ChannelStatus:
		if st.channel == wire.ChannelStatus && raw["state"] != nil {
			st.fields = make(map[string]string) // each is whole
		}
		for name, value := range raw {
			switch name {
			case "type", "sid", "channel", "symbol", "venue", "epoch", "seq", "prev", "n", "span", "ts", "rx", "tx", "merged":
				continue
			}
			if string(value) == "null" || string(value) == "[]" {
				delete(st.fields, name)
				continue
			}
			st.fields[name] = string(value)
			if name == "bid_venues" || name == "ask_venues" {
				st.fields[name] = c.ranked(msg, value)
			}
		}
	}
}

// ranked checks that venues at one price come in the order that follows from
// their sizes, larger first, and the server's numbers, and returns them by name:
// their order is no part of a client's view, which may have begun in a format
// whose reader keeps none and go on in one where nothing has changed since.
func (c *modelClient) ranked(msg []byte, object json.RawMessage) string {
	sizes := make(map[string]string)
	if err := json.Unmarshal(object, &sizes); err != nil {
		c.fatal(msg, "%v", err)
	}
	if c.s.format != wire.FormatProto { // whose reader made a map of them
		var last market.VenueID
		var most *big.Rat // sizes may leave no room for the decimals of testNumber
		for pair := range strings.SplitSeq(strings.Trim(string(object), "{}"), ",") {
			name, size, _ := strings.Cut(pair, ":")
			id, ok := c.w.dir.LookupVenue(strings.Trim(name, `"`))
			z, fits := new(big.Rat).SetString(strings.Trim(size, `"`))
			if !ok || !fits || most != nil && (z.Cmp(most) > 0 || z.Cmp(most) == 0 && id < last) {
				c.fatal(msg, "venues are not in their order: %s", object)
			}
			last, most = id, z
		}
	}
	return sortedObject(sizes)
}

func levelText(size string, split map[string]string) string {
	for _, venue := range slices.Sorted(maps.Keys(split)) {
		size += " " + venue + "=" + split[venue]
	}
	return size
}

func sortedLevels(side map[string]string, descending bool) []wire.PriceLevel {
	var out []wire.PriceLevel
	for price, text := range side {
		size, _, _ := strings.Cut(text, " ")
		out = append(out, wire.PriceLevel{Price: price, Size: size})
	}
	slices.SortFunc(out, func(a, b wire.PriceLevel) int {
		order := cmp.Compare(testNumber(a.Price), testNumber(b.Price))
		if descending {
			return -order
		}
		return order
	})
	return out
}

// testNumber returns a price at 8 decimals.
func testNumber(s string) int64 {
	m, d, err := market.ParseNumber(s)
	if err != nil {
		panic(err)
	}
	if m, err = market.Rescale(m, d, 8); err != nil {
		panic(err)
	}
	return m
}

// compare holds the client's view against the server's state at its position.
func (c *modelClient) compare(st *modelStream, msg []byte) {
	if st.channel == wire.ChannelTrade {
		return // each print is compared as it comes
	}
	v := c.w.at(st.symbol, st.epoch, st.seq)
	if v == nil {
		c.fatal(msg, "position %s/%d was never one of the instrument's", st.epoch, st.seq)
	}
	if err := c.w.differs(st, v); err != nil {
		c.fatal(msg, "%v", err)
	}
}

func (w *world) differs(st *modelStream, v *orderbook.View) error {
	switch st.channel {
	case wire.ChannelBook:
		bids, asks, state := w.wantBook(st, v)
		if !maps.Equal(bids, st.bids) || !maps.Equal(asks, st.asks) {
			return fmt.Errorf("book is\n%v\n%v, want\n%v\n%v", st.bids, st.asks, bids, asks)
		}
		_ = state
	case wire.ChannelQuote:
		if want := w.wantQuote(st, v); !maps.Equal(want, st.fields) {
			return fmt.Errorf("quote is\n%v, want\n%v", st.fields, want)
		}
	case wire.ChannelStatus:
		if want := w.wantStatus(st, v); !maps.Equal(want, st.fields) {
			return fmt.Errorf("status is\n%v, want\n%v", st.fields, want)
		}
	case wire.ChannelTicker:
		want, is := w.wantTicker(v), maps.Clone(st.fields)
		// Its decimals grow with the scale, which is no change of it.
		if a, b := want["vwap"], is["vwap"]; (a == "") == (b == "") && a != "" {
			if d := testNumber(strings.Trim(a, `"`)) - testNumber(strings.Trim(b, `"`)); d > -500_001 && d < 500_001 {
				is["vwap"] = a
			}
		}
		if !maps.Equal(want, is) {
			return fmt.Errorf("ticker is\n%v, want\n%v", st.fields, want)
		}
	}
	return nil
}

// sortedObject returns an object of texts by name.
func sortedObject(m map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, quoted(name)+":"+quoted(m[name]))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func numText[T ~int64](n T, d market.Decimals) string { return string(market.AppendNumber(nil, n, d)) }
func quoted(s string) string                          { return strconv.Quote(s) }

// wantBook computes a book the plain way.
func (w *world) wantBook(st *modelStream, v *orderbook.View) (bids, asks map[string]string, state string) {
	side := func(of func(*orderbook.VenueView) []orderbook.Level, descending bool) map[string]string {
		sizes := make(map[market.Price]map[string]market.Size)
		for _, x := range v.Venues {
			name := w.dir.VenueName(x.Venue)
			if st.venue == "*" && !x.State.Live() || st.venue != "*" && st.venue != name ||
				!x.State.Live() && x.State != orderbook.StateHalted {
				continue
			}
			for _, lv := range of(x) {
				p := lv.Price
				if st.group != "" { // at 8 decimals, then
					step := testNumber(st.group)
					at := testNumber(numText(p, v.Scale.Price))
					down := at - (at%step+step)%step
					if !descending && down < at {
						down += step
					}
					p = market.Price(down)
				}
				if sizes[p] == nil {
					sizes[p] = make(map[string]market.Size)
				}
				if z := sizes[p][name] + lv.Size; z >= 0 {
					sizes[p][name] = z
				} else {
					sizes[p][name] = 1<<63 - 1
				}
			}
		}
		prices := slices.Sorted(maps.Keys(sizes))
		if descending {
			slices.Reverse(prices)
		}
		if st.depth > 0 {
			prices = prices[:min(len(prices), st.depth)]
		}
		out := make(map[string]string)
		for _, p := range prices {
			var sum market.Size
			split := make(map[string]string)
			for name, z := range sizes[p] {
				if sum += z; sum < 0 {
					sum = 1<<63 - 1
				}
				split[name] = numText(z, v.Scale.Size)
			}
			if !st.venues {
				split = nil
			}
			decimals := v.Scale.Price
			if st.group != "" {
				decimals = 8
			}
			out[numText(p, decimals)] = levelText(numText(sum, v.Scale.Size), split)
		}
		return out
	}
	bids = side(func(x *orderbook.VenueView) []orderbook.Level {
		if x.HasBook {
			return x.Bids.AppendTop(nil, 0)
		}
		if st.venue == "*" && x.Top.BidFirmness == market.NotFirm {
			return nil
		}
		return present(orderbook.Level{Price: x.Top.Bid, Size: x.Top.BidSize})
	}, true)
	asks = side(func(x *orderbook.VenueView) []orderbook.Level {
		if x.HasBook {
			return x.Asks.AppendTop(nil, 0)
		}
		if st.venue == "*" && x.Top.AskFirmness == market.NotFirm {
			return nil
		}
		return present(orderbook.Level{Price: x.Top.Ask, Size: x.Top.AskSize})
	}, false)
	return bids, asks, state
}

func present(lv orderbook.Level) []orderbook.Level {
	if lv.Size == 0 {
		return nil
	}
	return []orderbook.Level{lv}
}

func (w *world) wantQuote(st *modelStream, v *orderbook.View) map[string]string {
	out := make(map[string]string)
	sizes := func(vs []orderbook.VenueSize) string {
		m := make(map[string]string)
		for _, x := range vs {
			m[w.dir.VenueName(x.Venue)] = numText(x.Size, v.Scale.Size)
		}
		return sortedObject(m)
	}
	side := func(name string, p market.Price, size, total market.Size, venues []orderbook.VenueSize) {
		if size == 0 {
			return
		}
		out[name] = quoted(numText(p, v.Scale.Price))
		out[name+"_size"] = quoted(numText(size, v.Scale.Size))
		out[name+"_total"] = quoted(numText(total, v.Scale.Size))
		if st.venue == "*" {
			out[name+"_venues"] = sizes(venues)
		}
	}
	if st.venue != "*" {
		out["source"], out["state"] = `"venue"`, `"none"`
		id, _ := w.dir.LookupVenue(st.venue)
		if x := v.Venue(id); x != nil {
			bid, ask := x.Best()
			side("bid", bid.Price, bid.Size, bid.Size, nil)
			side("ask", ask.Price, ask.Size, ask.Size, nil)
			out["state"] = quoted(x.State.String())
			var left []string
			for _, s := range []struct {
				side string
				f    market.Firmness
			}{{"bid", x.Top.BidFirmness}, {"ask", x.Top.AskFirmness}} {
				if !x.State.Live() || x.HasBook || s.f == market.Firm {
					continue
				}
				out[s.side+"_protected"] = "false"
				if s.f == market.NotFirm {
					left = append(left, fmt.Sprintf(`{"venue":%q,"side":%q,"why":"ineligible_condition"}`, st.venue, s.side))
				}
			}
			if len(left) > 0 {
				out["out"] = "[" + strings.Join(left, ",") + "]"
			}
			if bid.Size > 0 && ask.Size > 0 && bid.Price >= ask.Price {
				out["crossed"] = "true"
			}
		}
		return out
	}
	q := &v.Quote
	out["source"], out["state"] = quoted(q.Source.String()), `"none"`
	side("bid", q.Bid, q.BidSize, q.BidTotal, q.BidVenues)
	side("ask", q.Ask, q.AskSize, q.AskTotal, q.AskVenues)
	if q.BidSize > 0 && q.AskSize > 0 {
		if q.Bid == q.Ask {
			out["locked"] = "true"
		} else if q.Bid > q.Ask {
			out["crossed"] = "true"
		}
	}
	if q.Inverted != 0 {
		out["inverted_since"] = fmt.Sprint(q.Inverted / 1000)
	}
	if q.BidSlow {
		out["bid_protected"] = "false"
	}
	if q.AskSlow {
		out["ask_protected"] = "false"
	}
	if q.Thin {
		out["thin"] = "true"
	}
	if q.Source == orderbook.SourceConsolidated {
		out["counted"] = fmt.Sprint(q.Counted)
	}
	best := orderbook.StateNone
	var left []string
	for _, x := range v.Venues {
		for _, o := range q.Out {
			if o.Venue == x.Venue {
				side := ""
				if o.Side != market.SideNone {
					side = fmt.Sprintf(`,"side":%q`, o.Side)
				}
				left = append(left, fmt.Sprintf(`{"venue":%q%s,"why":%q}`, w.dir.VenueName(o.Venue), side, o.Why))
			}
		}
		if x.State == orderbook.StateNone {
			continue
		}
		if x.State.Better(best) {
			best = x.State
		}
		if !x.State.Live() {
			cause := ""
			if x.Cause != orderbook.CauseNone {
				cause = fmt.Sprintf(`,"cause":%q`, x.Cause)
			}
			left = append(left, fmt.Sprintf(`{"venue":%q,"why":%q%s,"since":%d}`, w.dir.VenueName(x.Venue), x.State, cause, x.Since/1000))
		}
	}
	out["state"] = quoted(best.String())
	if len(left) > 0 {
		out["out"] = "[" + strings.Join(left, ",") + "]"
	}
	return out
}

func (w *world) wantStatus(st *modelStream, v *orderbook.View) map[string]string {
	s, out := &v.Status, make(map[string]string)
	price := func(p market.Price) string { return numText(p, v.Scale.Price) }
	micros := func(name string, ns int64) {
		if ns != 0 {
			out[name] = fmt.Sprint(ns / 1000)
		}
	}
	state := s.Trading
	var venues []string
	for _, x := range v.Venues {
		if x.State == orderbook.StateNone || st.venue != "*" && st.venue != w.dir.VenueName(x.Venue) {
			continue
		}
		if s.Trading == market.StatusUnknown {
			switch {
			case x.State.Live():
				state = market.StatusTrading
			case x.State == orderbook.StateHalted && state == market.StatusUnknown:
				state = market.StatusHalted
			}
		}
		cause := ""
		if x.Cause != orderbook.CauseNone {
			cause = fmt.Sprintf(`,"cause":%q`, x.Cause)
		}
		venues = append(venues, fmt.Sprintf(`{"venue":%q,"state":%q%s,"since":%d}`, w.dir.VenueName(x.Venue), x.State, cause, x.Since/1000))
	}
	out["state"], out["session"] = quoted(state.String()), quoted(s.Session.String())
	if len(venues) > 0 {
		out["venues"] = "[" + strings.Join(venues, ",") + "]"
	}
	if text := s.Reason.String(); text != "" {
		out["reason"] = quoted(text)
	}
	micros("since", s.Since)
	micros("session_end", s.SessionEnd)
	micros("limit_since", s.LimitSince)
	if s.Limit != orderbook.LimitNone {
		out["limit"] = quoted(s.Limit.String())
	}
	if s.BandHigh != 0 {
		out["bands"] = fmt.Sprintf(`{"low":%q,"high":%q}`, price(s.BandLow), price(s.BandHigh))
	}
	if i := &s.Imbalance; *i != (orderbook.Imbalance{}) && (st.venue == "*" || st.venue == w.dir.VenueName(i.Venue)) {
		text := fmt.Sprintf(`{"venue":%q,"side":%q`, w.dir.VenueName(i.Venue), i.Side)
		if i.Auction != 0 {
			text += fmt.Sprintf(`,"auction":%q`, string(rune(i.Auction)))
		}
		if i.AuctionTime != 0 {
			text += fmt.Sprintf(`,"auction_time":%d`, i.AuctionTime)
		}
		out["imbalance"] = text + fmt.Sprintf(`,"price":%q,"size":%q,"paired":%q,"ts":%d}`, price(i.Price),
			numText(i.Size, v.Scale.Size), numText(i.Paired, v.Scale.Size), i.Time/1000)
	}
	return out
}

func (w *world) wantTicker(v *orderbook.View) map[string]string {
	t, out := &v.Ticker, make(map[string]string)
	price := func(name string, p market.Price, has bool) {
		if has {
			out[name] = quoted(numText(p, v.Scale.Price))
		}
	}
	price("last", t.Last, t.HasLast)
	if t.HasLast {
		out["last_size"] = quoted(numText(t.LastSize, v.Scale.Size))
		out["last_venue"] = quoted(w.dir.VenueName(t.LastVenue))
	}
	price("open", t.Open, t.HasOpen)
	price("high", t.High, t.HasRange)
	price("low", t.Low, t.HasRange)
	price("ext_last", t.ExtLast, t.HasExt)
	price("ext_change", t.ExtLast-t.Last, t.HasExt && t.HasLast)
	if t.HasExt {
		out["ext_time"] = strconv.FormatInt(t.ExtTime/1000, 10)
	}
	price("prev_close", t.PrevClose, t.HasPrevClose)
	if t.HasLast && t.HasPrevClose {
		price("change", t.Last-t.PrevClose, true)
	} else if t.HasLast && t.HasOpen {
		price("change", t.Last-t.Open, true)
	}
	out["volume"] = quoted(numText(t.Volume, v.Scale.Size))
	out["trades"] = strconv.FormatUint(t.Trades, 10)
	if p, d, ok := t.VWAP(v.Scale); ok {
		out["vwap"] = quoted(numText(p, d))
	}
	return out
}

// account checks what a message says of the changes it stands for: how many, over
// what time, and their extremes.
func (c *modelClient) account(st *modelStream, msg []byte, m *wire.Delta) {
	id, _ := c.w.dir.Lookup(st.symbol)
	h := c.w.known[id]
	venue, _ := c.w.dir.LookupVenue(st.venue)
	var of []*given
	for i := range h.given {
		g := &h.given[i]
		if strconv.FormatUint(g.epoch, 16) != st.epoch || g.seq <= m.Prev || g.seq > m.Seq {
			continue
		}
		if concerned(st.channel, venue, g) {
			of = append(of, g)
		}
	}
	if st.interval == 0 {
		c.skipsNothing(st, msg, m.Prev, m.Seq)
		if m.N != 1 || m.Span != 0 || m.Merged != nil {
			c.fatal(msg, "n %d, span %d, want one change", m.N, m.Span)
		}
		return
	}
	if len(of) == 0 || m.N != uint64(len(of)) {
		c.fatal(msg, "n is %d, want %d", m.N, len(of))
	}
	if want := max(of[len(of)-1].rx-of[0].rx, 0) / 1000; m.Span != want {
		c.fatal(msg, "span is %d, want %d", m.Span, want)
	}
	c.extremes(st, msg, m, of)
}

// skipsNothing checks that no change between two positions showed.
func (c *modelClient) skipsNothing(st *modelStream, msg []byte, from, to uint64) {
	v := c.w.at(st.symbol, st.epoch, from)
	was := *st
	was.bids, was.asks, _ = c.w.wantBook(st, v)
	was.fields = c.w.wantQuote(st, v)
	switch st.channel {
	case wire.ChannelTicker:
		was.fields = c.w.wantTicker(v)
	case wire.ChannelStatus:
		was.fields = c.w.wantStatus(st, v)
	}
	for seq := from + 1; seq < to; seq++ {
		v := c.w.at(st.symbol, st.epoch, seq)
		if v == nil {
			continue
		}
		if err := c.w.differs(&was, v); err != nil {
			c.fatal(msg, "skips the change at %d: %v", seq, err)
		}
	}
}

func concerned(ch wire.Channel, venue market.VenueID, g *given) bool {
	is := func(bits orderbook.Changed) bool { return g.changed&(bits|orderbook.ChangedSnapshot) != 0 }
	switch {
	case ch == wire.ChannelTicker:
		return is(orderbook.ChangedTicker)
	case ch == wire.ChannelStatus:
		return is(orderbook.ChangedStatus | orderbook.ChangedVenues)
	case venue != market.Consolidated:
		return is(0) || g.venues[venue]
	case ch == wire.ChannelQuote:
		return is(orderbook.ChangedQuote | orderbook.ChangedVenues)
	}
	return is(orderbook.ChangedLevels | orderbook.ChangedTops | orderbook.ChangedVenues)
}

// extremes checks the lowest and highest prices that a message tells, and that
// one without them has nothing to tell.
func (c *modelClient) extremes(st *modelStream, msg []byte, m *wire.Delta, of []*given) {
	seen := make(map[string][]int64)
	note := func(name string, p market.Price, d market.Decimals) {
		seen[name] = append(seen[name], testNumber(numText(p, d)))
	}
	for _, g := range of {
		v := &orderbook.View{}
		if err := v.Apply(g.whole); err != nil {
			c.fatal(msg, "%v", err)
		}
		switch st.channel {
		case wire.ChannelQuote:
			f := c.w.wantQuote(st, v)
			for _, name := range []string{"bid", "ask"} {
				if text := f[name]; text != "" {
					seen[name] = append(seen[name], testNumber(strings.Trim(text, `"`)))
				}
			}
		case wire.ChannelTicker:
			for _, p := range g.last {
				note("last", p, g.scale.Price)
			}
		}
	}
	merged := m.Merged
	if merged == nil {
		for name, list := range seen {
			is := int64(0)
			if text := st.fields[name]; text != "" {
				is = testNumber(strings.Trim(text, `"`))
			}
			if st.channel == wire.ChannelTicker && len(of) == 1 {
				continue // no more than the message itself says
			}
			if slices.Min(list) != is || slices.Max(list) != is {
				c.fatal(msg, "does not tell that %s was %v", name, list)
			}
		}
		return
	}
	c.w.merged++
	for name, got := range map[string]*[2]string{"bid": merged.Bid, "ask": merged.Ask, "last": merged.Last} {
		list := seen[name]
		if (got == nil) != (len(list) == 0) {
			c.fatal(msg, "merged %s is %v, want %v", name, got, list)
		}
		if got != nil && (testNumber(got[0]) != slices.Min(list) || testNumber(got[1]) != slices.Max(list)) {
			c.fatal(msg, "merged %s is %v, want the extremes of %v", name, *got, list)
		}
	}
	if st.channel == wire.ChannelTicker {
		before := c.w.at(st.symbol, st.epoch, m.Prev)
		after := c.w.at(st.symbol, st.epoch, m.Seq)
		if trades := after.Ticker.Trades - before.Ticker.Trades; merged.Trades != trades {
			c.fatal(msg, "merged trades %d, want %d", merged.Trades, trades)
		}
		was, err := market.Rescale(before.Ticker.Volume, before.Scale.Size, after.Scale.Size)
		if err != nil {
			c.fatal(msg, "%v", err)
		}
		if volume := after.Ticker.Volume - was; merged.Trades > 0 && merged.Volume != numText(volume, after.Scale.Size) {
			c.fatal(msg, "merged volume %s, want %d", merged.Volume, volume)
		}
	}
}

// prints returns the prints of a stream's venue from after one position to another.
func (c *modelClient) prints(st *modelStream, from, to uint64) (out []wire.TradeEvent) {
	id, _ := c.w.dir.Lookup(st.symbol)
	h := c.w.known[id]
	epoch, _ := strconv.ParseUint(st.epoch, 16, 64)
	for i := from; i < to; i++ {
		p, scale := &h.prints[epoch][i], h.scales[epoch][i]
		if name := c.w.dir.VenueName(p.Venue); st.venue == "*" || st.venue == name {
			out = append(out, wire.TradeEvent{Price: numText(p.Price, scale.Price), Size: numText(p.Size, scale.Size), Venue: name,
				ID: strings.ToValidUTF8(p.ID.String(), "�"), Side: p.Side.Aggressor(), TS: p.Time / 1000})
		}
	}
	return out
}

func (c *modelClient) trade(msg []byte, m *wire.Trade) {
	st := c.stream(msg, m.SID, m.Seq)
	if !st.have || m.Prev != st.seq {
		c.fatal(msg, "does not follow %v %d", st.have, st.seq)
	}
	if m.Seq <= m.Prev && !(st.resuming && m.Seq == m.Prev && len(m.Events) == 0) {
		c.fatal(msg, "does not go forward")
	}
	if st.resuming {
		c.w.resumed++
	}
	st.resuming = false
	st.seq = m.Seq
	got := printsOf(m.Events)
	if want := c.prints(st, m.Prev, m.Seq); !reflect.DeepEqual(got, want) {
		c.fatal(msg, "prints are\n%+v, want\n%+v", got, want)
	}
}

// printsOf returns prints as the model knows them.
func printsOf(events []wire.TradeEvent) (got []wire.TradeEvent) {
	for _, e := range events {
		e.Cond, e.Prior = nil, false
		e.ID = strings.ReplaceAll(e.ID, "��", "�") // one for each bad byte, the model has one for a run
		got = append(got, e)
	}
	return got
}

// TestModel: whatever the venues send and clients ask for, however slow they are,
// at every message a client's view is the server's state at that seq.
func TestModel(t *testing.T) {
	var total world
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.Uint64().Draw(t, "seed"))
		r := w.sim.rand
		w.move(10)
		for range 3 {
			w.connect()
		}
		actions := []string{"market", "market", "market", "burst", "drain", "drain", "drain", "subscribe", "subscribe", "stall",
			"unsubscribe", "update", "resync", "fetch", "pause", "reconnect", "restart", "lose", "idle"}
		for range rapid.IntRange(10, 80).Draw(t, "steps") {
			c := w.clients[r.IntN(len(w.clients))]
			switch rapid.SampledFrom(actions).Draw(t, "action") {
			case "market":
				w.move(1 + r.IntN(5))
			case "burst":
				w.move(40)
			case "drain":
				for _, c := range w.clients {
					if !c.stalled {
						c.drain()
					}
				}
			case "stall":
				c.stalled = !c.stalled
			case "subscribe":
				w.subscribe(c)
			case "unsubscribe":
				if sid, ok := w.anySID(c); ok && r.IntN(3) > 0 {
					c.request(`{"op":"unsubscribe","sid":%d}`, sid)
				} else {
					c.request(`{"op":"unsubscribe","channel":"book","symbols":["BTC-*","*"]}`)
				}
			case "update":
				// An update does not say which stream it ends: there must be no doubt.
				c.drain()
				if sid, ok := w.anySID(c); ok {
					c.request(`{"op":"update","sid":%d,"interval":%q,"depth":%d}`, sid, anyInterval(w), []int{0, 2, 10}[r.IntN(3)])
				}
				c.drain()
				c.request(`{"op":"update","channel":"quote","symbols":["*"],"interval":%q}`, anyInterval(w))
				c.drain()
			case "resync":
				if sid, ok := w.anySID(c); ok {
					c.request(`{"op":"resync","sid":%d}`, sid)
				}
			case "fetch":
				if sid, ok := w.anySID(c); ok {
					c.drain() // of two fetches of one stream the model knows one
					from := uint64(r.IntN(40))
					c.request(`{"op":"fetch","id":1,"sid":%d,"from":%d,"to":%d}`, sid, from, from+uint64(r.IntN(40)))
					c.drain()
				}
			case "pause":
				if sid, ok := w.anySID(c); ok {
					c.drain()
					c.request(`{"op":"update","sid":%d,"paused":%v}`, sid, r.IntN(2) == 0)
					c.drain()
				}
			case "reconnect":
				c.reconnect()
				for range 4 {
					w.subscribe(c)
				}
			case "restart":
				if r.IntN(4) == 0 {
					w.restart()
				}
			case "lose":
				for _, id := range slices.Sorted(maps.Keys(w.known)) {
					w.known[id].hold = r.IntN(6)
				}
			case "idle":
				w.now += r.Int64N(int64(time.Second))
				w.lane.tick(w.now)
				w.lane.deliver(w.now)
			}
		}
		w.settle()
		total.checked += w.checked
		total.gaps += w.gaps
		total.snapshots += w.snapshots
		total.deltas += w.deltas
		total.resumed += w.resumed
		total.merged += w.merged
		total.aged += w.aged
		total.fetched += w.fetched
		total.paused += w.paused
	})
	t.Logf("%d messages: %d deltas, %d snapshots, %d gaps, %d resumed, %d with extremes, %d stale, %d fetched, %d paused", total.checked, total.deltas, total.snapshots,
		total.gaps, total.resumed, total.merged, total.aged, total.fetched, total.paused)
	if total.fetched == 0 || total.paused == 0 || total.aged == 0 || total.gaps == 0 || total.resumed == 0 || total.merged == 0 {
		t.Error("the test did not come across what it is to test")
	}
}

func anyInterval(w *world) string {
	return []string{"0", "0", "5ms", "20ms", "100ms", "3ms"}[w.sim.rand.IntN(6)]
}

func (w *world) anySID(c *modelClient) (uint64, bool) {
	var sids []uint64
	for _, u := range c.s.subs {
		sids = append(sids, u.topic.sid)
	}
	if len(sids) == 0 {
		return 0, false
	}
	return sids[w.sim.rand.IntN(len(sids))], true
}

// subscribe asks for something, and resumes where it can.
func (w *world) subscribe(c *modelClient) {
	r := w.sim.rand
	channel := []string{"book", "book", "quote", "trade", "ticker", "status"}[r.IntN(6)]
	symbols := [][]string{{"BTC-USD"}, {"AAPL", "ETH-USD"}, {"*"}, {"BTC-*", "BTC-USD"}, {"NONE"}, {"AAPL", "NONE"}}[r.IntN(6)]
	req := map[string]any{"op": "subscribe", "id": 1, "channel": channel, "symbols": symbols, "interval": anyInterval(w)}
	if channel == "book" {
		req["depth"] = []int{0, 1, 3, 10}[r.IntN(4)]
		req["venues"] = r.IntN(2) == 0
		if r.IntN(3) == 0 {
			req["group"] = []string{"0.25", "2", "3", "0.05"}[r.IntN(4)]
		}
		req["checksum"] = r.IntN(4) > 0
	}
	if channel == "quote" && r.IntN(2) == 0 {
		req["max_age"] = []string{"15ms", "60ms", "1s"}[r.IntN(3)]
	}
	if channel != "ticker" && r.IntN(3) == 0 {
		req["venue"] = fmt.Sprintf("venue%d", 1+r.IntN(testVenues))
	}
	// A wrong depth's or venue's position would be the client's own fault: the
	// positions given are of one stream each, and the rest of the ask is its.
	c.asked = make(map[string]bool)
	specs := slices.SortedFunc(maps.Keys(c.kept), func(a, b spec) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	for _, k := range specs {
		st := c.kept[k]
		if r.IntN(2) == 0 || k.channel.String() != channel {
			continue
		}
		req["symbols"], req["venue"], req["resume"] = []string{k.symbol}, k.venue,
			map[string]wire.Position{k.symbol: {Epoch: st.epoch, Seq: st.seq}}
		if channel == "book" {
			req["depth"], req["venues"] = k.depth, k.venues
			if delete(req, "group"); k.group != "" {
				req["group"] = k.group
			}
		}
		if delete(req, "max_age"); k.maxAge != "" {
			req["max_age"] = k.maxAge
		}
		c.asked[k.symbol] = true
		break
	}
	if r.IntN(8) == 0 {
		req["paused"] = true
	}
	text, err := json.Marshal(req)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(c.asked) == 0 {
		c.request("%s", text)
		return
	}
	// asked must be of this request when an ack comes, and of no other.
	asked := c.asked
	c.asked = nil
	c.drain()
	c.asked = asked
	c.request("%s", text)
	c.drain()
	c.asked = nil
}

// settle lets everything run out: then every view is the present state.
func (w *world) settle() {
	for _, h := range w.known {
		h.hold = 0
	}
	// Of each instrument one more update, so that what was lost is repaired.
	for i := range testSymbols {
		if id, ok := w.dir.Lookup(testSymbol(i)); ok {
			w.now += 1e6
			w.shard.Apply([]market.Event{{Kind: market.KindStatus, Flags: market.FlagLast, Feed: 1, Venue: 1, Instrument: id,
				Status: market.StatusHalted, Received: w.now}})
			w.now += 1e6
			w.shard.Apply([]market.Event{{Kind: market.KindStatus, Flags: market.FlagLast, Feed: 1, Venue: 1, Instrument: id,
				Status: market.StatusTrading, Received: w.now}})
		}
	}
	w.depth++ // nothing interleaves any more
	for _, c := range w.clients {
		c.drain()
		for _, sid := range slices.Sorted(maps.Keys(c.streams)) {
			if c.streams[sid].paused {
				w.paused++
				c.request(`{"op":"update","sid":%d,"paused":false}`, sid)
			}
		}
	}
	for range 3 {
		w.now += int64(200 * time.Millisecond)
		w.lane.tick(w.now)
		for _, c := range w.clients {
			c.drain()
		}
	}
	for _, t := range w.lane.schedule.heap {
		if t.key.maxAge == 0 || t.due <= w.now {
			w.t.Fatal("topics wait though their interval has passed")
		}
	}
	for _, c := range w.clients {
		for _, u := range c.s.subs {
			sid := u.topic.sid
			st := c.streams[sid]
			if st == nil || !st.have || st.lost || st.resuming {
				w.t.Fatalf("stream %d has no state: %+v", sid, st)
			}
			v := &w.lane.instrument(u.topic.key.instrument).view
			if epoch := strconv.FormatUint(v.Epoch, 16); st.epoch != epoch {
				w.t.Fatalf("stream %d is of epoch %s, the books are at %s", sid, st.epoch, epoch)
			}
			if st.channel == wire.ChannelTrade {
				if left := c.prints(st, min(st.seq, v.TradeSeq), v.TradeSeq); len(left) > 0 {
					w.t.Fatalf("stream %d is at %d, these prints never came: %v", sid, st.seq, left)
				}
			} else if err := w.differs(st, v); err != nil {
				w.t.Fatalf("stream %d at the end: %v", sid, err)
			}
		}
	}
}
