package streamer

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/auth"
	"github.com/quotewire/quotewire/streamer/wire"
)

// TestNobodySeesMore: random keys, symbols and transports. Every price tells its
// symbol, its venue and when it was made, so that each byte that a client gets can
// be held against its rights, read anew here: nothing of a symbol, a channel or a
// venue that it has no right to, nothing younger than its delay by what it tells
// and by ts and rx.
func TestNobodySeesMore(t *testing.T) {
	fewerUnderRace(t, 8)
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		var wrong string
		synctest.Test(t, func(t *testing.T) { wrong = newWatch(t, seed).run() })
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// fewerUnderRace bounds a property's checks under the race detector, where each
// takes a second, unless -rapid.checks says how many.
func fewerUnderRace(t *testing.T, n int) {
	f := flag.Lookup("rapid.checks")
	if was := f.Value.String(); raceEnabled && was == f.DefValue {
		t.Cleanup(func() { _ = f.Value.Set(was) })
		if err := f.Value.Set(strconv.Itoa(n)); err != nil {
			t.Fatal(err)
		}
	}
}

// watch is a market and clients whose every message is looked at.
type watch struct {
	t       *testing.T
	rnd     *rand.Rand
	s       *server
	close   func()
	plans   map[string]auth.Plan
	names   []string
	symbols []string
	readers sync.WaitGroup

	mu    sync.Mutex
	made  []time.Time // by step
	wrong string
	seen  int // prices looked at
}

var watchVenues = []string{"kraken", "coinbase"}

var watchChannels = []wire.Channel{wire.ChannelQuote, wire.ChannelBook, wire.ChannelTrade, wire.ChannelTicker, wire.ChannelBar, wire.ChannelStatus}

func newWatch(t *testing.T, seed uint64) *watch {
	w := &watch{t: t, rnd: rand.New(rand.NewPCG(seed, seed)), plans: make(map[string]auth.Plan),
		symbols: []string{"BTC-USD", "BTC-EUR", "ETH-USD", "AAPL", "AAPL.X"}}
	patterns := append([]string{"*", "BTC-*", "*-USD", "AAPL*", "E*"}, w.symbols...)
	delays := []time.Duration{0, 0, 2 * time.Second, 5 * time.Second}
	for i := range 4 {
		var p auth.Plan
		for range 1 + w.rnd.IntN(3) {
			g := auth.Grant{Symbols: pick(w.rnd, patterns, 1+w.rnd.IntN(2)), Delay: delays[w.rnd.IntN(len(delays))],
				MinInterval: []time.Duration{0, 0, 500 * time.Millisecond}[w.rnd.IntN(3)]}
			if w.rnd.IntN(2) == 0 {
				g.Channels = pick(w.rnd, watchChannels, 2)
			}
			if w.rnd.IntN(3) == 0 {
				g.Venues = pick(w.rnd, append([]string{"*"}, watchVenues...), 1+w.rnd.IntN(2))
			}
			p.Grants = append(p.Grants, g)
		}
		name := fmt.Sprintf("plan%d", i)
		w.plans[name], w.names = p, append(w.names, name)
	}
	cfg, _ := guarded(t, w.plans)
	cfg.Lanes = 2
	w.s, w.close = servePipe(t, cfg)
	w.s.client = &http.Client{Transport: &http.Transport{DialContext: w.s.dialer.NetDialContext}}
	return w
}

func pick[T any](rnd *rand.Rand, from []T, n int) []T {
	var out []T
	for _, i := range rnd.Perm(len(from))[:n] {
		out = append(out, from[i])
	}
	return out
}

// right is the plain reading of a plan.
func (w *watch) right(plan, symbol string, channel wire.Channel, venue string) (g auth.Grant, ok bool) {
	if venue == "" {
		venue = "*"
	}
	for _, g := range w.plans[plan].Grants {
		if slices.ContainsFunc(g.Symbols, func(p string) bool {
			return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(p), `\*`, ".*") + "$").MatchString(symbol)
		}) && (g.Channels == nil || slices.Contains(g.Channels, channel)) && (g.Venues == nil || slices.Contains(g.Venues, venue)) {
			return g, true
		}
	}
	return g, false
}

// any reports whether a plan has a right to a symbol on any channel.
func (w *watch) any(plan, symbol string) bool {
	for ch := wire.ChannelQuote; int(ch) < wire.NumChannels; ch++ {
		for _, v := range append([]string{"*"}, watchVenues...) {
			if _, ok := w.right(plan, symbol, ch, v); ok {
				return true
			}
		}
	}
	return false
}

