package streamer

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire"
)

func TestConversation(t *testing.T) {
	s := serve(t, Config{Server: "test/1", Lanes: 2})
	s.book("BTC-USD", "kraken", 1000, 12)
	s.book("ETH-USD", "kraken", 500, 3)
	c := s.dial("")
	c.send(`{"op":"subscribe","id":2,"channel":"book","symbols":["BTC-USD","ETH-USD"],"depth":10,"interval":"0"}`)
	ack := want[*wire.Ack](c)
	if ack.ID != "2" || ack.Op != wire.OpSubscribe || len(ack.Streams) != 2 {
		t.Fatalf("ack is %s", c.last)
	}
	sids := make(map[string]uint64)
	for _, g := range ack.Streams {
		sids[g.Symbol] = g.SID
		if g.Depth != 10 || g.Interval != "0" || g.PriceDecimals == nil || *g.PriceDecimals != 1 {
			t.Errorf("granted %+v", g)
		}
	}
	for range 2 {
		m := want[*wire.Snapshot](c)
		levels := map[string]int{"BTC-USD": 10, "ETH-USD": 3}[m.Symbol]
		if m.SID != sids[m.Symbol] || m.Epoch != "9f2c" || m.Seq != 1 || len(m.Bids) != levels || len(m.Asks) != levels || m.CRC == nil {
			t.Errorf("snapshot is %s", c.last)
		}
	}
	s.apply(s.level("BTC-USD", "kraken", market.SideBid, 995, 0))
	d := want[*wire.Delta](c)
	if d.SID != sids["BTC-USD"] || d.Prev != 1 || d.Seq != 2 || d.N != 1 || !slices.EqualFunc(d.Bids, []wire.PriceLevel{
		{Price: "99.5", Size: "0"}, {Price: "98.9", Size: "20"}}, func(a, b wire.PriceLevel) bool { return a.Price == b.Price && a.Size == b.Size }) {
		t.Errorf("delta is %s", c.last)
	}
	c.send(`{"op":"ping","id":3}`)
	if p := want[*wire.Pong](c); p.ID != "3" || p.TX == 0 {
		t.Errorf("pong is %s", c.last)
	}
	c.send(`{"op":"unsubscribe","id":4,"channel":"book","symbols":["BTC-*"]}`)
	if a := want[*wire.Ack](c); a.ID != "4" || len(a.Streams) != 1 || a.Streams[0].SID != sids["BTC-USD"] {
		t.Errorf("ack is %s", c.last)
	}
	s.apply(s.level("BTC-USD", "kraken", market.SideBid, 996, 0))
	s.apply(s.level("ETH-USD", "kraken", market.SideBid, 499, 7))
	if d := want[*wire.Delta](c); d.SID != sids["ETH-USD"] {
		t.Errorf("delta is %s", c.last)
	}
	c.send(`{"op":"resync","id":5,"sid":%d}`, sids["ETH-USD"])
	want[*wire.Ack](c)
	if m := want[*wire.Snapshot](c); m.Seq != 2 || len(m.Bids) != 3 || m.Bids[0].Size != "7" {
		t.Errorf("snapshot is %s", c.last)
	}
	c.send(`{"op":"update","id":6,"sid":%d,"depth":1}`, sids["ETH-USD"])
	if a := want[*wire.Ack](c); a.Op != wire.OpUpdate || len(a.Streams) != 1 || a.Streams[0].SID == sids["ETH-USD"] || a.Streams[0].Depth != 1 {
		t.Errorf("ack is %s", c.last)
	}
	if m := want[*wire.Snapshot](c); len(m.Bids) != 1 {
		t.Errorf("snapshot is %s", c.last)
	}
	c.send(`{"op":"auth","id":7,"token":"x"}`)
	want[*wire.Ack](c)
	c.send(`{"op":"subscribe","id":8,"channel":"trade","symbols":["ETH-USD"]}`)
	want[*wire.Ack](c)
	if m := want[*wire.Snapshot](c); m.Channel != wire.ChannelTrade || m.Seq != 0 {
		t.Errorf("snapshot is %s", c.last)
	}
	s.apply(s.print("ETH-USD", "kraken", 500, 3), s.print("ETH-USD", "kraken", 501, 4))
	if m := want[*wire.Trade](c); m.Prev != 0 || m.Seq != 2 || len(m.Events) != 2 || m.Events[1].Price != "50.1" || m.Events[1].Side != "buy" {
		t.Errorf("trade is %s", c.last)
	}
	if err := c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), noDeadline); err != nil {
		t.Fatal(err)
	}
	c.wantClose(1000)
}

