package streamer

import (
	"bytes"
	"io"
	"net"
	"testing"

	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/streamer/wire"
)

// TestPen: whatever is added, in whatever sizes, arrives as it was added, in
// frames of at most 64 KiB unless one message is larger; what a socket does not
// take at once is kept as it was, even if the pen is used for another one
// meanwhile.
func TestPen(t *testing.T) {
	h := NewHub(Config{Directory: newTestDirectory(t)})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	rapid.Check(t, func(t *rapid.T) {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		peer, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		limitUnsent(conn, 16<<10)
		format := wire.Format(rapid.IntRange(0, 1).Draw(t, "format"))
		s := newSession(h, "test", "test")
		s.format = format
		c := &socket{session: s, net: conn, raw: rawConn(conn)}
		p := newWriter(h, 0).pen
		p.try.init()
		got := make(chan []byte)
		read := func() {
			var all []byte
			defer func() { got <- all }()
			for {
				kind, payload, err := readFrame(peer)
				if err != nil {
					return
				}
				if kind != opcode(format) {
					continue
				}
				all = append(all, payload...)
				all = append(all, format.Separator()...)
				if len(payload) > batchSize && bytes.Count(payload, []byte{payload[0]}) != len(payload) {
					t.Errorf("a frame of %d bytes of several messages", len(payload))
				}
			}
		}
		reading := rapid.Bool().Draw(t, "reading")
		if reading {
			go read()
		}
		var want []byte
		p.begin(c)
		blocked := false
		for i := range rapid.IntRange(1, 60).Draw(t, "messages") {
			n := rapid.SampledFrom([]int{1, 100, 125, 126, 900, 2000, 30_000, 70_000}).Draw(t, "size")
			msg := bytes.Repeat([]byte{byte('a' + i%26)}, n)
			if err := p.room(n + 1); err != nil {
				if blocked = err == errBlocked; !blocked && err != errYield {
					t.Fatal(err)
				}
				break
			}
			if rapid.Bool().Draw(t, "reply") {
				p.addMessage(msg)
			} else {
				p.add(append(msg[:n:n], format.Separator()...), 1)
			}
			want = append(append(want, msg...), format.Separator()...)
		}
		if !blocked {
			switch err := p.flush(); err {
			case nil:
			case errBlocked:
				blocked = true
			default:
				t.Fatal(err)
			}
		}
		rest := p.takeRest()
		if blocked != (len(rest) > 0) {
			t.Fatalf("blocked is %v, and %d parts are left", blocked, len(rest))
		}
		// It goes on elsewhere.
		p.clear()
		p.put(bytes.Repeat([]byte("x"), 1000))
		p.clear()
		if !reading {
			go read()
		}
		if _, err := rest.WriteTo(conn); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if all := <-got; !bytes.Equal(all, want) {
			t.Fatalf("%d bytes arrived of %d", len(all), len(want))
		}
		_ = peer.Close()
	})
}

// readFrame reads one frame as a server sends them.
func readFrame(r io.Reader) (kind byte, payload []byte, err error) {
	var h [8]byte
	if _, err := io.ReadFull(r, h[:2]); err != nil {
		return 0, nil, err
	}
	kind, n := h[0]&15, uint64(h[1])
	extra := map[uint64]int{126: 2, 127: 8}[n]
	if extra > 0 {
		if _, err := io.ReadFull(r, h[:extra]); err != nil {
			return 0, nil, err
		}
		n = 0
		for _, b := range h[:extra] {
			n = n<<8 | uint64(b)
		}
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r, payload)
	return kind, payload, err
}

// TestOneTurnAtATime: a session that stands in a writer's queue twice has one turn; a
// second writer at its positions would be one too many.
func TestOneTurnAtATime(t *testing.T) {
	h := NewHub(Config{Directory: newTestDirectory(t)})
	w := newWriter(h, 0)
	s := newSession(h, "test", "test")
	s.writer = w
	s.turn, s.due = turnQueued, 5e6
	w.plan(s, 5e6)
	taken := w.later.pop(10e6) // the writer is taking it out
	s.mu.Lock()
	s.beating = true
	s.arrange(0) // and it has something urgent
	s.mu.Unlock()
	if taken != s || len(w.queue) != 1 {
		t.Fatalf("%v was taken, %d wait", taken, len(w.queue))
	}
	s.turn = turnWriting // its first turn goes on
	w.serve(s)           // the second entry
	if s.turn != turnWriting {
		t.Errorf("turn is %d", s.turn)
	}
}
