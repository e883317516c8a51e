package streamer

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"

	"compress/flate"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/streamer/wire"
)

// TestDeflate: a message put together from compressed runs and stored pieces is,
// decompressed by the standard library as RFC 7692 wants it, what was put in; the
// first who is sent a run gets it as it is.
func TestDeflate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := newPacker()
		sep := rapid.IntRange(0, 1).Draw(t, "separator")
		var parts [][]byte
		var runs []bool
		some := false
		for i := range rapid.IntRange(1, 6).Draw(t, "parts") {
			n := rapid.SampledFrom([]int{1, 200, 1024, 5000, 70_000}).Draw(t, "size")
			text := bytes.Repeat(fmt.Appendf(nil, `{"type":"delta","sid":%d,"bid":"64210.%d"}`, i, n), n/38+1)[:n]
			if rapid.IntRange(0, 3).Draw(t, "noise") == 0 {
				text = rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "bytes")
			}
			parts, runs = append(parts, text), append(runs, n >= shareSize && rapid.Bool().Draw(t, "run"))
			some = some || runs[i]
		}
		var want []byte
		for _, b := range parts {
			want = append(want, b...)
		}
		if out, _ := k.deflate(parts, runs, sep); out != nil {
			t.Fatal("compressed the first time")
		}
		for range 2 {
			out, size := k.deflate(parts, runs, sep)
			if out == nil {
				if some {
					continue // noise
				}
				return
			}
			var z []byte
			for _, b := range out {
				z = append(z, b...)
			}
			if len(z) != size {
				t.Fatalf("%d bytes, told %d", len(z), size)
			}
			r := flate.NewReader(io.MultiReader(bytes.NewReader(z), bytes.NewReader([]byte(deflateTail+"\x01\x00\x00\xff\xff"))))
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%v: %d bytes, want %d", err, len(got), len(want))
			}
		}
		if len(k.runs) > maxPacked {
			t.Fatalf("%d runs are remembered", len(k.runs))
		}
	})
}

// TestCompression: over a real connection, clients that ask for it get what others
// get; what is large takes fewer bytes for all but the first. Off, nobody does.
func TestCompression(t *testing.T) {
	for _, on := range []bool{true, false} {
		for _, format := range []wire.Format{wire.FormatJSON, wire.FormatProto} {
			reg := prometheus.NewRegistry()
			s := serve(t, Config{Compression: on, Metrics: reg})
			s.book("BTC-USD", "kraken", 100_000, 2000)
			first := readBook(t, s, format, false)
			s.untilSessions(0) // what is sent is counted after it is read
			sent := make([]float64, 3)
			for i := range sent {
				before := metric(t, reg, "quotewire_streamer_bytes_total")
				if got := readBook(t, s, format, true); !bytes.Equal(got, first) {
					t.Errorf("%v: %d bytes, want %d", format, len(got), len(first))
				}
				s.untilSessions(0)
				sent[i] = metric(t, reg, "quotewire_streamer_bytes_total") - before
			}
			t.Logf("compression %v, %v: %d bytes of snapshot, sent %v", on, format, len(first), sent)
			if saves := sent[2] < sent[0]*3/4; saves != on || sent[0] < float64(len(first)) {
				t.Errorf("compression %v: %v bytes were sent of %d", on, sent, len(first))
			}
		}
	}
}

// readBook returns the bytes of a whole book's snapshot message.
func readBook(t *testing.T, s *server, format wire.Format, compress bool) []byte {
	t.Helper()
	d := websocket.Dialer{EnableCompression: compress, Subprotocols: []string{format.String()}}
	conn, resp, err := d.Dial("ws"+s.http[4:]+"/v1/stream?channel=book&symbols=BTC-USD&depth=0&interval=1h", http.Header{})
	if err != nil {
		t.Fatalf("%v %v", err, resp)
	}
	defer func() { _ = conn.Close() }()
	for {
		_, b, err := conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		// Others may be in the same frame.
		parts := bytes.Split(b, newline)
		if format == wire.FormatProto {
			var r wire.ProtoReader
			for parts = nil; len(b) > 0; {
				var part []byte
				if part, b, err = r.Cut(b); err != nil {
					t.Fatal(err)
				}
				parts = append(parts, part)
			}
		}
		for _, part := range parts {
			if len(part) > 10_000 {
				return bytes.Clone(part)
			}
		}
	}
}

func metric(t testing.TB, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}
