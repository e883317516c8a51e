package orderbook

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/market"
)

// TestScripts plays the book scripts in testdata/book. A script is a list of
// what feeds say and of what must then hold; README.md there has the language.
// Whatever a script expects, the invariants of checkUpdate hold after each line.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("../testdata/book/*.test")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in testdata/book: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".test"), func(t *testing.T) { playScript(t, f) })
	}
}

func playScript(t *testing.T, file string) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := newScript(t)
	in := bufio.NewScanner(f)
	for n := 1; in.Scan(); n++ {
		line, _, _ := strings.Cut(in.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := s.line(words); err != nil {
			t.Fatalf("%s:%d: %s: %v", filepath.Base(file), n, strings.TrimSpace(line), err)
		}
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
}

// script is the state of a script that is being played.
type script struct {
	*rig
	now     int64    // receive time of the next message
	resyncs []string // asked for and not yet expected
	rules   map[string]QuoteRules
	step    map[market.InstrumentID][]*Update
}

func newScript(t *testing.T) *script {
	s := &script{now: time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC).UnixNano(), rules: map[string]QuoteRules{}}
	s.rig = newRig(t, Config{Rules: func(in market.Instrument) QuoteRules { return s.rules[in.Symbol] }, Resync: func(feed market.FeedID, id market.InstrumentID, c Cause) {
		s.resyncs = append(s.resyncs, s.dir.FeedName(feed)+" "+s.dir.Symbol(id)+" "+c.String())
	}})
	s.onUpdate = func(u *Update) {
		c := new(Update)
		u.CopyTo(c)
		s.step[u.Instrument] = append(s.step[u.Instrument], c)
	}
	return s
}

func (s *script) line(w []string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(scriptError)
			if !ok {
				panic(r)
			}
			err = errors.New(string(e))
		}
	}()
	switch w[0] {
	case "feeds":
		for _, name := range w[1:] {
			if _, err := s.dir.Feed(name); err != nil {
				return err
			}
		}
	case "venues":
		for _, name := range w[1:] {
			s.venue(name)
		}
	case "at":
		if d, err := time.ParseDuration(strings.TrimPrefix(w[1], "+")); err == nil && w[1][0] == '+' {
			s.now += int64(d)
			return nil
		}
		at, err := time.Parse(time.RFC3339, w[1])
		if err != nil {
			return err
		}
		s.now = at.UnixNano()
	case "expect":
		return s.expect(w[1:])
	case "rules":
		s.rules[w[1]] = quoteRules(w[2:])
	default:
		last := true
		if w[0] == "part" {
			last, w = false, w[1:]
		}
		return s.say(w, last)
	}
	return nil
}

type scriptError string

func bad(format string, args ...any) { panic(scriptError(fmt.Sprintf(format, args...))) }

func (s *script) feed(name string) market.FeedID {
	id, err := s.dir.Feed(name)
	if err != nil {
		bad("%v", err)
	}
	return id
}

func (s *script) venue(name string) market.VenueID {
	id, err := s.dir.Venue(name)
	if err != nil {
		bad("%v", err)
	}
	return id
}

func (s *script) symbol(name string) market.InstrumentID {
	class := market.ClassStock
	if strings.Contains(name, "-") {
		class = market.ClassCrypto
	}
	id, err := s.dir.Instrument(name, class)
	if err != nil {
		bad("%v", err)
	}
	return id
}

// setLevel reads PRICExSIZE into the event.
func setLevel(e *market.Event, text string) {
	p, z, ok := strings.Cut(text, "x")
	if !ok {
		bad("%q: want PRICExSIZE", text)
	}
	var err1, err2 error
	e.Price, e.PriceDecimals, err1 = market.ParsePrice(p)
	e.Size, e.SizeDecimals, err2 = market.ParseSize(z)
	if err := errors.Join(err1, err2); err != nil {
		bad("%q: %v", text, err)
	}
}