// TestUpdateAnswersOnce: whatever number of streams an update changes, its reply
// is one.
func TestUpdateAnswersOnce(t *testing.T) {
	s := serve(t, Config{})
	for i := range 5 {
		s.book(fmt.Sprintf("S%d", i), "kraken", 1000, 2)
	}
	c := s.dial("")
	c.send(`{"op":"subscribe","id":1,"channel":"quote","symbols":["S*"]}`)
	want[*wire.Ack](c)
	for range 5 {
		want[*wire.Snapshot](c)
	}
	c.send(`{"op":"update","id":2,"channel":"quote","symbols":["S*"],"interval":"1s"}`)
	if a := want[*wire.Ack](c); len(a.Streams) != 5 || a.Streams[0].Interval != "1s" {
		t.Errorf("ack is %s", c.last)
	}
	for range 5 {
		want[*wire.Snapshot](c)
	}
	// The pattern goes on on the new terms.
	s.book("S5", "kraken", 1000, 2)
	if a := want[*wire.Ack](c); len(a.Streams) != 1 || a.Streams[0].Interval != "1s" {
		t.Errorf("ack is %s", c.last)
	}
	want[*wire.Snapshot](c)
	c.send(`{"op":"unsubscribe","id":3,"channel":"quote","symbols":["S*"]}`)
	if a := want[*wire.Ack](c); len(a.Streams) != 6 {
		t.Errorf("ack is %s", c.last)
	}
	s.book("S6", "kraken", 1000, 2)
	c.send(`{"op":"ping"}`)
	want[*wire.Pong](c)
}

// TestPatternTakesInLaterSymbols: a symbol that appears later comes with an ack of
// its own, before its data; one that matches twice comes once.
func TestPatternTakesInLaterSymbols(t *testing.T) {
	s := serve(t, Config{Lanes: 2})
	s.book("BTC-USD", "kraken", 1000, 2)
	c := s.dial("")
	c.send(`{"op":"subscribe","id":1,"channel":"quote","symbols":["BTC-*","BTC-USD","*-EUR"]}`)
	if a := want[*wire.Ack](c); len(a.Streams) != 1 {
		t.Fatalf("ack is %s", c.last)
	}
	want[*wire.Snapshot](c)
	for _, symbol := range []string{"ETH-USD", "BTC-EUR", "ETH-EUR"} {
		s.book(symbol, "kraken", 500, 2)
	}
	acks := make(map[string]uint64)
	snaps := make(map[string]bool)
	for len(snaps) < 2 {
		m, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *wire.Ack:
			for _, g := range m.Streams {
				if m.ID != "1" || acks[g.Symbol] != 0 {
					t.Errorf("ack is %s", c.last)
				}
				acks[g.Symbol] = g.SID
			}
		case *wire.Snapshot:
			if acks[m.Symbol] != m.SID {
				t.Errorf("snapshot before its ack: %s", c.last)
			}
			snaps[m.Symbol] = m.Seq > 0 || snaps[m.Symbol]
			if !snaps[m.Symbol] {
				delete(snaps, m.Symbol)
			}
		}
	}
	if acks["BTC-EUR"] == 0 || acks["ETH-EUR"] == 0 || len(acks) != 2 {
		t.Errorf("acks are %v", acks)
	}
}

