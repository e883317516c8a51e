package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/quotewire/quotewire/streamer/wire"
	"github.com/shopspring/decimal"
)

const patienceOfTests = time.Minute

// script is a fixture of testdata/wire/session, see the README there.
type script struct {
	About     string
	Subscribe struct {
		Channel  wire.Channel
		Symbols  []string
		Depth    int
		Interval string
		Venues   bool
		Bar      string
	}
	Refused *struct {
		Code    string
		Symbols []string
	}
	Connections [][]struct {
		Send   json.RawMessage
		Expect map[string]any
		Want   map[string]any
		Stats  map[string]uint64
		Drop   bool
		Close  int
	}
}

// accepted is a connection that a test server took.
type accepted struct {
	ws       *websocket.Conn
	requests chan []byte // closed when the connection ends
	mu       sync.Mutex  // held while sending
}

func (a *accepted) send(t testing.TB, text string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatalf("server: send: %v", err)
	}
}

// serveLoopback starts a server on 127.0.0.1 that hands over each connection.
func serveLoopback(t testing.TB) (url string, conns chan *accepted) {
	t.Helper()
	conns = make(chan *accepted, 16)
	srv := httptest.NewServer(handler(conns))
	t.Cleanup(srv.Close)
	return "ws" + strings.TrimPrefix(srv.URL, "http"), conns
}

func handler(conns chan<- *accepted) http.Handler {
	upgrader := websocket.Upgrader{Subprotocols: []string{wire.SubprotocolJSON}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		a := &accepted{ws: ws, requests: make(chan []byte, 256)}
		conns <- a
		defer close(a.requests)
		defer ws.Close()
		for {
			_, b, err := ws.ReadMessage()
			if err != nil {
				return
			}
			a.requests <- b
		}
	})
}

func TestSessions(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "testdata", "wire", "session", "*.json"))
	if err != nil || len(files) < 15 {
		t.Fatalf("session scripts: %d, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var s script
			if err := json.Unmarshal(b, &s); err != nil {
				t.Fatal(err)
			}
			s.run(t)
		})
	}
}

