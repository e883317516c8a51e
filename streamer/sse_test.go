package streamer

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire"
)

// events reads a stream of Server-Sent Events as a browser does.
type events struct {
	t      testing.TB
	close  func()
	scan   *bufio.Scanner
	header http.Header
	id     string // of the last event
	last   string // data of the last event
	beats  int    // comments
}

// events asks for a stream of events.
func (s *server) events(query string, header ...string) *events {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.http+"/v1/sse?"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := s.client
	if client == nil {
		client = &http.Client{Transport: &http.Transport{}}
	}
	resp, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("status %d", resp.StatusCode)
	}
	e := &events{t: s.t, scan: bufio.NewScanner(resp.Body), header: resp.Header}
	e.close = func() { cancel(); _ = resp.Body.Close() }
	s.t.Cleanup(e.close)
	return e
}

// next returns the data of the next event that has any.
func (e *events) next() string {
	e.t.Helper()
	for data := ""; e.scan.Scan(); {
		line := e.scan.Text()
		switch {
		case line == "":
			if data != "" {
				conforms(e.t, []byte(data))
				e.last = data
				return data
			}
		case strings.HasPrefix(line, "data: "):
			data = strings.TrimPrefix(line, "data: ")
		case strings.HasPrefix(line, "id: "):
			e.id = strings.TrimPrefix(line, "id: ")
		case strings.HasPrefix(line, ":"):
			e.beats++
		default:
			e.t.Fatalf("line %q", line)
		}
	}
	e.t.Fatalf("the stream ends: %v", e.scan.Err())
	return ""
}

func event[M wire.Message](e *events) M {
	e.t.Helper()
	m, err := wire.Parse([]byte(e.next()))
	if err != nil {
		e.t.Fatal(err)
	}
	got, ok := m.(M)
	if !ok {
		e.t.Fatalf("got %s, want a %T", e.last, got)
	}
	return got
}

// caughtUp reads on until the id tells the position.
func (e *events) caughtUp(id string) {
	e.t.Helper()
	for e.id != id && e.scan.Scan() {
		if line := e.scan.Text(); strings.HasPrefix(line, "id: ") {
			e.id = strings.TrimPrefix(line, "id: ")
		}
	}
	if e.id != id {
		e.t.Fatalf("id is %q, want %q", e.id, id)
	}
}

func TestEvents(t *testing.T) {
	s := serve(t, Config{})
	s.book("BTC-USD", "kraken", 1000, 2)
	s.book("ETH-USD", "kraken", 2000, 2)
	e := s.events("channel=book&symbols=BTC-USD,ETH-USD&interval=0")
	if got := e.header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type is %s", got)
	}
	event[*wire.Welcome](e)
	if a := event[*wire.Ack](e); len(a.Streams) != 2 {
		t.Errorf("ack is %s", e.last)
	}
	event[*wire.Snapshot](e)
	event[*wire.Snapshot](e)
	e.caughtUp("BTC-USD 9f2c 1 ETH-USD . 1")
	s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, 7))
	if d := event[*wire.Delta](e); d.Prev != 1 || d.Seq != 2 || len(d.Bids) != 1 || d.Bids[0].Size != "7" {
		t.Errorf("delta is %s", e.last)
	}
	e.caughtUp("BTC-USD 9f2c 2 ETH-USD . 1")
	e.close()

	// What happened meanwhile comes as it was, on the one stream, and the other is
	// told that nothing did.
	s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, 8))
	s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, 9))
	s.applied()
	e = s.events("channel=book&symbols=BTC-USD,ETH-USD&interval=0", "Last-Event-ID", e.id)
	event[*wire.Welcome](e)
	event[*wire.Ack](e)
	var got []string
	for range 3 {
		d := event[*wire.Delta](e)
		got = append(got, fmt.Sprint(d.Prev, "-", d.Seq, " ", d.Bids))
	}
	slices.Sort(got)
	if want := []string{"1-1 []", "2-3 [{99.9 8 map[]}]", "3-4 [{99.9 9 map[]}]"}; !slices.Equal(got, want) {
		t.Errorf("resumed with %q, want %q", got, want)
	}
	e.caughtUp("BTC-USD 9f2c 4 ETH-USD . 1")
	e.close()

	// What is no position of ours gets snapshots.
	for _, id := range []string{"BTC-USD 9f2b 4", "BTC-USD 9f2c", "7", "BTC-USD . 4", "\x7f x y", strings.Repeat("A 1 2 ", 101)} {
		e = s.events("channel=book&symbols=BTC-USD", "Last-Event-ID", strings.TrimPrefix(id, "\x7f"))
		event[*wire.Welcome](e)
		event[*wire.Ack](e)
		event[*wire.Snapshot](e)
		e.close()
	}
}

