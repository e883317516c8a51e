package streamer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/auth"
	"github.com/quotewire/quotewire/streamer/wire"
)

// conformance is one sentence of docs/protocol.md and how it shows on a socket.
type conformance struct {
	says string // words of the sentence, as they stand there
	cfg  Config
	keys map[string]auth.Plan
	run  func(x *exam)
}

// exam is a server with a book of BTC-USD at two venues, and a client of it.
type exam struct {
	*server
	*client
	t *testing.T
}

// ask sends a request and returns the ack of it.
func (x *exam) ask(format string, args ...any) *wire.Ack {
	x.t.Helper()
	x.send(format, args...)
	return want[*wire.Ack](x.client)
}

// subscribe sends a subscription and returns what was granted of its one stream.
func (x *exam) subscribe(fields string) wire.Granted {
	x.t.Helper()
	a := x.ask(`{"op":"subscribe","id":1,%s}`, fields)
	if len(a.Streams) != 1 || a.ID != "1" {
		x.t.Fatalf("ack is %s", x.last)
	}
	return a.Streams[0]
}

// refused sends a request and expects the refusal.
func (x *exam) refused(code, says, format string, args ...any) {
	x.t.Helper()
	x.send(format, args...)
	if e := want[*wire.Error](x.client); e.Code != code || !strings.Contains(e.Message, says) || e.ID != "9" {
		x.t.Errorf("%s: %s, want %s that says %q", fmt.Sprintf(format, args...), x.last, code, says)
	}
}

// bid changes BTC-USD's best bid at kraken to a size.
func (x *exam) bid(size int64) {
	x.apply(x.level("BTC-USD", "kraken", market.SideBid, 999, size))
}

func (x *exam) check(ok bool) {
	x.t.Helper()
	if !ok {
		x.t.Errorf("%s", x.last)
	}
}

// levels of one side as text.
func levelsOf(levels []wire.PriceLevel) string {
	var b strings.Builder
	for _, l := range levels {
		fmt.Fprintf(&b, "%s x %s ", l.Price, l.Size)
	}
	return strings.TrimSpace(b.String())
}

// plansOfExam are the plans of keys, which are their names.
var plansOfExam = map[string]auth.Plan{
	"btc": {Grants: []auth.Grant{{Symbols: []string{"BTC-*"}, Channels: []wire.Channel{wire.ChannelBook}, Depth: 2, MinInterval: time.Second}}},
}