// say makes the events of one message and applies them. Where last is false
// more of the same message follows, in a call of its own.
func (s *script) say(w []string, last bool) error {
	kind, w := w[0], w[1:]
	if len(w) == 0 {
		bad("want a feed")
	}
	head := market.Event{Feed: s.feed(w[0]), Received: s.now, Time: s.now}
	w = w[1:]
	if len(w) > 0 && !strings.Contains(w[0], "=") {
		if w[0] != "*" {
			head.Venue = s.venue(w[0])
		}
		w = w[1:]
	}
	if len(w) > 0 && !strings.Contains(w[0], "=") {
		head.Instrument = s.symbol(w[0])
		w = w[1:]
	}
	var events []market.Event
	add := func(k market.Kind) *market.Event {
		e := head
		e.Kind = k
		events = append(events, e)
		return &events[len(events)-1]
	}
	var words []string
	options := map[string]string{}
	for _, x := range w {
		if k, v, ok := strings.Cut(x, "="); ok {
			options[k] = v
		} else {
			words = append(words, x)
		}
	}
	number := func(name string) uint64 {
		n, err := strconv.ParseUint(options[name], 10, 64)
		if err != nil && options[name] != "" {
			bad("%s: %v", name, err)
		}
		return n
	}
	switch kind {
	case "up", "down", "stale", "suspect", "leave", "gap", "heartbeat":
		kinds := map[string]market.Kind{"up": market.KindUp, "down": market.KindDown, "stale": market.KindStale,
			"suspect": market.KindSuspect, "leave": market.KindLeave, "gap": market.KindGap, "heartbeat": market.KindHeartbeat}
		add(kinds[kind])
	case "snapshot", "clear", "level":
		if kind != "level" {
			e := add(market.KindClear)
			e.Depth = uint16(number("depth"))
			if kind == "snapshot" {
				head.Flags |= market.FlagSnapshot
				e.Flags |= market.FlagSnapshot
			}
		}
		side := market.SideNone
		for _, x := range words {
			switch x {
			case "bid":
				side = market.SideBid
			case "ask":
				side = market.SideAsk
			default:
				e := add(market.KindLevel)
				e.Side = side
				setLevel(e, x)
			}
		}
		if options["sum"] != "" {
			add(market.KindChecksum).Sequence = number("sum")
		}
	case "quote", "nbbo":
		e := add(market.KindQuote)
		if len(words) != 2 {
			bad("want bid and ask")
		}
		var sides [2]market.Event
		for i, x := range words {
			if x == "-" {
				continue
			}
			x, venue, _ := strings.Cut(x, "@")
			setLevel(&sides[i], x)
			if kind == "nbbo" && venue != "" {
				if i == 0 {
					e.BidVenue = s.venue(venue)
				} else {
					e.AskVenue = s.venue(venue)
				}
			}
		}
		b, a := &sides[0], &sides[1]
		e.PriceDecimals, e.SizeDecimals = max(b.PriceDecimals, a.PriceDecimals), max(b.SizeDecimals, a.SizeDecimals)
		e.Price, _ = market.Rescale(b.Price, b.PriceDecimals, e.PriceDecimals)
		e.Size, _ = market.Rescale(b.Size, b.SizeDecimals, e.SizeDecimals)
		e.Ask, _ = market.Rescale(a.Price, a.PriceDecimals, e.PriceDecimals)
		e.AskSize, _ = market.Rescale(a.Size, a.SizeDecimals, e.SizeDecimals)
		if kind == "nbbo" {
			e.Flags |= market.FlagNBBO
		}
		setConditions(e, options["cond"])
	case "trade":
		for _, x := range words {
			e := add(market.KindTrade)
			setLevel(e, x)
			if n := number("id"); n > 0 {
				e.Flags |= market.FlagContiguous
				e.TradeSequence = n + uint64(len(events)) - 1
			}
			if options["prior"] != "" {
				e.Flags |= market.FlagPrior
			}
			if d := options["ago"]; d != "" {
				ago, err := time.ParseDuration(d)
				if err != nil {
					bad("%v", err)
				}
				e.Time -= int64(ago)
			}
			setConditions(e, options["cond"])
		}
	case "luld":
		e := add(market.KindLULD)
		var bands [2]market.Event
		setLevel(&bands[0], words[0]+"x0")
		setLevel(&bands[1], words[1]+"x0")
		e.PriceDecimals = max(bands[0].PriceDecimals, bands[1].PriceDecimals)
		e.Low, _ = market.Rescale(bands[0].Price, bands[0].PriceDecimals, e.PriceDecimals)
		e.High, _ = market.Rescale(bands[1].Price, bands[1].PriceDecimals, e.PriceDecimals)
	case "imbalance":
		e := add(market.KindImbalance)
		if e.Side = market.SideBid; words[0] == "ask" {
			e.Side = market.SideAsk
		}
		setLevel(e, words[1])
		e.AskSize = market.Size(number("paired"))
		if a := options["auction"]; a != "" {
			e.Auction = a[0]
		}
	case "status", "halt":
		e := add(market.KindStatus)
		if kind == "halt" {
			e.Flags |= market.FlagNBBO
			e.ID, _ = market.MakeTradeID(options["reason"])
		}
		for st := market.StatusUnknown; st <= market.StatusRestricted; st++ {
			if st.String() == words[0] {
				e.Status = st
			}
		}
	case "instrument":
		e := add(market.KindInstrument)
		setLevel(e, words[0]) // written with the decimals that are meant
	default:
		bad("no such word")
	}
	if head.Instrument != 0 && last {
		events[len(events)-1].Flags |= market.FlagLast
	}
	s.step = map[market.InstrumentID][]*Update{}
	s.apply(events)
	s.now += int64(time.Millisecond)
	return s.err
}

