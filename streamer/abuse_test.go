package streamer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire"
)

// rawFrame is a client's frame as it is on the wire, with an empty mask: the
// length that it tells may be another than that of the data.
func rawFrame(first byte, tells uint64, data []byte) []byte {
	b := []byte{first}
	switch {
	case tells < 126:
		b = append(b, 0x80|byte(tells))
	case tells <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(tells))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), tells)
	}
	return append(append(b, 0, 0, 0, 0), data...)
}

const (
	finText  = 0x81
	text     = 0x01
	goesOn   = 0x00
	deflated = 0x40 // RSV1 (RFC 7692)
)

// TestAbuse: what a hostile client may send, what becomes of it, and where it is
// counted. Another client is served all the while.
func TestAbuse(t *testing.T) {
	// However busy the machine, a flood is one: no request of it comes so late that it
	// is let in again.
	s := serve(t, Config{RequestRate: 1, RequestBurst: 200})
	s.book("BTC-USD", "kraken", 1000, 1)
	other := s.dial("?channel=quote&symbols=BTC-USD&interval=0")
	want[*wire.Ack](other)
	want[*wire.Snapshot](other)
	closedFor := func(reason string) func() float64 {
		return func() float64 { return counterValue(t, s.hub.metrics.closed.WithLabelValues(reason)) }
	}
	refusedFor := func(code string) func() float64 {
		return func() float64 { return counterValue(t, s.hub.metrics.errors.WithLabelValues(code)) }
	}
	repeat := func(b []byte, n int) []byte { return bytes.Repeat(b, n) }
	subscribe := []byte(`{"op":"subscribe","channel":"quote","symbols":["BTC-USD"]}`)
	flood := rawFrame(finText, uint64(len(subscribe)), subscribe)
	manySymbols := []byte(`{"op":"subscribe","channel":"quote","symbols":["` + strings.Repeat(`AAPL","`, wire.MaxSymbols+1) + `X"]}`)
	deep := []byte(`{"op":` + strings.Repeat("[", wire.MaxRequestBytes-10))
	for _, tt := range []struct {
		name    string
		send    []byte
		close   int // code; 0: the connection goes on
		counter func() float64
	}{
		{"a frame that tells a terabyte", rawFrame(finText, 1<<40, nil), websocket.CloseMessageTooBig, closedFor(reasonLarge)},
		{"a large request", rawFrame(finText, wire.MaxRequestBytes+1, make([]byte, wire.MaxRequestBytes+1)), websocket.CloseMessageTooBig, closedFor(reasonLarge)},
		{"a request in frames without end", append(rawFrame(text, 1<<16, make([]byte, 1<<16)), repeat(rawFrame(goesOn, 1<<16, make([]byte, 1<<16)), 40)...),
			websocket.CloseMessageTooBig, closedFor(reasonLarge)},
		{"a million frames of nothing", append(rawFrame(text, 0, nil), repeat(rawFrame(goesOn, 0, nil), 10_000)...), 0, nil},
		{"a million symbols", rawFrame(finText, uint64(len(manySymbols)), manySymbols), 0, refusedFor(wire.CodeBadRequest)},
		{"deep JSON", rawFrame(finText, uint64(len(deep)), deep), 0, refusedFor(wire.CodeBadRequest)},
		{"what is not UTF-8", rawFrame(finText, 3, []byte{'"', 0xff, 0xfe}), 0, refusedFor(wire.CodeBadRequest)},
		{"a compression bomb", rawFrame(finText|deflated, 1000, make([]byte, 1000)), websocket.CloseProtocolError, closedFor(reasonProtocol)},
		{"frames without a mask", []byte{finText, 2, '{', '}'}, websocket.CloseProtocolError, closedFor(reasonProtocol)},
		{"a flood of subscribes", repeat(flood, 1000), websocket.ClosePolicyViolation, closedFor(reasonAbuse)},
		{"a flood of junk", repeat(rawFrame(finText, 1, []byte("x")), 200), websocket.ClosePolicyViolation, closedFor(reasonAbuse)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := s.dial("")
			c.t = t
			before := 0.0
			if tt.counter != nil {
				before = tt.counter()
			}
			// The server may hang up before it has read everything.
			if _, err := c.conn.NetConn().Write(tt.send); err != nil && tt.close == 0 {
				t.Fatal(err)
			}
			if tt.close != 0 {
				c.wantClose(tt.close)
				s.untilSessions(1)
			} else if tt.counter != nil {
				want[*wire.Error](c)
				c.send(`{"op":"ping"}`)
				want[*wire.Pong](c)
			}
			if tt.counter != nil && tt.counter() != before+1 {
				t.Errorf("counted %v, was %v", tt.counter(), before)
			}
			_ = c.conn.Close()
			s.untilSessions(1)
		})
	}
	s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, 7))
	want[*wire.Delta](other)
}