func (sc *script) run(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patienceOfTests)
	defer cancel()
	url, conns := serveLoopback(t)

	type result struct {
		c   *Client
		s   *Stream
		err error
	}
	started := make(chan result, 1)
	go func() {
		c, err := Dial(ctx, url, Options{MinBackoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond})
		if err != nil {
			started <- result{err: err}
			return
		}
		sub := Subscription{Channel: sc.Subscribe.Channel, Symbols: sc.Subscribe.Symbols, Depth: sc.Subscribe.Depth,
			Venues: sc.Subscribe.Venues, Bar: sc.Subscribe.Bar}
		if sc.Subscribe.Interval == "0" {
			sub.Interval = EveryChange
		}
		s, err := c.Subscribe(ctx, sub)
		started <- result{c, s, err}
	}()
	var got result
	client := func() result {
		if got.c == nil {
			select {
			case got = <-started:
			case <-ctx.Done():
				t.Fatal("client did not start")
			}
			if got.err != nil && sc.Refused == nil {
				t.Fatalf("client: %v", got.err)
			}
		}
		return got
	}
	for i, steps := range sc.Connections {
		var a *accepted
		select {
		case a = <-conns:
		case <-ctx.Done():
			t.Fatalf("connection %d did not come", i)
		}
		id := "0"
		for j, step := range steps {
			where := fmt.Sprintf("connection %d, step %d", i, j)
			switch {
			case step.Send != nil:
				list := []json.RawMessage{step.Send}
				if step.Send[0] == '[' {
					if err := json.Unmarshal(step.Send, &list); err != nil {
						t.Fatal(err)
					}
				}
				var texts []string
				for _, m := range list {
					texts = append(texts, strings.ReplaceAll(string(m), `"$id"`, id))
				}
				a.send(t, strings.Join(texts, "\n"))
			case step.Expect != nil:
				select {
				case b, ok := <-a.requests:
					if !ok {
						t.Fatalf("%s: connection ended, want request %v", where, step.Expect)
					}
					if _, err := wire.ParseRequest(b); err != nil {
						t.Fatalf("%s: the SDK sent %s: %v", where, b, err)
					}
					var m map[string]any
					_ = json.Unmarshal(b, &m)
					subset(t, where+": "+string(b), m, step.Expect)
					id = fmt.Sprint(m["id"])
				case <-ctx.Done():
					t.Fatalf("%s: no request, want %v", where, step.Expect)
				}
			case step.Want != nil:
				u, err := client().s.Next(ctx)
				if err != nil {
					t.Fatalf("%s: Next: %v, want %v", where, err, step.Want)
				}
				subset(t, fmt.Sprintf("%s: %T", where, u), describe(t, u), step.Want)
			case step.Stats != nil:
				deadline := time.Now().Add(patienceOfTests)
				for {
					wrong := ""
					v := reflect.ValueOf(client().c.Stats())
					for name, want := range step.Stats {
						f := v.FieldByName(strings.ReplaceAll(strings.ToUpper(name[:1])+titled(name[1:]), "_", ""))
						if got := f.Uint(); got != want {
							wrong = fmt.Sprintf("%s is %d, want %d", name, got, want)
						}
					}
					if wrong == "" {
						break
					}
					if time.Now().After(deadline) {
						t.Fatalf("%s: %s", where, wrong)
					}
					// A ping answered by the server proves that all before it was acted on.
					pingServer(ctx, t, client().c, a)
				}
			case step.Drop:
				_ = a.ws.NetConn().(*net.TCPConn).SetLinger(0)
				_ = a.ws.Close()
			case step.Close != 0:
				_ = a.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(step.Close, ""), time.Now().Add(time.Second))
			}
		}
	}
	if sc.Refused != nil {
		var refused *wire.Error
		if err := client().err; !errors.As(err, &refused) || refused.Code != sc.Refused.Code || !reflect.DeepEqual(refused.Symbols, sc.Refused.Symbols) {
			t.Errorf("Subscribe: %v, want %+v", err, sc.Refused)
		}
	}
	c := client().c
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if got.s != nil {
		if _, err := got.s.Next(ctx); !errors.Is(err, ErrClosed) {
			t.Errorf("Next after Close: %v", err)
		}
	}
}

// pingServer passes a ping through the connection and answers it.
func pingServer(ctx context.Context, t *testing.T, c *Client, a *accepted) {
	t.Helper()
	done := make(chan error, 1)
	go func() { _, err := c.Ping(ctx); done <- err }()
	for {
		select {
		case b := <-a.requests:
			r, _ := wire.ParseRequest(b)
			if r.Op == wire.OpPing {
				a.send(t, `{"type":"pong","id":`+string(r.ID)+`}`)
			} else {
				t.Errorf("unexpected request %s", b)
			}
		case err := <-done:
			if err != nil {
				t.Fatalf("ping: %v", err)
			}
			return
		}
	}
}

func titled(s string) string {
	out := []byte(s)
	for i := 1; i < len(out); i++ {
		if out[i-1] == '_' {
			out[i] -= 'a' - 'A'
		}
	}
	return string(out)
}

// subset fails unless got has all that want has.
func subset(t testing.TB, where string, got, want map[string]any) {
	t.Helper()
	for k, w := range want {
		if g := normal(got[k]); !reflect.DeepEqual(g, normal(w)) {
			t.Fatalf("%s: %s is %v, want %v (all: %v)", where, k, g, w, got)
		}
	}
}

func normal(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var out any
	_ = json.Unmarshal(b, &out)
	return out
}