// expect compares what holds with the rest of the line.
func (s *script) expect(w []string) error {
	what := w[0]
	switch what {
	case "resync":
		got := "none"
		if len(s.resyncs) > 0 {
			got, s.resyncs = s.resyncs[0], s.resyncs[1:]
		}
		return same(got, strings.Join(w[1:], " "))
	case "book":
		return s.expectCounters(w[1:])
	}
	id := s.symbol(w[1])
	v := s.views[id]
	if v == nil {
		v = &View{}
	}
	want := strings.Join(w[2:], " ")
	switch what {
	case "bbo":
		return same(s.bbo(&v.Quote, v.Scale), want)
	case "quote":
		return s.expectQuote(v, w[2:])
	case "out":
		return same(s.out(&v.Quote), want)
	case "status":
		return s.expectStatus(v, w[2:])
	case "state":
		return same(s.state(v, s.venue(w[2])), strings.Join(w[3:], " "))
	case "levels":
		venue := v.Venue(s.venue(w[2]))
		if venue == nil {
			bad("nothing heard of the venue")
		}
		return same(s.levels(v, venue), strings.Join(w[3:], " "))
	case "depth":
		return same(s.depth(v), want)
	case "updates":
		return same(fmt.Sprint(len(s.step[id])), want)
	case "seq":
		return same(fmt.Sprint(v.Seq), want)
	case "scale":
		return same(v.Scale.String(), want)
	case "told":
		return same(s.told(id), want)
	case "trades":
		return same(s.trades(id), want)
	case "ticker":
		return s.expectTicker(v, w[2:])
	}
	bad("no such expectation")
	return nil
}

func same(got, want string) error {
	if got != want {
		return fmt.Errorf("got %q", got)
	}
	return nil
}

func side(lv Level, sc market.Scale) string {
	return market.Format(lv.Price, sc.Price) + "x" + market.Format(lv.Size, sc.Size)
}

func (s *script) bbo(q *Quote, sc market.Scale) string {
	one := func(lv Level, total market.Size, venues []VenueSize) string {
		if lv.Size == 0 {
			return "-"
		}
		text := side(lv, sc)
		for _, v := range venues {
			text += "@" + s.dir.VenueName(v.Venue)
			if v.Size != lv.Size {
				text += ":" + market.Format(v.Size, sc.Size)
			}
		}
		if total != lv.Size {
			text += "=" + market.Format(total, sc.Size)
		}
		return text
	}
	text := one(Level{q.Bid, q.BidSize}, q.BidTotal, q.BidVenues) + " " + one(Level{q.Ask, q.AskSize}, q.AskTotal, q.AskVenues)
	switch {
	case q.Crossed():
		text += " crossed"
	case q.Locked():
		text += " locked"
	}
	if q.Source != SourceConsolidated {
		text += " (" + q.Source.String() + ")"
	}
	return text
}

func (s *script) state(v *View, id market.VenueID) string {
	w := v.Venue(id)
	if w == nil {
		return "none"
	}
	text := w.State.String()
	if w.Cause != CauseNone {
		text += " " + w.Cause.String()
	}
	return text
}