func TestRefusals(t *testing.T) {
	s := serve(t, Config{MaxSubscriptions: 3, RequestRate: 1000, RequestBurst: 1000})
	for _, symbol := range []string{"A", "B", "C", "D"} {
		s.book(symbol, "kraken", 1000, 2)
	}
	c := s.dial("")
	for _, tt := range []struct{ request, code, says string }{
		{`{`, wire.CodeBadRequest, "JSON"},
		{`[]`, wire.CodeBadRequest, "object"},
		{"\x00\xff", wire.CodeBadRequest, "UTF-8"},
		{``, wire.CodeBadRequest, ""},
		{`{"op":"fly","id":9}`, wire.CodeBadRequest, "unknown op"},
		{`{"op":"subscribe","id":9,"channel":"book"}`, wire.CodeBadRequest, "symbols"},
		{`{"op":"subscribe","id":9,"channel":"books","symbols":["A"]}`, wire.CodeUnknownChannel, "books"},
		{`{"op":"subscribe","id":9,"channel":"alert","symbols":["A"]}`, wire.CodeUnknownChannel, "quote, book, trade, ticker, bar"},
		{`{"op":"subscribe","id":9,"channel":"book","symbols":["NONE"]}`, wire.CodeUnknownSymbol, ""},
		{`{"op":"subscribe","id":9,"channel":"book","symbols":["A"],"interval":"fast"}`, wire.CodeInvalidInterval, ""},
		{`{"op":"subscribe","id":9,"channel":"book","symbols":["A"],"depth":1001}`, wire.CodeInvalidDepth, ""},
		{`{"op":"subscribe","id":9,"channel":"book","symbols":["A"],"venue":"nowhere"}`, wire.CodeBadRequest, "nowhere"},
		{`{"op":"subscribe","id":9,"channel":"ticker","symbols":["A"],"venue":"kraken"}`, wire.CodeBadRequest, "all venues"},
		{`{"op":"subscribe","id":9,"channel":"book","symbols":["A"],"max_age":"1s"}`, wire.CodeBadRequest, "max_age"},
		{`{"op":"subscribe","id":9,"channel":"quote","symbols":["A"],"from":1}`, wire.CodeBadRequest, "from"},
		{`{"op":"subscribe","id":9,"channel":"quote","symbols":["*"]}`, wire.CodeTooManySubscriptions, "4 streams"},
		{`{"op":"unsubscribe","id":9,"channel":"quote","symbols":["A"]}`, wire.CodeBadRequest, "nothing"},
		{`{"op":"unsubscribe","id":9,"sid":99}`, wire.CodeBadRequest, "99"},
		{`{"op":"update","id":9,"sid":99,"interval":"1s"}`, wire.CodeBadRequest, "99"},
		{`{"op":"resync","id":9,"sid":99}`, wire.CodeBadRequest, "99"},
		{`{"op":"fetch","id":9,"sid":1,"from":1,"to":2}`, wire.CodeBadRequest, "sid 1"},
		{`{"op":"explain","id":9,"sid":1}`, wire.CodeBadRequest, "not served"},
	} {
		c.send("%s", tt.request)
		e := want[*wire.Error](c)
		if e.Code != tt.code || !strings.Contains(e.Message, tt.says) || e.ID != "9" && strings.Contains(tt.request, `"id"`) {
			t.Errorf("%s: %s, want %s that says %q", tt.request, c.last, tt.code, tt.says)
		}
	}
	// What is good of a request is done, the rest is refused.
	c.send(`{"op":"subscribe","id":1,"channel":"quote","symbols":["A","NONE","NOR","B"]}`)
	if a := want[*wire.Ack](c); len(a.Streams) != 2 {
		t.Errorf("ack is %s", c.last)
	}
	for range 3 {
		m, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := m.(*wire.Error); ok && (e.Code != wire.CodeUnknownSymbol || !slices.Equal(e.Symbols, []string{"NONE", "NOR"})) {
			t.Errorf("error is %s", c.last)
		}
	}
	// A limit counts streams, not requests for them.
	c.send(`{"op":"subscribe","id":2,"channel":"quote","symbols":["A","B","C"]}`)
	if a := want[*wire.Ack](c); len(a.Streams) != 3 {
		t.Errorf("ack is %s", c.last)
	}
	want[*wire.Snapshot](c)
	c.send(`{"op":"subscribe","id":3,"channel":"quote","symbols":["D"]}`)
	if e := want[*wire.Error](c); e.Code != wire.CodeTooManySubscriptions {
		t.Errorf("error is %s", c.last)
	}
	// Another interval in the place of one.
	c.send(`{"op":"update","id":4,"channel":"quote","symbols":["A"],"interval":"1s"}`)
	want[*wire.Ack](c)
	want[*wire.Snapshot](c)
	// Nobody else is harmed.
	s.apply(s.level("B", "kraken", market.SideBid, 1000, 9))
	want[*wire.Delta](c)
}