var conformances = []conformance{
	// Transports.
	{says: "A text frame holds one or more JSON objects separated by `\\n`", run: func(x *exam) {
		x.book("ETH-USD", "kraken", 2000, 2)
		x.ask(`{"op":"subscribe","channel":"book","symbols":["BTC-USD","ETH-USD"]}`)
		want[*wire.Snapshot](x.client)
		want[*wire.Snapshot](x.client) // read splits frames, whatever they hold
	}},
	{says: "the same, subscribed by its query string", run: func(x *exam) {
		c := x.dialIn(x.format, "?channel=quote&symbols=BTC-USD&interval=250ms")
		a := want[*wire.Ack](c)
		x.check(len(a.Streams) == 1 && a.Streams[0].Interval == "250ms" && a.Streams[0].Channel == wire.ChannelQuote)
		want[*wire.Snapshot](c)
	}},
	{says: "a snapshot as plain JSON; `?venue=`, `?depth=`, `?group=`, `?venues=true`, `?bar=`; ETag of epoch and seq", run: func(x *exam) {
		for _, channel := range strings.Split(servedNames(), ", ") {
			_, header, body := x.get("/v1/snapshot/" + channel + "/BTC-USD")
			conforms(x.t, []byte(body))
			m := decode[wire.Header](x.t, body)
			if tag := fmt.Sprintf(`"%s-%d"`, m.Epoch, m.Seq); header.Get("ETag") != tag {
				x.t.Errorf("%s: ETag %s, want %s", channel, header.Get("ETag"), tag)
			}
			if status, _, _ := x.get("/v1/snapshot/"+channel+"/BTC-USD", "If-None-Match", header.Get("ETag")); status != 304 {
				x.t.Errorf("%s: %d for what is known", channel, status)
			}
		}
		_, _, body := x.get("/v1/snapshot/book/BTC-USD?depth=1&venue=kraken")
		if m := decode[wire.BookFields](x.t, body); levelsOf(m.Bids) != "99.9 x 10" {
			x.t.Error(body)
		}
	}},
	{says: "Messages, words and refusals are the same", run: func(x *exam) {
		other := x.dialIn(wire.FormatProto-x.format, "")
		x.subscribe(`"channel":"book","symbols":["BTC-USD"],"depth":2,"interval":"0"`)
		other.send(`{"op":"subscribe","id":1,"channel":"book","symbols":["BTC-USD"],"depth":2,"interval":"0"}`)
		want[*wire.Ack](other)
		a, b := want[*wire.Snapshot](x.client), want[*wire.Snapshot](other)
		x.bid(7)
		c, d := want[*wire.Delta](x.client), want[*wire.Delta](other)
		a.SID, b.SID, c.SID, d.SID, b.TX, d.TX = 0, 0, 0, 0, a.TX, c.TX
		if fmt.Sprint(a.Bids, a.Asks, *a.CRC, a.Header) != fmt.Sprint(b.Bids, b.Asks, *b.CRC, b.Header) ||
			fmt.Sprint(c.Bids, c.Asks, *c.CRC, c.Header) != fmt.Sprint(d.Bids, d.Asks, *d.CRC, d.Header) {
			x.t.Errorf("%s differs from %s", x.last, other.last)
		}
	}},

	// Units.
	{says: "exact, no exponent, no trailing zeros after the point", run: func(x *exam) {
		e := x.level("BTC-USD", "kraken", market.SideBid, 9_990_000_000, 1)
		e.PriceDecimals, e.SizeDecimals, e.Size = 8, 8, 50
		x.apply(e)
		x.applied()
		x.subscribe(`"channel":"book","symbols":["BTC-USD"],"depth":1,"venue":"kraken"`)
		x.check(levelsOf(want[*wire.Snapshot](x.client).Bids) == "99.9 x 0.0000005")
	}},
	{says: "Times are microseconds since the Unix epoch, UTC", run: func(x *exam) {
		x.subscribe(`"channel":"book","symbols":["BTC-USD"],"interval":"0"`)
		want[*wire.Snapshot](x.client)
		e := x.level("BTC-USD", "kraken", market.SideBid, 999, 3)
		e.Time, e.Received = 1_764_000_000_123_456_789, 1_764_000_000_223_456_789
		x.apply(e)
		d := want[*wire.Delta](x.client)
		x.check(d.TS == 1_764_000_000_123_456 && d.RX == 1_764_000_000_223_456 && d.TX > 1_764_000_000_000_000)
	}},

	// Keys.
	{says: "Who needs one and shows none, or a wrong one, gets `unauthorized`", keys: plansOfExam, run: func(x *exam) {
		x.refused(wire.CodeUnauthorized, "sign in", `{"op":"subscribe","id":9,"channel":"book","symbols":["BTC-USD"]}`)
		x.refused(wire.CodeUnauthorized, "key", `{"op":"auth","id":9,"token":"wrong"}`)
	}},
	{says: "A symbol that it has no right to is `forbidden` (HTTP 403), whether there is such a symbol or not", keys: plansOfExam, run: func(x *exam) {
		x.ask(`{"op":"auth","token":"btc"}`)
		x.refused(wire.CodeForbidden, "", `{"op":"subscribe","id":9,"channel":"book","symbols":["ETH-USD"]}`)
		x.refused(wire.CodeForbidden, "", `{"op":"subscribe","id":9,"channel":"quote","symbols":["BTC-USD"]}`)
	}},
	{says: "What is asked beyond depth and interval is granted within them, as the ack says", keys: plansOfExam, run: func(x *exam) {
		x.ask(`{"op":"auth","token":"btc"}`)
		g := x.subscribe(`"channel":"book","symbols":["BTC-USD"],"depth":50,"interval":"10ms"`)
		x.check(g.Depth == 2 && g.Interval == "1s" && *g.Requested.Depth == 50 && g.Requested.Interval == "10ms")
	}},

	// Requests.
	{says: "such a pattern takes in symbols that appear later", run: func(x *exam) {
		x.ask(`{"op":"subscribe","id":5,"channel":"quote","symbols":["ETH-*"]}`)
		x.book("ETH-USD", "kraken", 2000, 2)
		a := want[*wire.Ack](x.client)
		x.check(a.ID == "5" && len(a.Streams) == 1 && a.Streams[0].Symbol == "ETH-USD")
		want[*wire.Snapshot](x.client)
	}},
	{says: "A pattern's later symbols come with another ack of the same `id`", run: func(x *exam) {
		x.ask(`{"op":"subscribe","id":6,"channel":"ticker","symbols":["*-EUR"]}`)
		x.book("BTC-EUR", "kraken", 2000, 2)
		x.check(want[*wire.Ack](x.client).ID == "6")
	}},
	{says: "one venue's own view (not for `ticker` and `bar`)", run: func(x *exam) {
		x.subscribe(`"channel":"book","symbols":["BTC-USD"],"venue":"coinbase","depth":1`)
		s := want[*wire.Snapshot](x.client)
		x.check(s.Venue == "coinbase" && levelsOf(s.Bids) == "99.8 x 10")
		x.refused(wire.CodeBadRequest, "ticker", `{"op":"subscribe","id":9,"channel":"ticker","symbols":["BTC-USD"],"venue":"kraken"}`)
	}},
	{says: "`book`: levels a side, 1 to 1000, 0 all", run: func(x *exam) {
		x.check(x.subscribe(`"channel":"book","symbols":["BTC-USD"]`).Depth == 10)
		x.check(len(want[*wire.Snapshot](x.client).Bids) == 10)
		x.check(x.subscribe(`"channel":"book","symbols":["BTC-USD"],"depth":0`).Depth == 0)
		x.check(len(want[*wire.Snapshot](x.client).Bids) == 13)
		x.refused(wire.CodeInvalidDepth, "1000", `{"op":"subscribe","id":9,"channel":"book","symbols":["BTC-USD"],"depth":1001}`)
	}},
	{says: "`\"0\"` is every change, none skipped", run: func(x *exam) {
		x.subscribe(`"channel":"book","symbols":["BTC-USD"],"interval":"0"`)
		s := want[*wire.Snapshot](x.client)
		for i := range int64(50) {
			x.bid(100 + i)
		}
		for i := range int64(50) {
			d := want[*wire.Delta](x.client)
			x.check(d.Prev == s.Seq+uint64(i) && d.Seq == d.Prev+1 && d.N == 1 && levelsOf(d.Bids) == fmt.Sprintf("99.9 x %d", 100+i))
		}
	}},
	{says: "at most one message a symbol in that time", run: func(x *exam) {
		x.subscribe(`"channel":"book","symbols":["BTC-USD"],"interval":"50ms"`)
		want[*wire.Snapshot](x.client)
		stop := x.busy()
		defer stop()
		first := want[*wire.Delta](x.client).TX
		for range 4 {
			want[*wire.Delta](x.client)
		}
		d := want[*wire.Delta](x.client)
		// The times are those of encoding, and a late one makes none of those after it
		// late.
		x.check(d.TX-first >= 4*50_000)
	}},
	{says: "The first change after a quiet time goes out at once", run: func(x *exam) {
		x.subscribe(`"channel":"book","symbols":["BTC-USD"],"interval":"1h"`)
		want[*wire.Snapshot](x.client)
		x.bid(5)
		x.check(levelsOf(want[*wire.Delta](x.client).Bids) == "99.9 x 5")
	}},
	{says: "Intervals are rounded up to", run: func(x *exam) {
		g := x.subscribe(`"channel":"quote","symbols":["BTC-USD"],"interval":"130ms"`)
		x.check(g.Interval == "200ms")
		want[*wire.Snapshot](x.client)
		x.check(x.subscribe(`"channel":"trade","symbols":["BTC-USD"]`).Interval == "0")
		want[*wire.Snapshot](x.client)
		x.check(x.subscribe(`"channel":"ticker","symbols":["BTC-USD"]`).Interval == "100ms")
	}},
	{says: "in `requested` what was asked for in its place", run: func(x *exam) {
		g := x.subscribe(`"channel":"quote","symbols":["BTC-USD"],"interval":"130ms"`)
		x.check(g.Requested != nil && g.Requested.Interval == "130ms" && g.Requested.Depth == nil)
		want[*wire.Snapshot](x.client)
		x.check(x.subscribe(`"channel":"quote","symbols":["BTC-USD"],"interval":"250ms"`).Requested == nil)
	}},
	{says: "are the decimals that show any number seen so far", run: func(x *exam) {
		g := x.subscribe(`"channel":"quote","symbols":["BTC-USD"]`)
		x.check(g.PriceDecimals != nil && *g.PriceDecimals == 1 && *g.SizeDecimals == 0)
	}},
	{says: "`book`: split each level by venue", run: func(x *exam) {
		x.subscribe(`"channel":"book","symbols":["BTC-USD"],"venues":true,"depth":2`)
		s := want[*wire.Snapshot](x.client)
		v := s.Bids[1].Venues
		x.check(levelsOf(s.Bids) == "99.9 x 10 99.8 x 21" && v["kraken"] == "11" && v["coinbase"] == "10")
	}},
	{says: "`book`: messages carry `crc`", run: func(x *exam) {
		x.subscribe(`"channel":"book","symbols":["BTC-USD"],"checksum":false`)
		x.check(want[*wire.Snapshot](x.client).CRC == nil)
		x.subscribe(`"channel":"book","symbols":["BTC-USD"]`)
		x.check(want[*wire.Snapshot](x.client).CRC != nil)
	}},
	{says: "one that was made longer ago carries `\"stale\":true`, from the moment on when it is too old", run: func(x *exam) {
		x.refused(wire.CodeBadRequest, "quote", `{"op":"subscribe","id":9,"channel":"book","symbols":["BTC-USD"],"max_age":"1s"}`)
		x.check(x.subscribe(`"channel":"quote","symbols":["BTC-USD"],"max_age":"200ms","interval":"0"`).MaxAge == "200ms")
		stale := want[*wire.Snapshot](x.client).Stale.Value
		next := func() *wire.Delta {
			d := want[*wire.Delta](x.client)
			if d.Stale.Set {
				stale = d.Stale.Value
			}
			if d.Seq > d.Prev { // just made
				x.check(!stale || d.TX-d.RX >= 200_000)
			}
			return d
		}
		for i := range int64(2) {
			x.bid(1 + i)
			for next().BidSize.Value != strconv.FormatInt(1+i, 10) {
			}
			for !stale {
				next()
			}
		}
	}},
	{says: "leads from its `seq` to itself with `n` 0", run: func(x *exam) {
		x.bid(3)
		x.applied()
		x.subscribe(`"channel":"quote","symbols":["BTC-USD"],"max_age":"300ms"`)
		s := want[*wire.Snapshot](x.client)
		if !s.Stale.Value {
			d := want[*wire.Delta](x.client)
			x.check(d.Stale.Value && d.Seq == s.Seq && d.Prev == s.Seq && d.N == 0)
		}
	}},
	{says: "stops streams, which keep their place, and `false` lets them go on from there", run: func(x *exam) {
		g := x.subscribe(`"channel":"trade","symbols":["BTC-USD"]`)
		want[*wire.Snapshot](x.client)
		a := x.ask(`{"op":"update","id":2,"sid":%d,"paused":true}`, g.SID)
		x.check(a.Streams[0].Paused)
		x.apply(x.print("BTC-USD", "kraken", 1000, 1))
		x.apply(x.print("BTC-USD", "kraken", 1000, 2))
		x.applied()
		x.send(`{"op":"ping","id":3}`)
		want[*wire.Pong](x.client) // and no print before it
		x.check(!x.ask(`{"op":"update","id":4,"sid":%d,"paused":false}`, g.SID).Streams[0].Paused)
		x.check(want[*wire.Trade](x.client).Seq == 1)
		x.check(want[*wire.Trade](x.client).Seq == 2)
	}},
	{says: "the ack tells how many messages of the stream come next that are the answer", cfg: Config{LogFrames: 4}, run: func(x *exam) {
		g := x.subscribe(`"channel":"trade","symbols":["BTC-USD"]`)
		want[*wire.Snapshot](x.client)
		for i := range int64(6) {
			x.apply(x.print("BTC-USD", "kraken", 1000, 1+i))
			want[*wire.Trade](x.client)
		}
		a := x.ask(`{"op":"fetch","id":2,"sid":%d,"from":1,"to":5}`, g.SID)
		x.check(*a.Messages == 4 && a.From == 1 && a.To == 5)
		gap := want[*wire.Gap](x.client)
		x.check(gap.From == 1 && gap.To == 2 && gap.Reason == "not_kept")
		for i := uint64(3); i <= 5; i++ {
			m := want[*wire.Trade](x.client)
			x.check(m.Seq == i && m.Prev == i-1 && m.Events[0].Size == strconv.FormatUint(i, 10))
		}
		c := x.subscribe(`"channel":"book","symbols":["BTC-USD"]`)
		want[*wire.Snapshot](x.client)
		x.refused(wire.CodeBadRequest, "nothing is left out", `{"op":"fetch","id":9,"sid":%d,"from":1,"to":5}`, c.SID)
	}},
	{says: `{"op":"update","id":4,"channel":"book","symbols":["BTC-USD"],"interval":"1s"}`, run: func(x *exam) {
		was := x.subscribe(`"channel":"book","symbols":["BTC-USD"]`)
		want[*wire.Snapshot](x.client)
		a := x.ask(`{"op":"update","id":4,"channel":"book","symbols":["BTC-USD"],"interval":"1s"}`)
		x.check(a.ID == "4" && len(a.Streams) == 1 && a.Streams[0].Interval == "1s" && a.Streams[0].SID != was.SID)
		x.check(want[*wire.Snapshot](x.client).SID == a.Streams[0].SID)
	}},
	{says: `{"op":"unsubscribe","id":5,"channel":"book","symbols":["ETH-*"]}`, run: func(x *exam) {
		x.ask(`{"op":"subscribe","id":1,"channel":"book","symbols":["BTC-*"],"interval":"0"}`)
		want[*wire.Snapshot](x.client)
		x.check(len(x.ask(`{"op":"unsubscribe","id":5,"channel":"book","symbols":["BTC-*"]}`).Streams) == 1)
		x.bid(1)
		x.book("BTC-EUR", "kraken", 1, 1)
		x.send(`{"op":"ping","id":3}`)
		want[*wire.Pong](x.client)
	}},
	{says: `{"op":"resync","id":6,"sid":12}`, run: func(x *exam) {
		g := x.subscribe(`"channel":"book","symbols":["BTC-USD"]`)
		s := want[*wire.Snapshot](x.client)
		x.check(x.ask(`{"op":"resync","id":6,"sid":%d}`, g.SID).ID == "6")
		x.check(want[*wire.Snapshot](x.client).Seq == s.Seq)
	}},
	{says: `{"op":"budget",`, run: func(x *exam) {
		x.check(x.ask(`{"op":"budget","id":7,"kbps":200}`).ID == "7")
		x.check(x.ask(`{"op":"budget","id":8,"kbps":0}`).ID == "8")
	}},
	{says: `{"op":"ping",`, run: func(x *exam) {
		x.send(`{"op":"ping","id":8}`)
		m := want[*wire.Pong](x.client)
		x.check(m.ID == "8" && m.TX > 0)
	}},

	// Messages.
	{says: "`sid` names a stream for the whole server: the bytes of a message are the same for every subscriber", run: func(x *exam) {
		other := x.dialIn(x.format, "")
		for _, c := range []*client{x.client, other} {
			c.send(`{"op":"subscribe","channel":"book","symbols":["BTC-USD"],"interval":"0"}`)
			want[*wire.Ack](c)
			want[*wire.Snapshot](c)
		}
		x.bid(4)
		want[*wire.Delta](x.client)
		want[*wire.Delta](other)
		if !bytes.Equal(x.raw, other.raw) {
			x.t.Errorf("%q and %q", x.raw, other.raw)
		}
	}},
	{says: "A stream begins with a snapshot", run: func(x *exam) {
		for _, channel := range strings.Split(servedNames(), ", ") {
			x.client = x.dialIn(x.format, "") // bars have watermarks beside them
			g := x.subscribe(fmt.Sprintf(`"channel":%q,"symbols":["BTC-USD"]`, channel))
			s := want[*wire.Snapshot](x.client)
			x.check(s.SID == g.SID && s.Channel.String() == channel && s.Symbol == "BTC-USD" && s.Epoch == "9f2c")
		}
	}},
	{says: "A delta's `prev` is the `seq` of the message before it in this stream", run: func(x *exam) {
		x.subscribe(`"channel":"book","symbols":["BTC-USD"],"interval":"5ms"`)
		seq := want[*wire.Snapshot](x.client).Seq
		stop := x.busy()
		defer stop()
		for range 20 {
			d := want[*wire.Delta](x.client)
			x.check(d.Prev == seq && d.Seq > d.Prev && d.N > 0 && d.N <= d.Seq-d.Prev)
			seq = d.Seq
		}
	}},
	{says: "A new `epoch` starts with a snapshot, never silently", run: func(x *exam) {
		x.subscribe(`"channel":"book","symbols":["BTC-USD"],"interval":"0"`)
		want[*wire.Snapshot](x.client)
		x.restartBooks(0x9f2d)
		x.book("BTC-USD", "kraken", 3000, 2)
		s := want[*wire.Snapshot](x.client)
		x.check(s.Epoch == "9f2d")
	}},
	{says: "`resume` gets just what changed where the server can prove it (an empty delta with `n` 0 where nothing did), else a snapshot", run: func(x *exam) {
		x.subscribe(`"channel":"book","symbols":["BTC-USD"],"interval":"0"`)
		seq := want[*wire.Snapshot](x.client).Seq
		for i := range int64(3) {
			x.bid(50 + i)
			want[*wire.Delta](x.client)
		}
		resume := func(epoch string, seq uint64) *client {
			c := x.dialIn(x.format, "")
			c.send(`{"op":"subscribe","channel":"book","symbols":["BTC-USD"],"interval":"0","resume":{"BTC-USD":{"epoch":%q,"seq":%d}}}`, epoch, seq)
			want[*wire.Ack](c)
			return c
		}
		c := resume("9f2c", seq+1)
		x.check(want[*wire.Delta](c).Prev == seq+1)
		x.check(want[*wire.Delta](c).Seq == seq+3)
		c = resume("9f2c", seq+3)
		d := want[*wire.Delta](c)
		x.check(d.N == 0 && d.Seq == seq+3 && d.Prev == d.Seq)
		want[*wire.Snapshot](resume("9f2b", seq+3))
		want[*wire.Snapshot](resume("9f2c", seq+99))
	}},
	{says: "Size `\"0\"` removes a level", run: func(x *exam) {
		x.subscribe(`"channel":"book","symbols":["BTC-USD"],"interval":"0","depth":1`)
		want[*wire.Snapshot](x.client)
		x.bid(0)
		x.check(levelsOf(want[*wire.Delta](x.client).Bids) == "99.9 x 0 99.8 x 21")
	}},
	{says: "After each message the client's levels equal the server's, and `crc` proves it", run: func(x *exam) {
		x.subscribe(`"channel":"book","symbols":["BTC-USD"],"interval":"0","depth":0`)
		s := want[*wire.Snapshot](x.client)
		bids := map[string]string{}
		asks := map[string]string{}
		hold := func(m *wire.State) {
			for side, levels := range map[*map[string]string][]wire.PriceLevel{&bids: m.Bids, &asks: m.Asks} {
				for _, l := range levels {
					if (*side)[l.Price] = l.Size; l.Size == "0" {
						delete(*side, l.Price)
					}
				}
			}
			x.check(wire.TextCRC(sortedLevels(bids, true), sortedLevels(asks, false)) == *m.CRC)
		}
		hold(&s.State)
		for i := range int64(30) {
			x.apply(x.level("BTC-USD", "kraken", market.SideBid, 990+i%10, i%3))
			if i%10 > 0 || i%3 > 0 {
				x.bid(i + 1)
			}
		}
		x.bid(77)
		for bids["99.9"] != "77" {
			hold(&want[*wire.Delta](x.client).State)
		}
	}},
	{says: "A venue's own book has a `state` beside it", run: func(x *exam) {
		x.subscribe(`"channel":"book","symbols":["BTC-USD"],"venue":"kraken","interval":"0"`)
		x.check(want[*wire.Snapshot](x.client).QuoteFields.State.Value == "live")
		x.apply(x.down("kraken"))
		x.check(want[*wire.Delta](x.client).QuoteFields.State.Value == "down")
	}},
	{says: "`bid`, `bid_size` (the largest single venue's), `bid_total` (the sum), `bid_venues`, the same for `ask`", run: func(x *exam) {
		x.apply(x.level("BTC-USD", "coinbase", market.SideBid, 999, 3))
		x.applied()
		x.subscribe(`"channel":"quote","symbols":["BTC-USD"]`)
		q := want[*wire.Snapshot](x.client).QuoteFields
		v := q.BidVenues.Value
		x.check(q.Bid.Value == "99.9" && q.BidSize.Value == "10" && q.BidTotal.Value == "13" && v["kraken"] == "10" && v["coinbase"] == "3" &&
			q.Ask.Value == "100" && q.AskVenues.Value["coinbase"] == "20" && q.Source.Value == "consolidated" && q.State.Value == "live")
	}},
	{says: "`out` lists what is left out and `why`", run: func(x *exam) {
		x.subscribe(`"channel":"quote","symbols":["BTC-USD"],"interval":"0"`)
		want[*wire.Snapshot](x.client)
		x.apply(x.down("kraken"))
		d := want[*wire.Delta](x.client)
		x.check(d.Bid.Value == "99.8" && len(d.Out.Value) == 1 && d.Out.Value[0].Venue == "kraken" && d.Out.Value[0].Why == "down" && d.Out.Value[0].Since > 0)
	}},
	{says: "A side that is absent is `null`", run: func(x *exam) {
		x.subscribe(`"channel":"quote","symbols":["BTC-USD"],"venue":"kraken","interval":"0"`)
		want[*wire.Snapshot](x.client)
		x.apply(x.down("kraken"))
		d := want[*wire.Delta](x.client)
		x.check(d.Bid.Null && d.BidSize.Null && d.Ask.Null)
	}},
	{says: "Deltas carry what changed; `null` clears", run: func(x *exam) {
		x.subscribe(`"channel":"quote","symbols":["BTC-USD"],"interval":"0"`)
		want[*wire.Snapshot](x.client)
		x.bid(8)
		d := want[*wire.Delta](x.client)
		x.check(!d.Bid.Set && !d.Ask.Set && !d.AskSize.Set && d.BidSize.Value == "8" && !d.Locked.Set)
		x.apply(x.level("BTC-USD", "coinbase", market.SideBid, 1000, 1), x.level("BTC-USD", "coinbase", market.SideAsk, 1000, 0))
		d = want[*wire.Delta](x.client)
		x.check(d.Bid.Value == "100" && d.Ask.Set)
		x.apply(x.level("BTC-USD", "coinbase", market.SideBid, 1001, 1))
		for !d.Crossed.Value && !d.Locked.Value {
			d = want[*wire.Delta](x.client)
		}
		x.apply(x.level("BTC-USD", "coinbase", market.SideBid, 1001, 0), x.level("BTC-USD", "coinbase", market.SideBid, 1000, 0))
		for !d.Crossed.Null && !d.Locked.Null {
			d = want[*wire.Delta](x.client)
		}
	}},
	{says: "`last`, `last_size`, `last_venue`, `open`, `high`, `low`", run: func(x *exam) {
		x.apply(x.print("BTC-USD", "kraken", 1000, 3))
		x.apply(x.print("BTC-USD", "coinbase", 1010, 1))
		x.applied()
		x.subscribe(`"channel":"ticker","symbols":["BTC-USD"]`)
		k := want[*wire.Snapshot](x.client).TickerFields
		x.check(k.Last.Value == "101" && k.LastSize.Value == "1" && k.LastVenue.Value == "coinbase" && k.Open.Value == "100" && k.High.Value == "101" &&
			k.Low.Value == "100" && k.Change.Value == "1" && k.Volume.Value == "4" && k.Trades.Value == 2 && k.VWAP.Value == "100.25")
	}},
	{says: "One `status` message a change, each whole, as is the snapshot", run: func(x *exam) {
		x.subscribe(`"channel":"status","symbols":["BTC-USD"]`)
		want[*wire.Snapshot](x.client)
		x.apply(x.down("kraken"))
		m := want[*wire.Status](x.client)
		x.check(m.State == "trading" && strings.Contains(x.last, `"kraken"`) && strings.Contains(x.last, `"down"`) && strings.Contains(x.last, `"coinbase"`))
	}},
	{says: "A conflated quote or ticker tells the lowest and highest bid, ask or last of its time", run: func(x *exam) {
		x.subscribe(`"channel":"quote","symbols":["BTC-USD"],"interval":"100ms"`)
		want[*wire.Snapshot](x.client)
		told := make(chan struct{})
		ended := make(chan struct{})
		go func() { // at each step the bid goes away and comes back
			defer close(ended)
			for {
				select {
				case <-told:
					return
				default:
				}
				x.bid(0)
				x.bid(10)
			}
		}()
		defer func() { close(told); <-ended }()
		for {
			d := want[*wire.Delta](x.client)
			if m := d.Merged; m != nil && m.Bid != nil && d.N > 2 {
				x.check(m.Bid[0] == "99.8" && m.Bid[1] == "99.9" && d.Span > 0)
				return
			}
		}
	}},
	{says: "Nothing is conflated away: with an interval, the prints of that time come in one message", run: func(x *exam) {
		x.subscribe(`"channel":"trade","symbols":["BTC-USD"],"interval":"100ms"`)
		want[*wire.Snapshot](x.client)
		const prints = 200
		go func() {
			for i := range int64(prints) {
				x.apply(x.print("BTC-USD", "kraken", 1000, 1+i))
			}
		}()
		messages, next := 0, 1
		for next <= prints {
			m := want[*wire.Trade](x.client)
			for _, e := range m.Events {
				x.check(e.Size == strconv.Itoa(next))
				next++
			}
			messages++
		}
		x.check(messages < prints)
	}},

	// Slow clients.
	{says: "`provisional` while its time runs, `final` at the watermark, `revised`, with `rev` growing", run: func(x *exam) {
		// After the books, and in the middle of a day: the first bar of a day is that of
		// its first print.
		base := time.Unix(0, x.hub.cfg.Now()).Truncate(24*time.Hour).Add(36*time.Hour).UnixMilli() - barClock.UnixMilli()
		x.apply(at(x.print("BTC-USD", "kraken", 1000, 2), base))
		x.applied()
		x.subscribe(`"channel":"bar","symbols":["BTC-USD"],"bar":"1s"`)
		want[*wire.Snapshot](x.client)
		bar := func(start int64, text string) {
			x.t.Helper()
			for {
				m, err := x.read()
				if err != nil {
					x.t.Fatal(err)
				}
				if b, ok := m.(*wire.Bar); ok {
					x.check(barText(b) == fmt.Sprintf("1s %d %s", base+start, text))
					return
				}
			}
		}
		x.apply(at(x.print("BTC-USD", "kraken", 1010, 1), base+900))
		bar(0, "provisional 0: 100 101 100 101 x 3 = 100.333 in 2")
		x.beat(base + 4000)
		bar(0, "final 0: 100 101 100 101 x 3 = 100.333 in 2")
		bar(1000, "final 0:     x 0 =  in 0")
		late := at(x.print("BTC-USD", "kraken", 990, 1), base+4100)
		late.Time -= 2500 * int64(time.Millisecond)
		x.apply(late)
		bar(1000, "revised 1: 99 99 99 99 x 1 = 99 in 1")
	}},
	{says: "then it gets `gap`, then (for state) a snapshot", cfg: Config{LogFrames: 4}, run: func(x *exam) {
		for _, channel := range []string{"trade", "book"} {
			g := x.subscribe(fmt.Sprintf(`"channel":%q,"symbols":["BTC-USD"],"interval":"0"`, channel))
			want[*wire.Snapshot](x.client)
			x.ask(`{"op":"update","sid":%d,"paused":true}`, g.SID) // slow for certain
			for i := range int64(20) {
				x.bid(30 + i)
				x.apply(x.print("BTC-USD", "kraken", 1000, 1+i))
			}
			x.applied()
			x.ask(`{"op":"update","sid":%d,"paused":false}`, g.SID)
			gap := want[*wire.Gap](x.client)
			x.check(gap.SID == g.SID && gap.Reason == "slow_consumer")
			if channel == "trade" {
				m := want[*wire.Trade](x.client)
				x.check(m.Prev == gap.To)
				for m.Events[0].Size != "20" {
					m = want[*wire.Trade](x.client)
				}
				x.ask(`{"op":"unsubscribe","sid":%d}`, g.SID)
				continue
			}
			x.check(want[*wire.Snapshot](x.client).Seq >= gap.To)
		}
	}},
	{says: `{"type":"heartbeat","tx":…,"lag":0}`, cfg: Config{Heartbeat: 20 * time.Millisecond}, run: func(x *exam) {
		x.check(want[*wire.Heartbeat](x.client).TX > 0)
	}},

	// Errors and limits.
	{says: "A bad request gets its error and harms nothing else", run: func(x *exam) {
		x.subscribe(`"channel":"book","symbols":["BTC-USD"],"interval":"0"`)
		want[*wire.Snapshot](x.client)
		x.refused(wire.CodeBadRequest, "unknown op", `{"op":"fly","id":9}`)
		x.refused(wire.CodeBadRequest, "symbols", `{"op":"subscribe","id":9,"channel":"book"}`)
		x.refused(wire.CodeUnknownChannel, "books", `{"op":"subscribe","id":9,"channel":"books","symbols":["BTC-USD"]}`)
		x.refused(wire.CodeUnknownSymbol, "", `{"op":"subscribe","id":9,"channel":"book","symbols":["NONE"]}`)
		x.refused(wire.CodeInvalidInterval, "", `{"op":"subscribe","id":9,"channel":"book","symbols":["BTC-USD"],"interval":"2h"}`)
		x.refused(wire.CodeBadRequest, "99", `{"op":"resync","id":9,"sid":99}`)
		x.bid(6)
		x.check(levelsOf(want[*wire.Delta](x.client).Bids) == "99.9 x 6")
	}},
	{says: "`too_many_subscriptions`", cfg: Config{MaxSubscriptions: 1}, run: func(x *exam) {
		x.book("ETH-USD", "kraken", 2000, 2)
		x.refused(wire.CodeTooManySubscriptions, "1 a connection", `{"op":"subscribe","id":9,"channel":"book","symbols":["*"]}`)
	}},
	{says: "`rate_limited`", cfg: Config{RequestRate: 1, RequestBurst: 2}, run: func(x *exam) {
		for {
			x.send(`{"op":"ping","id":9}`)
			m, err := x.read()
			if err != nil {
				x.t.Fatal(err)
			}
			if e, ok := m.(*wire.Error); ok {
				x.check(e.Code == wire.CodeRateLimited && e.RetryAfter > 0)
				return
			}
		}
	}},
	{says: "A connection ends with 1008 after 100 bad requests in a row", cfg: Config{RequestRate: 1000, RequestBurst: 1000}, run: func(x *exam) {
		for range 100 {
			x.send(`{"op":"fly","id":9}`)
		}
		x.wantClose(websocket.ClosePolicyViolation)
	}},
	{says: "a request over 2 MiB", run: func(x *exam) {
		if err := x.conn.WriteMessage(websocket.TextMessage, make([]byte, wire.MaxRequestBytes+1)); err != nil {
			x.t.Fatal(err)
		}
		x.wantClose(websocket.CloseMessageTooBig)
	}},
	{says: "1012 when the server stops", run: func(x *exam) {
		go x.stop()
		e := want[*wire.Error](x.client)
		x.check(e.Code == wire.CodeServerShutdown && e.RetryAfter > 0)
		x.wantClose(websocket.CloseServiceRestart)
	}},
	{says: "which this server refuses by name rather than ignores", run: func(x *exam) {
		x.refused(wire.CodeUnknownChannel, "alert", `{"op":"subscribe","id":9,"channel":"alert","symbols":["BTC-USD"]}`)
		x.refused(wire.CodeBadRequest, "from", `{"op":"subscribe","id":9,"channel":"book","symbols":["BTC-USD"],"from":1}`)
		x.refused(wire.CodeBadRequest, "explain", `{"op":"explain","id":9,"sid":1}`)
	}},
}