func (w *watch) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wrong == "" {
		w.wrong = fmt.Sprintf(format, args...)
	}
}

// Prices: 1,000,000 for each symbol; asks 500,000 above bids; two for each step,
// one for each venue.
const (
	perSymbol = 1_000_000
	askAbove  = 500_000
)

// move lets one venue's book, or a print, change.
func (w *watch) move() {
	i, v := w.rnd.IntN(len(w.symbols)), w.rnd.IntN(len(watchVenues))
	w.mu.Lock()
	step := len(w.made)
	w.made = append(w.made, time.Now())
	w.mu.Unlock()
	price := int64((i+1)*perSymbol + 2*step + v)
	symbol, venue := w.symbols[i], watchVenues[v]
	// Venues' clocks are behind and ahead of ours.
	ts := time.Now().UnixNano() + w.rnd.Int64N(int64(time.Second)) - int64(time.Second)/2
	var events []market.Event
	switch w.rnd.IntN(9) {
	case 0, 1, 2:
		events = []market.Event{w.s.print(symbol, venue, price, 1)}
	case 3:
		e := w.s.event(market.KindImbalance, symbol, venue)
		e.Side, e.Price, e.Size = market.SideBid, market.Price(price), 1
		events = []market.Event{e}
	case 4:
		// Of no venue: with a decimal, as what is derived of several.
		e := w.s.event(market.KindLULD, symbol, venue)
		e.Low, e.High = market.Price(10*price+5), market.Price(10*(price+askAbove)+5)
		events = []market.Event{e}
	case 5:
		e := w.s.event(market.KindStatus, symbol, venue)
		e.Status = []market.TradingStatus{market.StatusHalted, market.StatusTrading}[w.rnd.IntN(2)]
		events = []market.Event{e}
	default:
		clear := w.s.event(market.KindClear, symbol, venue)
		clear.Flags = market.FlagSnapshot
		events = []market.Event{clear, w.s.level(symbol, venue, market.SideBid, price, 1), w.s.level(symbol, venue, market.SideAsk, price+askAbove, 1)}
	}
	for k := range events {
		events[k].PriceDecimals, events[k].Time = 0, ts
		if events[k].Kind == market.KindLULD {
			events[k].PriceDecimals = 1
		}
	}
	w.s.apply(events...)
}

var priceText = regexp.MustCompile(`"(\d{7})(\.\d+)?"`)

// text holds a text that a client got for a stream against what it may see.
func (w *watch) text(plan, text string, g *wire.Granted, delay time.Duration) {
	now := time.Now()
	for _, symbol := range w.symbols {
		// "AAPL" is part of "AAPL.X".
		if !w.any(plan, symbol) && strings.Contains(text, `"`+symbol+`"`) {
			w.fail("%s is told of %s: %s", plan, symbol, text)
		}
	}
	for _, m := range priceText.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		i, step, v := n/perSymbol-1, n%perSymbol%askAbove/2, n%2
		w.mu.Lock()
		made := w.made[step]
		w.seen++
		w.mu.Unlock()
		switch {
		case g == nil:
			w.fail("%s gets the price %s without a stream: %s", plan, m[0], text)
		case w.symbols[i] != g.Symbol:
			w.fail("%s gets a price of %s with %s: %s", plan, w.symbols[i], g.Symbol, text)
		case made.Add(delay).After(now):
			w.fail("%s gets a price of %s %s early: %s", plan, g.Symbol, made.Add(delay).Sub(now), text)
		case g.Venue != "" && g.Venue != "*" && m[2] == "" && g.Venue != watchVenues[v]:
			w.fail("%s gets a price of %s on %s: %s", plan, watchVenues[v], g.Venue, text)
		}
	}
}

// header holds a message's times against the delay.
func (w *watch) header(plan string, h *wire.Header, delay time.Duration, text string) {
	latest := time.Now().Add(-delay).UnixMicro()
	if delay > 0 && (h.TS > latest || h.RX > latest) {
		w.fail("%s, %s late, gets ts %d and rx %d at most %d: %s", plan, delay, h.TS, h.RX, latest, text)
	}
}

// streams are those that one client was granted, by sid.
type streams map[uint64]wire.Granted

