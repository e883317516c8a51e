package streamer

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/klauspost/compress/flate"

	"github.com/quotewire/quotewire/streamer/wire"
)

// cannedConn is a connection on which some bytes come, and then its end.
type cannedConn struct{ io.Reader }

func (cannedConn) Write(b []byte) (int, error)      { return len(b), nil }
func (cannedConn) Close() error                     { return nil }
func (cannedConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (cannedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (cannedConn) SetDeadline(time.Time) error      { return nil }
func (cannedConn) SetReadDeadline(time.Time) error  { return nil }
func (cannedConn) SetWriteDeadline(time.Time) error { return nil }

// hijackable answers a request with a connection that is taken over.
type hijackable struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (h hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(bytes.NewReader(nil)), bufio.NewWriter(io.Discard)), nil
}

// readByLibrary returns what the library reads from bytes of a client: messages, pings
// and pongs, and why it ends.
func readByLibrary(t testing.TB, data []byte) (got []string, reason string) {
	up := websocket.Upgrader{}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for k, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="} {
		r.Header.Set(k, v)
	}
	c, err := up.Upgrade(hijackable{httptest.NewRecorder(), cannedConn{bytes.NewReader(data)}}, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(wire.MaxRequestBytes)
	c.SetPingHandler(func(s string) error { got = append(got, "ping "+s); return nil })
	c.SetPongHandler(func(s string) error { got = append(got, "pong "+s); return nil })
	c.SetCloseHandler(func(int, string) error { return nil })
	for {
		_, text, err := c.ReadMessage()
		if err != nil {
			return got, whyRead(err)
		}
		got = append(got, "message "+string(text))
	}
}

// readFrames is the same by frames.
func readFrames(data []byte) (got []string, reason string) {
	f := &frames{src: bufio.NewReaderSize(bytes.NewReader(data), 16)}
	for {
		opcode, payload, err := f.next()
		switch {
		case err != nil:
			return got, whyRead(err)
		case opcode == websocket.PingMessage:
			got = append(got, "ping "+string(payload))
		case opcode == websocket.PongMessage:
			got = append(got, "pong "+string(payload))
		default:
			got = append(got, "message "+string(payload))
		}
	}
}

// clientFrames draws what a client may send: mostly as it should, now and then not.
func clientFrames(r *rand.Rand) []byte {
	var out []byte
	open := false
	for range r.IntN(12) {
		first := byte(bitFinal)
		n := r.IntN(200)
		switch k := r.IntN(10); {
		case k < 2:
			first |= websocket.PingMessage + byte(r.IntN(2))
			n = r.IntN(maxControl + 1)
		case open:
			if open = r.IntN(2) == 0; open {
				first = 0
			}
		default:
			first |= websocket.TextMessage + byte(r.IntN(2))
			if open = r.IntN(3) == 0; open {
				first &^= bitFinal
			}
		}
		switch r.IntN(60) {
		case 0:
			first ^= 1 << r.IntN(8)
		case 1:
			n = wire.MaxRequestBytes - 100 + r.IntN(200)
		case 2:
			first, n = bitFinal|websocket.CloseMessage, r.IntN(6)
		}
		data := make([]byte, n)
		for i := range min(n, 200) {
			data[i] = byte(r.UintN(256))
		}
		if first == bitFinal|websocket.CloseMessage && n >= 2 {
			code := []int{999, 1000, 1001, 1003, 1004, 1005, 1006, 1007, 1013, 1014, 1015, 2999, 3000, 4999, 5000}[r.IntN(15)]
			data[0], data[1] = byte(code>>8), byte(code)
			if r.IntN(2) == 0 {
				data = append(data[:2], "bye"...)
			}
		}
		frame := rawFrame(first, uint64(len(data)), nil)
		mask := frame[len(frame)-4:]
		for i := range mask {
			mask[i] = byte(r.UintN(256))
		}
		unmask(data, [4]byte(mask))
		out = append(append(out, frame...), data...)
		if r.IntN(100) == 0 {
			out[len(out)-len(data)-len(frame)+1] &^= bitMask
		}
	}
	if r.IntN(4) == 0 && len(out) > 0 {
		out = out[:r.IntN(len(out))]
	}
	return out
}

// TestFramesLikeLibrary: what a client sends is read as the library reads it, to the
// last frame and the reason for the end.
func TestFramesLikeLibrary(t *testing.T) {
	reasons := make(map[string]int)
	messages := 0
	for seed := range uint64(5_000) {
		data := clientFrames(rand.New(rand.NewPCG(seed, 1)))
		reason, n := compareFrames(t, data)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		reasons[reason]++
		messages += n
	}
	for _, reason := range []string{reasonClient, reasonProtocol, reasonLarge} {
		if reasons[reason] < 50 {
			t.Errorf("only %d ended by %s", reasons[reason], reason)
		}
	}
	if messages < 5_000 {
		t.Errorf("only %d messages", messages)
	}
}

func compareFrames(t testing.TB, data []byte) (reason string, n int) {
	want, wantReason := readByLibrary(t, data)
	got, reason := readFrames(data)
	if reason != wantReason || len(got) != len(want) {
		t.Errorf("%d read, ended by %s, want %d, %s, of %x", len(got), reason, len(want), wantReason, data)
		return reason, 0
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%d: %q, want %q", i, got[i], want[i])
		}
	}
	return reason, len(got)
}

func FuzzFrames(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(clientFrames(rand.New(rand.NewPCG(seed, 1))))
	}
	f.Add([]byte("\x81\xff\xff0000000")) // a length that the highest bit makes none
	f.Add([]byte("\x81\xff0000000000"))  // too long, and it ends before its mask
	f.Fuzz(func(t *testing.T, data []byte) { compareFrames(t, data) })
}

// TestFramesOfNothingTakeNoMemory: a length that is told and does not come costs
// nothing.
func TestFramesOfNothingTakeNoMemory(t *testing.T) {
	f := &frames{src: bufio.NewReader(bytes.NewReader(rawFrame(finText, wire.MaxRequestBytes, []byte("x"))))}
	if _, _, err := f.next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if cap(f.text) > 1024 {
		t.Errorf("%d bytes", cap(f.text))
	}
}

// TestUnpackIsBounded: of a message of 64 MiB no more is unpacked than
// shows that it is too long.
func TestUnpackIsBounded(t *testing.T) {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, zeros{}, 64<<20); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	text, err := unpack(bytes.TrimSuffix(packed.Bytes(), []byte(deflateTail)))
	if err != nil || len(text) != wire.MaxRequestBytes+1 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

// zeros is an endless source.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