func (s *script) levels(v *View, w *VenueView) string {
	if !w.HasBook {
		return s.bbo(&Quote{Source: SourceConsolidated, Bid: w.Top.Bid, BidSize: w.Top.BidSize, BidTotal: w.Top.BidSize,
			Ask: w.Top.Ask, AskSize: w.Top.AskSize, AskTotal: w.Top.AskSize}, v.Scale)
	}
	text := "bid"
	for _, l := range w.Bids.AppendTop(nil, 0) {
		text += " " + side(l, v.Scale)
	}
	text += " ask"
	for _, l := range w.Asks.AppendTop(nil, 0) {
		text += " " + side(l, v.Scale)
	}
	return text
}

func (s *script) depth(v *View) string {
	var parts []string
	for _, sd := range []market.Side{market.SideBid, market.SideAsk} {
		parts = append(parts, sd.String())
		levels, splits := v.AppendDepth(nil, nil, sd, 0)
		for _, l := range levels {
			text := side(l.Level, v.Scale)
			for _, x := range splits[:l.Venues] {
				text += "@" + s.dir.VenueName(x.Venue)
				if l.Venues > 1 {
					text += ":" + market.Format(x.Size, v.Scale.Size)
				}
			}
			splits = splits[l.Venues:]
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, " ")
}

// told renders the level changes of the last step's updates of the instrument.
func (s *script) told(id market.InstrumentID) string {
	var parts []string
	for _, u := range s.step[id] {
		for _, c := range u.Levels {
			x := s.dir.VenueName(c.Venue) + " "
			if c.Side == market.SideNone {
				x += "clear"
			} else {
				x += c.Side.String() + " " + side(c.Level, u.Scale)
			}
			parts = append(parts, x)
		}
	}
	if parts == nil {
		return "nothing"
	}
	return strings.Join(parts, " ")
}

func (s *script) trades(id market.InstrumentID) string {
	var parts []string
	for _, u := range s.step[id] {
		for _, tr := range u.Trades {
			parts = append(parts, side(Level{tr.Price, tr.Size}, u.Scale)+"@"+s.dir.VenueName(tr.Venue))
		}
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, " ")
}

func (s *script) expectTicker(v *View, want []string) error {
	t := &v.Ticker
	price := func(p market.Price, ok bool) string {
		if !ok {
			return "-"
		}
		return market.Format(p, v.Scale.Price)
	}
	vwap, decimals, ok := t.VWAP(v.Scale)
	got := map[string]string{
		"last": price(t.Last, t.HasLast), "open": price(t.Open, t.HasOpen), "high": price(t.High, t.HasOpen),
		"low": price(t.Low, t.HasOpen), "prev": price(t.PrevClose, t.HasPrevClose),
		"volume": market.Format(t.Volume, v.Scale.Size), "trades": fmt.Sprint(t.Trades), "vwap": "-",
	}
	if ok {
		got["vwap"] = market.Format(vwap, decimals)
	}
	return compare(got, want)
}

// expectCounters: FEED VENUE SYMBOL name=value...
func (s *script) expectCounters(w []string) error {
	for _, r := range s.shard.Report(0) {
		if r.Feed != s.feed(w[0]) || r.Venue != s.venue(w[1]) || r.Instrument != s.symbol(w[2]) {
			continue
		}
		u := func(n uint64) string { return strconv.FormatUint(n, 10) }
		return compare(map[string]string{
			"messages": u(r.Messages), "matched": u(r.Matched), "mismatched": u(r.Mismatched), "gaps": u(r.Gaps),
			"resyncs": u(r.Resyncs), "crossed": u(r.Crossed), "refused": u(r.Refused), "ignored": u(r.Ignored),
			"quotes": u(r.Quotes), "trades": u(r.Trades), "lost": u(r.TradesLost), "dup": u(r.TradesDup),
			"volume": market.Format(r.Volume, r.Scale.Size), "state": r.State.String(), "bids": fmt.Sprint(r.Bids), "asks": fmt.Sprint(r.Asks),
		}, w[3:])
	}
	return errors.New("no such book")
}

func compare(got map[string]string, want []string) error {
	for _, x := range want {
		k, v, _ := strings.Cut(x, "=")
		g, ok := got[k]
		if !ok {
			bad("no %q to compare", k)
		}
		if g != v {
			return fmt.Errorf("got %s=%s", k, g)
		}
	}
	return nil
}