// message holds one message against what the client may see.
func (w *watch) message(plan string, have streams, m wire.Message) {
	b, err := wire.Append(nil, m)
	if err != nil {
		w.fail("%v", err)
		return
	}
	text := string(b)
	var h *wire.Header
	var since []int64 // other times that it tells of
	switch m := m.(type) {
	case *wire.Error:
		return // names what the client named
	case *wire.Ack:
		for _, g := range m.Streams {
			if m.Op != wire.OpSubscribe && m.Op != wire.OpUpdate {
				if old := have[g.SID]; old.Symbol != g.Symbol || old.Channel != g.Channel {
					w.fail("%s is told of %+v", plan, g)
				}
				continue
			}
			r, ok := w.right(plan, g.Symbol, g.Channel, g.Venue)
			if !ok {
				w.fail("%s is granted %+v", plan, g)
			}
			if r.Delay > 0 && g.Delay != wire.FormatInterval(r.Delay) {
				w.fail("%s is granted %+v, want it %s late", plan, g, r.Delay)
			}
			have[g.SID] = g
		}
		w.text(plan, text, nil, 0)
		return
	case *wire.Snapshot:
		h = &m.Header
	case *wire.Delta:
		h = &m.Header
	case *wire.Trade:
		h = &m.Header
	case *wire.Bar:
		h = &m.Header
		since = append(since, m.Start)
	case *wire.Status:
		h = &m.Header
		since = append(since, m.Since, m.LimitSince)
		for _, v := range m.Venues {
			since = append(since, v.Since)
			if g := have[h.SID]; g.Venue != "" && g.Venue != "*" && v.Venue != g.Venue {
				w.fail("%s is told of %s on %s: %s", plan, v.Venue, g.Venue, text)
			}
		}
	default:
		w.text(plan, text, nil, 0)
		return
	}
	g, ok := have[h.SID]
	if !ok {
		w.fail("%s gets a message of a stream that it was not granted: %s", plan, text)
		return
	}
	r, _ := w.right(plan, g.Symbol, g.Channel, g.Venue)
	w.text(plan, text, &g, r.Delay)
	w.header(plan, h, r.Delay, text)
	for _, at := range since {
		w.header(plan, &wire.Header{RX: at}, r.Delay, text)
	}
}

// query is a random subscription as a query string.
func (w *watch) query() string {
	venue := append([]string{"", ""}, watchVenues...)[w.rnd.IntN(4)]
	channel := w.channel()
	q := "&channel=" + channel + "&symbols=" + strings.Join(w.some(), ",") + "&interval=" + []string{"0", "100ms", "1s"}[w.rnd.IntN(3)]
	if venue != "" && !whole(channel) {
		q += "&venue=" + venue
	}
	if channel == "bar" {
		q += "&bar=1s"
	}
	return q
}

func (w *watch) channel() string { return watchChannels[w.rnd.IntN(len(watchChannels))].String() }

// whole reports whether a channel has no venues of its own.
func whole(channel string) bool { return channel == "ticker" || channel == "bar" }

// channelField is a random channel as a request has it.
func (w *watch) channelField() string {
	channel := w.channel()
	text := fmt.Sprintf(`"channel":%q`, channel)
	if channel == "bar" && w.rnd.IntN(3) > 0 {
		text += `,"bar":"1s"`
	}
	if !whole(channel) && w.rnd.IntN(4) == 0 {
		text += fmt.Sprintf(`,"venue":%q`, watchVenues[w.rnd.IntN(2)])
	}
	return text
}

func (w *watch) some() []string {
	return pick(w.rnd, append([]string{"*", "BTC-*"}, w.symbols...), 1+w.rnd.IntN(3))
}

// watchSocket reads a WebSocket in JSON or Protocol Buffers.
func (w *watch) watchSocket(plan, query string, proto bool) *websocket.Conn {
	d := w.s.dialer
	if proto {
		d.Subprotocols = []string{wire.SubprotocolProto}
	}
	conn, resp, err := d.Dial("ws://server/v1/stream?key="+plan+query, nil)
	if err != nil {
		w.fail("dial: %v %v", err, resp)
		return nil
	}
	w.readers.Go(func() {
		have := make(streams)
		var p wire.ProtoReader
		for {
			_, b, err := conn.ReadMessage()
			if err != nil {
				return
			}
			for len(b) > 0 {
				var m wire.Message
				var one []byte
				if proto {
					if one, b, err = p.Cut(b); err == nil {
						m, err = p.Parse(one)
					}
				} else {
					text, rest, _ := strings.Cut(string(b), "\n")
					b = []byte(rest)
					m, err = wire.Parse([]byte(text))
				}
				if err != nil {
					w.fail("%v", err)
					return
				}
				if m != nil {
					w.message(plan, have, m)
				}
			}
		}
	})
	return conn
}