func TestEventsRefusals(t *testing.T) {
	s := serve(t, Config{})
	s.book("BTC-USD", "kraken", 1000, 2)
	for query, want := range map[string]struct {
		status int
		code   string
	}{
		"":                               {400, wire.CodeBadRequest},
		"channel=book":                   {400, wire.CodeBadRequest},
		"channel=books&symbols=BTC-USD":  {400, wire.CodeUnknownChannel},
		"channel=alert&symbols=BTC-USD":  {404, wire.CodeUnknownChannel},
		"channel=book&symbols=NONE":      {404, wire.CodeUnknownSymbol},
		"channel=book&symbols=BTC-USD&x": {400, wire.CodeBadRequest},
	} {
		status, _, body := s.get("/v1/sse?" + query)
		if e := decode[wire.Error](t, body); status != want.status || e.Code != want.code {
			t.Errorf("%s: %d %s, want %+v", query, status, body, want)
		}
	}
	// What is good of a subscription is done.
	e := s.events("channel=book&symbols=BTC-USD,NONE")
	event[*wire.Welcome](e)
	event[*wire.Ack](e)
	if bad := event[*wire.Error](e); bad.Code != wire.CodeUnknownSymbol || !slices.Equal(bad.Symbols, []string{"NONE"}) {
		t.Errorf("got %s", e.last)
	}
	// A pattern waits for symbols that appear later.
	e = s.events("channel=quote&symbols=ETH-*")
	event[*wire.Welcome](e)
	event[*wire.Ack](e)
	s.book("ETH-USD", "kraken", 2000, 2)
	event[*wire.Ack](e)
	event[*wire.Snapshot](e)
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if n := len(s.hub.sessions); n > 2 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestEventsOrigin(t *testing.T) {
	const path = "/v1/sse?channel=book&symbols=BTC-USD"
	s := serve(t, Config{})
	s.book("BTC-USD", "kraken", 1000, 2)
	if status, _, _ := s.get(path, "Origin", "https://elsewhere.example"); status != http.StatusForbidden {
		t.Errorf("another origin: %d", status)
	}
	e := s.events(strings.TrimPrefix(path, "/v1/sse?"), "Origin", s.http)
	if got := e.header.Get("Access-Control-Allow-Origin"); got != s.http {
		t.Errorf("its own origin: allowed is %q", got)
	}
	open := serve(t, Config{CheckOrigin: func(r *http.Request) bool { return r.Header.Get("Origin") == "https://elsewhere.example" }})
	open.book("BTC-USD", "kraken", 1000, 2)
	e = open.events(strings.TrimPrefix(path, "/v1/sse?"), "Origin", "https://elsewhere.example")
	if got := e.header.Get("Access-Control-Allow-Origin"); got != "https://elsewhere.example" {
		t.Errorf("an origin that may: allowed is %q", got)
	}
}

// TestEventsOverHTTP2: where there is no connection to be had, the response's body
// is one.
func TestEventsOverHTTP2(t *testing.T) {
	s := newServer(t, Config{Heartbeat: 20 * time.Millisecond})
	srv := httptest.NewUnstartedServer(s.hub.Handler())
	srv.EnableHTTP2 = true
	srv.StartTLS()
	s.http, s.client = srv.URL, srv.Client()
	t.Cleanup(srv.Close)
	t.Cleanup(s.stop)
	s.book("BTC-USD", "kraken", 1000, 2)
	e := s.events("channel=quote&symbols=BTC-USD")
	event[*wire.Welcome](e)
	// A heartbeat may come between any two.
	for acks, images := 0, 0; acks < 1 || images < 1 || e.beats < 3; {
		m, err := wire.Parse([]byte(e.next()))
		if err != nil {
			t.Fatal(err)
		}
		switch m.(type) {
		case *wire.Ack:
			acks++
		case *wire.Snapshot:
			images++
		case *wire.Heartbeat:
		default:
			t.Fatalf("got %s", e.last)
		}
	}
	s.stop()
	for !strings.Contains(e.next(), wire.CodeServerShutdown) {
	}
	for e.scan.Scan() {
	}
	if err := e.scan.Err(); err != nil {
		t.Errorf("the stream ends with %v", err)
	}
}

// TestSlowEvents: who does not read gets no queue: what it missed is told as a gap,
// and then it is up to date.
func TestSlowEvents(t *testing.T) {
	s := serve(t, Config{SocketBuffer: 4 << 10, LogFrames: 16})
	s.book("BTC-USD", "kraken", 1000, 2)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.http, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	if _, err := fmt.Fprintf(conn, "GET /v1/sse?channel=quote&symbols=BTC-USD&interval=0 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() && !strings.Contains(lines.Text(), `"snapshot"`) {
	}
	const changes = 40_000
	for i := range int64(changes) {
		s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, 20+i%2))
	}
	s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, 77))
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	n, gaps := 0, 0
	for lines.Scan() && !strings.Contains(lines.Text(), `"77"`) {
		n++
		if strings.Contains(lines.Text(), `"gap"`) {
			gaps++
		}
	}
	if err := lines.Err(); err != nil || gaps == 0 || n > changes {
		t.Errorf("%d lines, %d gaps, %v", n, gaps, err)
	}
}

func TestEventIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b bookmarks
		want := make(map[string]wire.Position)
		for i := range rapid.IntRange(1, maxBookmarks).Draw(t, "n") {
			epoch := rapid.Uint64Range(0x9f2c, 0x9f2e).Draw(t, "epoch")
			seq := rapid.Uint64().Draw(t, "seq")
			symbol := fmt.Sprintf("O:X%d.", i)
			b.set(symbol, epoch, seq)
			want[symbol] = wire.Position{Epoch: fmt.Sprintf("%x", epoch), Seq: seq}
		}
		id := strings.TrimSpace(strings.TrimPrefix(string(b.appendID(nil)), "id:"))
		var again bookmarks
		if got := again.parse(id); !reflect.DeepEqual(got, want) || !slices.Equal(again.list, b.list) {
			t.Fatalf("%q gives %v, want %v", id, got, want)
		}
		b.set("TOO-MANY", 1, 1)
		if len(b.list) > maxBookmarks {
			t.Fatal("no bound")
		}
	})
}

func FuzzEventID(f *testing.F) {
	f.Add("BTC-USD 9f2c 1042 ETH-USD . 7")
	f.Fuzz(func(t *testing.T, id string) {
		var b bookmarks
		if got := b.parse(id); len(got) > 0 {
			again := b.parse(strings.TrimPrefix(string(b.appendID(nil)), "id:"))
			if len(again) != len(got) {
				t.Errorf("%q gives %v, written again %v", id, got, again)
			}
		}
	})
}