// busy changes the book without pause until stop is called.
func (x *exam) busy() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := int64(1); ; i++ {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				x.bid(1000 + i)
			}
		}
	}()
	return func() { close(done); <-ended }
}

// restartBooks puts new books in the place of the old, as a restarted process has.
func (s *server) restartBooks(epoch uint64) {
	for i, sink := range s.sinks {
		s.shards[i] = orderbook.NewShard(orderbook.Config{Directory: s.dir, Epoch: epoch, Sinks: []orderbook.Sink{sink}})
	}
}

// down is the loss of the connection to a venue.
func (s *server) down(venue string) market.Event {
	return market.Event{Kind: market.KindDown, Feed: market.FeedID(s.venue(venue))}
}

// TestConformance: each sentence of docs/protocol.md, as it shows on a socket, in
// either encoding.
func TestConformance(t *testing.T) {
	text, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := strings.Join(strings.Fields(string(text)), " ")
	for _, c := range conformances {
		if !strings.Contains(doc, strings.Join(strings.Fields(c.says), " ")) {
			t.Errorf("docs/protocol.md does not say %q", c.says)
		}
		for _, format := range testFormats {
			t.Run(format.String()+"/"+c.says, func(t *testing.T) {
				cfg := c.cfg
				if c.keys != nil {
					cfg, _ = guarded(t, c.keys)
				}
				// A busy machine makes no client slow enough for a snapshot in between.
				cfg.StateFrames = 1 << 12
				s := serve(t, cfg)
				s.book("BTC-USD", "kraken", 1000, 12)
				s.book("BTC-USD", "coinbase", 999, 12)
				x := &exam{server: s, client: s.dialIn(format, ""), t: t}
				x.server.t = t
				c.run(x)
			})
		}
	}
	seen, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	var missing []string
	for name, n := range seen.Seen() {
		if n == 0 {
			missing = append(missing, name)
		}
	}
	if slices.Sort(missing); len(missing) > 0 {
		t.Errorf("no message of these was seen: %v", missing)
	}
}