// watchEvents reads Server-Sent Events; what it returns ends it.
func (w *watch) watchEvents(plan, query string) func() {
	req, err := http.NewRequest(http.MethodGet, "http://server/v1/sse?key="+plan+query, nil)
	if err != nil {
		w.fail("%v", err)
		return func() {}
	}
	resp, err := w.s.client.Do(req)
	if err != nil {
		w.fail("events: %v", err)
		return func() {}
	}
	w.readers.Go(func() {
		have := make(streams)
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			m, err := wire.Parse([]byte(data))
			if err != nil {
				w.fail("%v", err)
				return
			}
			w.message(plan, have, m)
		}
	})
	return func() { _ = resp.Body.Close() }
}

// page asks for a random page.
func (w *watch) page(plan string) {
	switch w.rnd.IntN(5) {
	case 0, 1:
		for _, path := range []string{"/v1/symbols", "/v1/status"} {
			_, body := w.s.page(path, plan)
			w.text(plan, body, nil, 0)
		}
	default:
		symbol, channel := w.symbols[w.rnd.IntN(len(w.symbols))], w.channel()
		path, g := "/v1/snapshot/"+channel+"/"+symbol, wire.Granted{Symbol: symbol}
		if w.rnd.IntN(2) == 0 && !whole(channel) {
			g.Venue = watchVenues[w.rnd.IntN(2)]
			path += "?venue=" + g.Venue
		}
		status, body := w.s.page(path, plan)
		ch, _ := wire.ParseChannel(channel)
		r, ok := w.right(plan, symbol, ch, g.Venue)
		m, err := wire.Parse([]byte(body))
		if err != nil {
			w.fail("%s: %v in %s", path, err, body)
			return
		}
		snap, _ := m.(*wire.Snapshot)
		switch {
		case !ok:
			if status != http.StatusForbidden {
				w.fail("%s gets %s: %d %s", plan, path, status, body)
			}
		case snap == nil:
			if status == http.StatusForbidden {
				w.fail("%s does not get %s: %s", plan, path, body)
			}
		default:
			w.text(plan, body, &g, r.Delay)
			w.header(plan, &snap.Header, r.Delay, body)
		}
	}
}

// run lets the market move and clients come and go, and returns what was wrong.
func (w *watch) run() string {
	defer w.close()
	for _, symbol := range w.symbols[:3] { // the others are new later
		w.s.symbol(symbol)
	}
	for _, v := range watchVenues {
		w.s.venue(v)
	}
	var conns []*websocket.Conn
	var ends []func()
	for _, plan := range w.names {
		conns = append(conns, w.watchSocket(plan, "", false), w.watchSocket(plan, w.query(), true))
		ends = append(ends, w.watchEvents(plan, w.query()))
	}
	for range 30 {
		w.move()
		for i, plan := range w.names {
			if w.rnd.IntN(3) == 0 {
				w.page(plan)
			}
			c := conns[2*i]
			if c == nil || w.rnd.IntN(4) > 0 {
				continue
			}
			symbols := `"` + strings.Join(w.some(), `","`) + `"`
			var op string
			switch w.rnd.IntN(6) {
			case 0:
				op = fmt.Sprintf(`"unsubscribe",%s,"symbols":[%s]`, w.channelField(), symbols)
			case 1:
				op = fmt.Sprintf(`"update",%s,"symbols":[%s],"interval":"0"`, w.channelField(), symbols)
			case 2:
				op = fmt.Sprintf(`"resync","sid":%d`, 1+w.rnd.IntN(30))
			case 3:
				op = fmt.Sprintf(`"subscribe",%s,"symbols":["BTC-USD"],"resume":{"BTC-USD":{"epoch":"9f2c","seq":%d}}`, w.channelField(), w.rnd.IntN(30))
			default:
				op = fmt.Sprintf(`"subscribe",%s,"symbols":[%s],"interval":"0"`, w.channelField(), symbols)
			}
			if err := c.WriteMessage(websocket.TextMessage, []byte(`{"op":`+op+`}`)); err != nil {
				w.fail("%v", err)
			}
		}
		time.Sleep(time.Duration(w.rnd.Int64N(int64(400 * time.Millisecond))))
		synctest.Wait()
	}
	time.Sleep(6 * time.Second)
	synctest.Wait()
	for _, end := range ends {
		end()
	}
	for _, c := range conns {
		if c != nil {
			_ = c.Close()
		}
	}
	w.readers.Wait()
	w.s.client.CloseIdleConnections()
	return w.wrong
}