func TestTooManyPatterns(t *testing.T) {
	s := serve(t, Config{RequestRate: 1000, RequestBurst: 1000})
	c := s.dial("")
	for range 2 { // naming them again changes nothing
		for i := range maxFollows {
			c.send(`{"op":"subscribe","channel":"quote","symbols":["S%d*"]}`, i)
			want[*wire.Ack](c)
		}
	}
	c.send(`{"op":"subscribe","channel":"quote","symbols":["T*"]}`)
	if e := want[*wire.Error](c); e.Code != wire.CodeTooManySubscriptions {
		t.Errorf("error is %s", c.last)
	}
}

func TestRateLimitAndAbuse(t *testing.T) {
	began := time.Now()
	s := serve(t, Config{RequestRate: 1, RequestBurst: 5})
	c := s.dial("")
	for answered := 0; ; answered++ {
		c.send(`{"op":"ping"}`)
		m, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := m.(*wire.Pong); ok {
			continue
		}
		if e, ok := m.(*wire.Error); !ok || e.Code != wire.CodeRateLimited || e.RetryAfter == 0 {
			t.Errorf("error is %s", c.last)
		}
		if most := 5 + int(time.Since(began)/time.Second); answered < 5 || answered > most {
			t.Errorf("%d were answered, want 5 to %d", answered, most)
		}
		break
	}
	// On and on: a second that a busy machine takes lets one in, and counting begins
	// anew.
	var flood sync.WaitGroup
	defer flood.Wait()
	flood.Go(func() {
		for range 1000 * maxBad {
			if c.conn.WriteMessage(websocket.TextMessage, []byte(`{"op":"ping"}`)) != nil {
				return
			}
		}
	})
	c.wantClose(websocket.ClosePolicyViolation)
	_ = c.conn.Close()
}

func TestBadRequestsInARowClose(t *testing.T) {
	s := serve(t, Config{RequestRate: 10000, RequestBurst: 10000})
	c := s.dial("")
	for range maxBad - 1 {
		c.send(`nonsense`)
		want[*wire.Error](c)
	}
	c.send(`{"op":"ping"}`) // a good one, and counting begins anew
	want[*wire.Pong](c)
	for range maxBad {
		c.send(`nonsense`)
	}
	c.wantClose(websocket.ClosePolicyViolation)
}

func TestOversizedRequestCloses(t *testing.T) {
	s := serve(t, Config{})
	c := s.dial("")
	// More comes than the server reads: it must not reset the connection on it.
	go func() { _ = c.conn.WriteMessage(websocket.TextMessage, make([]byte, wire.MaxRequestBytes*2)) }()
	c.wantClose(websocket.CloseMessageTooBig)
}

func TestLargestRequest(t *testing.T) {
	s := serve(t, Config{})
	c := s.dial("")
	text := `{"op":"ping","id":1}`
	c.send("%s", text+strings.Repeat(" ", wire.MaxRequestBytes-len(text)))
	want[*wire.Pong](c)
}