// TestSubprotocols: JSON is what a client gets that offers nothing or both.
func TestSubprotocols(t *testing.T) {
	s := serve(t, Config{})
	for offered, want := range map[string]string{"": "", wire.SubprotocolJSON: wire.SubprotocolJSON, wire.SubprotocolProto: wire.SubprotocolProto,
		wire.SubprotocolProto + " " + wire.SubprotocolJSON: wire.SubprotocolJSON, "other": ""} {
		d := s.dialer
		d.Subprotocols = strings.Fields(offered)
		conn, _, err := d.Dial(strings.Replace(s.http, "http", "ws", 1)+"/v1/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.Subprotocol(); got != want {
			t.Errorf("offered %q: got %q, want %q", offered, got, want)
		}
		_ = conn.Close()
	}
	// A text frame is no request in Protocol Buffers, and the connection lives on.
	c := s.dialIn(wire.FormatProto, "")
	if err := c.conn.WriteMessage(websocket.TextMessage, []byte(`{"op":"ping","id":1}`)); err != nil {
		t.Fatal(err)
	}
	var e *wire.Error
	if m, err := c.read(); err != nil || !errors.As(m.(*wire.Error), &e) {
		t.Fatalf("%v, %v", m, err)
	}
	c.send(`{"op":"ping","id":2}`)
	want[*wire.Pong](c)
}