// TestManySymbols: patterns over a large universe cost as many requests as they
// take time, and what would be too many streams is refused without making them.
func TestManySymbols(t *testing.T) {
	dir := market.NewDirectory()
	const n = 150_000
	for i := range n {
		if _, err := dir.Instrument(fmt.Sprintf("S%06d", i), market.ClassOption); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, Config{Directory: dir})
	c := s.dial("")
	c.send(`{"op":"subscribe","channel":"quote","symbols":["*"]}`)
	c.refused(wire.CodeTooManySubscriptions)
	patterns := make([]string, 90)
	for i := range patterns {
		patterns[i] = fmt.Sprintf("*%d*%d*%d*x", i, i, i)
	}
	c.send(`{"op":"subscribe","channel":"quote","symbols":["%s"]}`, strings.Join(patterns, `","`))
	c.refused(wire.CodeRateLimited)
	c.send(`{"op":"subscribe","channel":"quote","symbols":["S00000*"]}`)
	if ack := want[*wire.Ack](c); len(ack.Streams) != 10 {
		t.Errorf("%d streams", len(ack.Streams))
	}
	topics := 0
	if err := s.hub.call(s.hub.lanes[0], func(int64) { topics = len(s.hub.lanes[0].topics) }); err != nil || topics != 10 {
		t.Errorf("%d topics, %v", topics, err)
	}
}

// TestSlowRequest: a frame that comes byte by byte does not keep a connection.
func TestSlowRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, closeAll := servePipe(t, Config{Heartbeat: time.Hour})
		defer closeAll()
		c := s.dial("")
		begin := time.Now()
		var writing sync.WaitGroup
		defer writing.Wait()
		writing.Go(func() {
			for {
				if _, err := c.conn.NetConn().Write([]byte{finText}); err != nil {
					return
				}
				if _, err := c.conn.NetConn().Write(rawFrame(finText, 1000, nil)[1:]); err != nil {
					return
				}
				for range 1000 {
					time.Sleep(10 * time.Second)
					if _, err := c.conn.NetConn().Write([]byte{'x'}); err != nil {
						return
					}
				}
			}
		})
		_ = c.conn.SetReadDeadline(time.Time{})
		var closed *websocket.CloseError
		for {
			if _, _, err := c.conn.ReadMessage(); err != nil {
				if !errors.As(err, &closed) || closed.Code != websocket.ClosePolicyViolation {
					t.Errorf("closed with %v", err)
				}
				break
			}
		}
		if took := time.Since(begin); took > 3*time.Minute {
			t.Errorf("it took %s", took)
		}
		_ = c.conn.Close()
	})
}

// TestBodies: a request with a body is refused at once, however long it takes.
func TestBodies(t *testing.T) {
	s := serve(t, Config{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.http, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "GET /v1/symbols HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	var got bytes.Buffer
	if _, err := got.ReadFrom(conn); err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
		t.Fatalf("the connection stays open: %v", err)
	}
	if !strings.Contains(got.String(), fmt.Sprint(http.StatusRequestEntityTooLarge)) {
		t.Errorf("answered %s", got.String())
	}
}

// TestCompressionBomb: where compression is on, a small message that unpacks to a
// large one is as large as what it unpacks to.
func TestCompressionBomb(t *testing.T) {
	s := serve(t, Config{Compression: true})
	s.dialer.EnableCompression = true
	c := s.dial("")
	before := counterValue(t, s.hub.metrics.closed.WithLabelValues(reasonLarge))
	c.conn.EnableWriteCompression(true)
	bomb := bytes.Repeat([]byte{' '}, 200<<20)
	if err := c.conn.WriteMessage(websocket.TextMessage, bomb); err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "pipe") {
		t.Fatal(err)
	}
	c.wantClose(websocket.CloseMessageTooBig)
	s.untilSessions(0)
	if got := counterValue(t, s.hub.metrics.closed.WithLabelValues(reasonLarge)); got != before+1 {
		t.Errorf("counted %v, was %v", got, before)
	}
}