func TestProtocolErrorCloses(t *testing.T) {
	s := serve(t, Config{})
	c := s.dial("")
	if _, err := c.conn.NetConn().Write([]byte{0x81, 0x01, 'x'}); err != nil { // not masked
		t.Fatal(err)
	}
	// One close frame, and nothing after it.
	conn := c.conn.NetConn()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	b, err := io.ReadAll(conn)
	if err != nil || len(b) < 4 || b[0] != 0x80|websocket.CloseMessage || int(b[1]) != len(b)-2 ||
		binary.BigEndian.Uint16(b[2:]) != websocket.CloseProtocolError {
		t.Errorf("read %q, %v", b, err)
	}
}

func TestPingIsAnswered(t *testing.T) {
	s := serve(t, Config{})
	c := s.dial("")
	pong := make(chan string, 1)
	c.conn.SetPongHandler(func(data string) error { pong <- data; return nil })
	if err := c.conn.WriteControl(websocket.PingMessage, []byte("hello"), noDeadline); err != nil {
		t.Fatal(err)
	}
	c.send(`{"op":"ping"}`)
	want[*wire.Pong](c)
	if got := <-pong; got != "hello" {
		t.Errorf("pong is %q", got)
	}
}

func TestQuerySubscribes(t *testing.T) {
	s := serve(t, Config{})
	s.book("BTC-USD", "kraken", 1000, 2)
	c := s.dial("?channel=quote&symbols=BTC-USD,NONE&interval=250ms&venue=kraken")
	if a := want[*wire.Ack](c); len(a.Streams) != 1 || a.Streams[0].Interval != "250ms" || a.Streams[0].Venue != "kraken" {
		t.Errorf("ack is %s", c.last)
	}
	if e := want[*wire.Error](c); e.Code != wire.CodeUnknownSymbol {
		t.Errorf("error is %s", c.last)
	}
	if m := want[*wire.Snapshot](c); m.Bid.Value != "99.9" || m.State.QuoteFields.State.Value != "live" {
		t.Errorf("snapshot is %s", c.last)
	}
	status, _, body := s.get("/v1/stream?channel=quotes&symbols=A")
	if e := decode[wire.Error](t, body); status != http.StatusBadRequest || e.Code != wire.CodeUnknownChannel {
		t.Errorf("%d %s", status, body)
	}
}

func TestForeignOriginIsRefused(t *testing.T) {
	s := serve(t, Config{})
	url := strings.Replace(s.http, "http", "ws", 1) + "/v1/stream"
	for origin, ok := range map[string]bool{"": true, s.http: true, "https://evil.example": false, "null": false} {
		h := http.Header{}
		if origin != "" {
			h.Set("Origin", origin)
		}
		conn, resp, err := s.dialer.Dial(url, h)
		if (err == nil) != ok {
			t.Errorf("origin %q: %v", origin, err)
		}
		if err == nil {
			_ = conn.Close()
		} else if resp.StatusCode != http.StatusForbidden {
			t.Errorf("origin %q: %s", origin, resp.Status)
		}
	}
}

func TestSubprotocol(t *testing.T) {
	s := serve(t, Config{})
	s.dialer.Subprotocols = []string{wire.SubprotocolProto, wire.SubprotocolJSON}
	if got := s.dial("").conn.Subprotocol(); got != wire.SubprotocolJSON {
		t.Errorf("subprotocol %q", got)
	}
}

func TestTooManyConnections(t *testing.T) {
	s := serve(t, Config{MaxConnections: 1})
	c := s.dial("")
	_, resp, err := s.dialer.Dial(strings.Replace(s.http, "http", "ws", 1)+"/v1/stream", nil)
	if err == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("second connection: %v %v", err, resp)
	}
	_ = c.conn.Close()
	s.untilSessions(0)
	s.dial("")
}

// untilSessions waits until so many sessions are served.
func (s *server) untilSessions(n int) {
	s.t.Helper()
	s.until(fmt.Sprintf("%d sessions", n), func() bool { return s.sessions() == n })
}

func (s *server) sessions() int {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return len(s.hub.sessions)
}