// describe gives an update in the words of the scripts.
func describe(t testing.TB, u Update) map[string]any {
	m := u.About()
	out := map[string]any{"symbol": m.Symbol, "venue": m.Venue, "epoch": m.Epoch, "seq": m.Seq, "changes": m.Changes, "span": m.Span.Microseconds()}
	rng := func(r *Range) any {
		if r == nil {
			return nil
		}
		return []string{r.Low.String(), r.High.String()}
	}
	opt := func(ok bool, d decimal.Decimal) any {
		if !ok {
			return nil
		}
		return d.String()
	}
	null := func(d decimal.NullDecimal) any { return opt(d.Valid, d.Decimal) }
	split := func(list []VenueSize) any {
		var pairs [][2]string
		for _, v := range list {
			pairs = append(pairs, [2]string{v.Venue, v.Size.String()})
		}
		return pairs
	}
	switch u := u.(type) {
	case *BookUpdate:
		out["update"] = "book"
		pairs := func(levels []Level) any {
			p := [][2]string{}
			for _, l := range levels {
				p = append(p, [2]string{l.Price.String(), l.Size.String()})
			}
			return p
		}
		out["bids"], out["asks"] = pairs(u.Bids), pairs(u.Asks)
		if len(u.Bids) > 0 {
			out["split"] = split(u.Bids[0].Venues)
		}
	case *Quote:
		out["update"] = "quote"
		out["source"], out["state"], out["locked"], out["crossed"] = u.Source, u.State, u.Locked, u.Crossed
		for name, s := range map[string]Side{"bid": u.Bid, "ask": u.Ask} {
			out[name] = opt(s.Present, s.Price)
			out[name+"_size"] = opt(s.Present, s.Size)
			out[name+"_total"] = opt(s.Present, s.Total)
			out[name+"_venues"] = split(s.Venues)
		}
		venues := []string{}
		for _, o := range u.Out {
			venues = append(venues, o.Venue)
		}
		out["out"] = venues
		mid, ok := u.Mid()
		out["mid"] = opt(ok, mid)
		spread, ok := u.Spread()
		out["spread"] = opt(ok, spread)
		out["merged_bid"], out["merged_ask"] = rng(u.MergedBid), rng(u.MergedAsk)
	case *Ticker:
		out["update"] = "ticker"
		out["last"], out["open"], out["high"], out["volume"], out["change"] = null(u.Last), null(u.Open), null(u.High), null(u.Volume), null(u.Change)
		out["trades"], out["last_venue"] = u.Trades, u.LastVenue
		out["merged_last"], out["merged_volume"], out["merged_trades"] = rng(u.MergedLast), null(u.MergedVolume), u.MergedTrades
	case *Trades:
		out["update"], out["snapshot"] = "trades", u.Snapshot
		var ids, prices []string
		for _, tr := range u.Trades {
			ids, prices = append(ids, tr.ID), append(prices, tr.Price.String())
		}
		out["ids"], out["prices"] = ids, prices
	case *Bar:
		out["update"], out["state"], out["close"], out["trades"] = "bar", u.State, null(u.Close), u.Trades
	case *Status:
		out["update"], out["state"], out["reason"] = "status", u.State, u.Reason
	case *Gap:
		out["event"], out["from"], out["to"], out["reason"] = "gap", u.From, u.To, u.Reason
	case *EpochChange:
		out["event"], out["from"], out["to"] = "epoch_change", u.From, u.To
	case *Resync:
		out["event"] = "resync"
		var sequence *SequenceError
		var checksum *ChecksumError
		switch {
		case errors.As(u.Cause, &sequence):
			out["cause"] = "sequence"
		case errors.As(u.Cause, &checksum):
			out["cause"] = "checksum"
		default:
			out["cause"] = u.Cause.Error()
		}
	case *Disconnected:
		out["event"] = "disconnected"
	case *Reconnected:
		out["event"], out["session"] = "reconnected", u.Session
	case *Rejected:
		out["event"], out["code"] = "rejected", u.Err.Code
	case *Lost:
		out["event"], out["events"] = "lost", u.Events
	default:
		t.Fatalf("unknown update %T", u)
	}
	return out
}
