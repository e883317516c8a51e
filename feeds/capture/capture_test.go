package capture

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/feeds"
)

var update = flag.Bool("update", false, "write the golden files anew")

var testHeader = Header{
	Created: time.Date(2026, 7, 7, 22, 59, 0, 123456789, time.UTC),
	Meta:    map[string]string{"program": "quotewire test", "config": "sha256:00"},
}

// encode makes a capture of the frames; flush tells after which a block ends.
func encode(t testing.TB, frames []feeds.Frame, flush func(i int) bool) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, testHeader)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range frames {
		if err := w.Write(f); err != nil {
			t.Fatal(err)
		}
		if flush != nil && flush(i) {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Size() != int64(b.Len()) || w.Frames() != uint64(len(frames)) {
		t.Fatalf("writer counts %d bytes, %d frames; has %d, %d", w.Size(), w.Frames(), b.Len(), len(frames))
	}
	return b.Bytes()
}

// decode reads to the first error.
func decode(b []byte) ([]feeds.Frame, error) {
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return drainReader(r)
}

func drainReader(r *Reader) (frames []feeds.Frame, err error) {
	for {
		f, err := r.Next()
		if err != nil {
			return frames, err
		}
		f.Payload = bytes.Clone(f.Payload)
		frames = append(frames, f)
	}
}

func sameFrame(a, b feeds.Frame) bool {
	return a.Kind == b.Kind && a.Binary == b.Binary && a.Feed == b.Feed && a.Provider == b.Provider &&
		a.URL == b.URL && a.Received == b.Received && bytes.Equal(a.Payload, b.Payload)
}

func compare(t interface {
	Helper()
	Fatalf(string, ...any)
}, got, want []feeds.Frame) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if !sameFrame(got[i], want[i]) {
			t.Fatalf("frame %d is %.200v, want %.200v", i, show(got[i]), show(want[i]))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("got %d frames, want %d", len(got), len(want))
	}
}

func show(f feeds.Frame) string {
	return fmt.Sprintf("%v %s/%s url %q at %d, binary %v, %d bytes %.60q", f.Kind, f.Provider, f.Feed, f.URL, f.Received, f.Binary, len(f.Payload), f.Payload)
}

// smallFrames has one frame of each shape, on two feeds.
func smallFrames() []feeds.Frame {
	const at = 1783465157897000000
	return []feeds.Frame{
		{Kind: feeds.Up, Feed: "kraken-1", Provider: "kraken", URL: "wss://ws.kraken.com/v2", Received: at},
		{Kind: feeds.Data, Feed: "kraken-1", Provider: "kraken", Received: at + 5, Payload: []byte(`{"channel":"heartbeat"}`)},
		{Kind: feeds.Up, Feed: "cb", Provider: "coinbase", Received: at + 3},
		{Kind: feeds.Data, Feed: "cb", Provider: "coinbase", Binary: true, Received: at + 1_000_000_000, Payload: []byte{0, 1, 0x5C, 0x2A, 0x4D, 0x18, 255}},
		{Kind: feeds.Data, Feed: "cb", Provider: "coinbase", Received: at + 1_000_000_001},
		{Kind: feeds.Reply, Feed: "cb", Provider: "coinbase", URL: "https://example.test/book?symbol=BTC-USD", Received: at + 2_000_000_000, Payload: []byte(`{"bids":[]}`)},
		{Kind: feeds.Stale, Feed: "kraken-1", Provider: "kraken", Received: at + 3_000_000_000, Payload: []byte("mute for 3s")},
		{Kind: feeds.Lost, Feed: "kraken-1", Provider: "kraken", Received: at + 3_000_000_000, Payload: []byte("17")},
		{Kind: feeds.Down, Feed: "kraken-1", Provider: "kraken", Received: at + 4_000_000_000, Payload: []byte("EOF")},
	}
}

func everyThird(i int) bool { return i%3 == 2 }

func TestRoundTripProperty(t *testing.T) {
	sizes := []int{0, 0, 1, 7, 100, 127, 128, 4000, 70_000, 600_000}
	rapid.Check(t, func(t *rapid.T) {
		now := rapid.Int64().Draw(t, "start")
		frames := make([]feeds.Frame, rapid.IntRange(0, 60).Draw(t, "n"))
		big := 0
		for i := range frames {
			if rapid.Bool().Draw(t, "far") {
				now = rapid.Int64().Draw(t, "time")
			} else {
				now += rapid.Int64Range(-1_000_000, 5_000_000).Draw(t, "delta")
			}
			size := rapid.SampledFrom(sizes).Draw(t, "size")
			if big += size; big > 2_000_000 {
				size = 3
			}
			p := bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "p"), size/20+1)[:size]
			frames[i] = feeds.Frame{
				Kind:     feeds.FrameKind(rapid.Byte().Draw(t, "kind")),
				Binary:   rapid.Bool().Draw(t, "binary"),
				Feed:     rapid.SampledFrom([]string{"", "a", "b", "börse", strings.Repeat("n", maxName)}).Draw(t, "feed"),
				Provider: rapid.SampledFrom([]string{"", "p", "q"}).Draw(t, "provider"),
				URL:      rapid.SampledFrom([]string{"", "", "u", strings.Repeat("u", maxURL)}).Draw(t, "url"),
				Received: now,
				Payload:  p,
			}
		}
		flushes := rapid.SliceOfN(rapid.IntRange(0, 9), len(frames), len(frames)).Draw(t, "flush")
		var b bytes.Buffer
		w, err := NewWriter(&b, testHeader)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range frames {
			if err := w.Write(f); err != nil {
				t.Fatal(err)
			}
			if flushes[i] == 0 {
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := decode(b.Bytes())
		if err != io.EOF {
			t.Fatalf("ends with %v, want EOF", err)
		}
		compare(t, got, frames)
	})
}

func TestHeader(t *testing.T) {
	r, err := NewReader(bytes.NewReader(encode(t, nil, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h := r.Header()
	if !h.Created.Equal(testHeader.Created) || fmt.Sprint(h.Meta) != fmt.Sprint(testHeader.Meta) {
		t.Errorf("header is %v, want %v", h, testHeader)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("an empty capture ends with %v", err)
	}
	for name, meta := range map[string]map[string]string{
		"large": {"k": strings.Repeat("x", maxMeta)},
		"utf-8": {"k": "\xff"},
	} {
		if _, err := NewWriter(io.Discard, Header{Meta: meta}); err == nil {
			t.Errorf("%s: metadata was taken", name)
		}
	}
}

func TestLargestPayload(t *testing.T) {
	p := make([]byte, MaxPayload)
	p[1], p[len(p)-1] = 1, 2
	r, err := NewReader(bytes.NewReader(encode(t, []feeds.Frame{{Payload: p}}, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := r.Next()
	if err != nil || !bytes.Equal(f.Payload, p) {
		t.Fatalf("got %s, %v", show(f), err)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Fatal(err)
	}
}

func TestWriterRefusals(t *testing.T) {
	var b bytes.Buffer
	w, err := NewWriter(&b, testHeader)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []feeds.Frame{
		{Payload: make([]byte, MaxPayload+1)},
		{URL: strings.Repeat("u", maxURL+1)},
		{Feed: strings.Repeat("n", maxName+1)},
		{Provider: strings.Repeat("n", maxName+1)},
	} {
		if err := w.Write(f); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: error %v, want ErrTooLarge", show(f), err)
		}
	}
	want := smallFrames()[:1]
	if err := w.Write(want[0]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(want[0]); !errors.Is(err, ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
	if err := w.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("close after close: %v", err)
	}
	got, err := decode(b.Bytes())
	if err != io.EOF {
		t.Fatal(err)
	}
	compare(t, got, want)
}

func TestCreateKeepsWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.qwc")
	w, err := Create(path, testHeader)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path, testHeader); !errors.Is(err, os.ErrExist) {
		t.Errorf("second Create: %v, want ErrExist", err)
	}
}

// limited fails after n bytes, having taken a part of the last write.
type limited struct{ n int }

func (l *limited) Write(b []byte) (int, error) {
	if len(b) > l.n {
		n := l.n
		l.n = 0
		return n, errors.New("disk full")
	}
	l.n -= len(b)
	return len(b), nil
}

func TestWriterErrorStays(t *testing.T) {
	w, err := NewWriter(&limited{n: 100}, Header{Created: testHeader.Created})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(smallFrames()[0]); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Flush(); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Fatalf("flush: %v", err)
		}
	}
	if err := w.Write(smallFrames()[0]); err == nil {
		t.Error("write after an error of the file succeeded")
	}
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("close: %v", err)
	}
}

func TestAnyZstdToolUnpacksIt(t *testing.T) {
	frames := smallFrames()
	dec, err := zstd.NewReader(bytes.NewReader(encode(t, frames, everyThird)))
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	b, err := io.ReadAll(dec)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		if !bytes.Contains(b, f.Payload) {
			t.Errorf("%q is not in what zstd unpacks", f.Payload)
		}
	}
}

func TestTornAnywhere(t *testing.T) {
	frames := smallFrames()
	b := encode(t, frames, everyThird)
	last := -1
	for n := range b {
		got, err := decode(b[:n])
		var c *CorruptError
		if !errors.Is(err, ErrTruncated) && !errors.As(err, &c) {
			t.Fatalf("cut to %d of %d bytes: error %v", n, len(b), err)
		}
		if len(got) < last || len(got)%3 != 0 {
			t.Fatalf("cut to %d bytes: %d frames, %d from less", n, len(got), last)
		}
		last = len(got)
		compare(t, got, frames[:len(got)])
	}
	if last != len(frames) {
		t.Errorf("with one byte missing %d of %d frames are read", last, len(frames))
	}
}

func TestFlippedByteAnywhere(t *testing.T) {
	frames := smallFrames()
	b := encode(t, frames, everyThird)
	for i := range b {
		for _, flip := range []byte{1, 0x80, 0xFF} {
			b[i] ^= flip
			got, err := decode(b)
			var c *CorruptError
			if !errors.As(err, &c) && !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrFormat) {
				t.Fatalf("byte %d flipped by %#x: error %v", i, flip, err)
			}
			compare(t, got, frames[:len(got)])
			if i >= tagEnd {
				skipThrough(t, b, frames, i)
			}
			b[i] ^= flip
		}
	}
}

// skipThrough reads the damaged b past its damage: one block at most is gone.
func skipThrough(t *testing.T, b []byte, frames []feeds.Frame, at int) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(b))
	if errors.Is(err, ErrTruncated) || errors.Is(err, ErrFormat) {
		return
	} else if err != nil {
		t.Fatalf("byte %d: %v", at, err)
	}
	defer r.Close()
	var got []feeds.Frame
	var lost uint64
	for {
		more, err := drainReader(r)
		got = append(got, more...)
		if err == io.EOF {
			break
		}
		n, err := r.SkipBlock()
		lost += n
		if err != nil {
			break
		}
	}
	if len(got) < len(frames)-3 {
		t.Fatalf("byte %d: only %d of %d frames come through", at, len(got), len(frames))
	}
	if lost > 0 && len(got)+int(lost) != len(frames) {
		t.Fatalf("byte %d: %d frames and %d lost are not %d", at, len(got), lost, len(frames))
	}
	for i, j := 0, 0; i < len(got); i, j = i+1, j+1 {
		for j < len(frames) && !sameFrame(got[i], frames[j]) {
			j++
		}
		if j == len(frames) {
			t.Fatalf("byte %d: %s was never written there", at, show(got[i]))
		}
	}
}

// places returns where the blocks begin, and the index.
func places(t *testing.T, b []byte) (at []int) {
	t.Helper()
	for _, tag := range []string{tagBlock, tagIndex} {
		for i := 0; ; {
			n := bytes.Index(b[i:], []byte(tag))
			if n < 0 {
				break
			}
			at = append(at, i+n-8)
			i += n + 1
		}
	}
	if len(at) != 4 {
		t.Fatalf("found %v, want 3 blocks and an index", at)
	}
	return at
}

func TestDamageIsSkipped(t *testing.T) {
	frames := smallFrames()
	whole := encode(t, frames, everyThird)
	at := places(t, whole)
	cutout := func(from, to int) []byte { return slices.Concat(whole[:from], whole[to:]) }
	flipped := func(i int) []byte {
		b := bytes.Clone(whole)
		b[i] ^= 0xFF
		return b
	}
	tests := []struct {
		name   string
		b      []byte
		want   []feeds.Frame
		lost   uint64
		errors int
		end    error
	}{
		{"sound", whole, frames, 0, 0, io.EOF},
		{"header", flipped(30), frames, 0, 1, io.EOF},
		{"size of the header", flipped(5), frames, 0, 1, io.EOF},
		{"head", flipped(at[1] + 30), slices.Concat(frames[:3], frames[6:]), 3, 1, io.EOF},
		{"content", flipped(at[1] + headSize + 20), slices.Concat(frames[:3], frames[6:]), 3, 1, io.EOF},
		{"last block", flipped(at[2] + headSize), frames[:6], 3, 1, io.EOF},
		{"two blocks", func() []byte { b := flipped(at[0] + 50); b[at[1]+90] ^= 1; return b }(), frames[6:], 6, 2, io.EOF},
		// The index is not in its place then, which is damage of its own.
		{"block cut out", cutout(at[1], at[2]), slices.Concat(frames[:3], frames[6:]), 3, 2, ErrTruncated},
		{"block torn out in part", cutout(at[1]+40, at[2]-3), slices.Concat(frames[:3], frames[6:]), 3, 2, ErrTruncated},
		{"bytes put in", slices.Concat(whole[:at[1]], []byte("hello"), whole[at[1]:]), frames, 0, 2, ErrTruncated},
		{"index", flipped(at[3] + 50), frames, 0, 1, ErrTruncated},
		{"block twice", slices.Concat(whole[:at[2]], whole[at[1]:]), frames, 0, 2, ErrTruncated},
		{"behind the index", slices.Concat(whole, []byte("x")), frames, 0, 1, io.EOF},
		{"joined", slices.Concat(whole, whole), frames, 0, 1, io.EOF},
		{"zeros at the end", slices.Concat(whole[:at[3]], make([]byte, 5000)), frames, 0, 1, ErrTruncated},
		{"torn", whole[:at[2]+100], frames[:6], 0, 1, ErrTruncated},
	}
	for i := range 2 * len(tests) {
		tt, name := tests[i/2], "whole/"
		var src io.Reader = bytes.NewReader(tt.b)
		if i%2 == 1 { // so that every boundary falls between two reads
			src, name = iotest.OneByteReader(src), "byte by byte/"
		}
		t.Run(name+tt.name, func(t *testing.T) {
			r, err := NewReader(src)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var got []feeds.Frame
			var lost uint64
			var seen []error
			for err == nil {
				var more []feeds.Frame
				more, err = drainReader(r)
				got = append(got, more...)
				if err == io.EOF {
					break
				}
				seen = append(seen, err)
				// It stays until it is skipped.
				if _, again := r.Next(); again == nil || again.Error() != err.Error() {
					t.Fatalf("second Next returns %v, want %v again", again, err)
				}
				var n uint64
				n, err = r.SkipBlock()
				lost += n
			}
			compare(t, got, tt.want)
			if lost != tt.lost || len(seen) != tt.errors || !errors.Is(err, tt.end) {
				t.Errorf("lost %d with %v, ends with %v; want %d with %d errors, ends with %v", lost, seen, err, tt.lost, tt.errors, tt.end)
			}
		})
	}
}

func TestBlockOfAnotherCaptureIsRefused(t *testing.T) {
	frames := smallFrames()
	b := encode(t, frames, everyThird)
	var other bytes.Buffer
	w, err := NewWriter(&other, Header{Created: time.Unix(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	n := other.Len()
	if err := errors.Join(w.Write(frames[0]), w.Close()); err != nil {
		t.Fatal(err)
	}
	at := places(t, b)
	mixed := slices.Concat(b[:at[0]], other.Bytes()[n:], b[at[0]:])
	r, err := NewReader(bytes.NewReader(mixed))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var c *CorruptError
	if _, err := r.Next(); !errors.As(err, &c) || c.Offset != int64(at[0]) {
		t.Fatalf("error %v, want damage at %d", err, at[0])
	}
	if _, err := r.SkipBlock(); err != nil {
		t.Fatal(err)
	}
	got, _ := drainReader(r)
	compare(t, got, frames)
}

func TestUnknownPartsAreSkipped(t *testing.T) {
	frames := smallFrames()
	b := encode(t, frames, everyThird)
	at := places(t, b)
	later := appendTag(nil, "QWCLATER")
	later = append(later, b[at[0]+16:at[0]+20]...)
	later = seal(append(later, "what a later version adds"...))
	got, err := decode(slices.Concat(b[:at[1]], later, b[at[1]:at[3]]))
	compare(t, got, frames)
	if !errors.Is(err, ErrTruncated) {
		t.Error(err)
	}
	torn := bytes.Clone(later)
	torn[len(torn)-8] ^= 1
	foreign := bytes.Clone(later[:len(later)-4])
	foreign[16] ^= 1
	for name, part := range map[string][]byte{"torn": torn, "of another capture": seal(foreign)} {
		got, err = decode(slices.Concat(b[:at[1]], part, b[at[1]:at[3]]))
		compare(t, got, frames[:3])
		var c *CorruptError
		if !errors.As(err, &c) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNotACapture(t *testing.T) {
	newer := encode(t, nil, nil)
	newer[16] = version + 1
	n := order.Uint32(newer[4:]) + 8
	copy(newer, seal(newer[:n-4:n-4]))
	for name, tt := range map[string]struct {
		b    []byte
		want error
	}{
		"empty":      {nil, ErrTruncated},
		"text":       {[]byte(`{"t":"recv"}`), ErrFormat},
		"short text": {[]byte("x"), ErrFormat},
		"zstd":       {[]byte{0x28, 0xB5, 0x2F, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, ErrFormat},
		"newer":      {newer, ErrVersion},
		"line ends":  {bytes.ReplaceAll(encode(t, nil, nil), []byte("\r\n"), []byte("\n")), ErrFormat},
	} {
		if _, err := NewReader(bytes.NewReader(tt.b)); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", name, err, tt.want)
		}
	}
}

func TestGrowingFileIsFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "live.qwc")
	w, err := Create(path, testHeader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, f := range smallFrames() {
		if _, err := r.Next(); !errors.Is(err, ErrTruncated) {
			t.Fatalf("before it was written: %v", err)
		}
		if err := errors.Join(w.Write(f), w.Flush()); err != nil {
			t.Fatal(err)
		}
		got, err := r.Next()
		if err != nil || !sameFrame(got, f) {
			t.Fatalf("got %s, %v; want %s", show(got), err, show(f))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Fatalf("after close: %v", err)
	}
}

func TestSeekTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		frames := make([]feeds.Frame, rapid.IntRange(1, 60).Draw(t, "n"))
		now := int64(1000)
		for i := range frames {
			now += rapid.Int64Range(-20, 50).Draw(t, "delta")
			frames[i] = feeds.Frame{Feed: "f", Received: now, Payload: fmt.Append(nil, i)}
		}
		var b bytes.Buffer
		w, err := NewWriter(&b, testHeader)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range frames {
			if err := w.Write(f); err != nil {
				t.Fatal(err)
			}
			if rapid.IntRange(0, 3).Draw(t, "flush") == 0 {
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		end := error(io.EOF)
		if rapid.Bool().Draw(t, "crashed") {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			end = ErrTruncated
		} else if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for range 3 {
			for range rapid.IntRange(0, 5).Draw(t, "read before") {
				r.Next()
			}
			to := rapid.Int64Range(900, now+200).Draw(t, "to")
			if err := r.SeekTime(to); err != nil {
				t.Fatal(err)
			}
			from := slices.IndexFunc(frames, func(f feeds.Frame) bool { return f.Received >= to })
			if from < 0 {
				from = len(frames)
			}
			got, err := drainReader(r)
			if !errors.Is(err, end) {
				t.Fatalf("ends with %v, want %v", err, end)
			}
			compare(t, got, frames[from:])
		}
	})
}

func TestSeekTimePastDamage(t *testing.T) {
	frames := smallFrames()
	b := encode(t, frames, everyThird)
	b = b[:places(t, b)[3]]
	b[places(t, encode(t, frames, everyThird))[0]+40] ^= 1
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.SeekTime(frames[6].Received); err != nil {
		t.Fatal(err)
	}
	got, _ := drainReader(r)
	compare(t, got, frames[6:])

	r, err = NewReader(io.MultiReader(bytes.NewReader(b)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.SeekTime(0); err == nil {
		t.Error("a stream was sought")
	}
}

func TestSkipBlockOfASoundCapture(t *testing.T) {
	frames := smallFrames()
	r, err := NewReader(bytes.NewReader(encode(t, frames, everyThird)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := r.SkipBlock(); n != 0 || err != nil {
		t.Errorf("before the first frame: %d, %v", n, err)
	}
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if n, err := r.SkipBlock(); n != 2 || err != nil {
		t.Errorf("after one of three: %d, %v", n, err)
	}
	got, err := drainReader(r)
	compare(t, got, frames[3:])
	if err != io.EOF {
		t.Error(err)
	}
}

func TestReadInfo(t *testing.T) {
	frames := smallFrames()
	b := encode(t, frames, everyThird)
	path := filepath.Join(t.TempDir(), "a.qwc")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	i, err := ReadInfo(path)
	if err != nil {
		t.Fatal(err)
	}
	if i.Frames != 9 || i.Blocks != 3 || i.Size != int64(len(b)) || !i.Complete || i.Lost != 17 || i.Damaged != 0 || i.Damage != nil ||
		i.First != frames[0].Received || i.Last != frames[8].Received || i.Payload != 57 || i.Kinds[feeds.Data] != 3 || i.Kinds[feeds.Up] != 2 {
		t.Errorf("info is %+v", i)
	}
	if i.Compressed <= 0 || i.Uncompressed <= i.Payload {
		t.Errorf("%d bytes compressed, %d uncompressed", i.Compressed, i.Uncompressed)
	}
	if len(i.Feeds) != 2 || i.Feeds[0].Name != "cb" || i.Feeds[0].Frames != 4 || i.Feeds[0].Kinds[feeds.Reply] != 1 ||
		i.Feeds[1].Provider != "kraken" || i.Feeds[1].Frames != 5 || i.Feeds[1].Last != frames[8].Received {
		t.Errorf("feeds are %+v", i.Feeds)
	}

	b[places(t, b)[1]+headSize+5] ^= 1
	if err := os.WriteFile(path, b[:len(b)-1], 0o644); err != nil {
		t.Fatal(err)
	}
	if i, err = ReadInfo(path); err != nil {
		t.Fatal(err)
	}
	if i.Frames != 6 || i.Complete || i.Damaged != 3 || len(i.Damage) != 2 {
		t.Errorf("info of the damaged capture is %+v", i)
	}
}

func TestGolden(t *testing.T) {
	path := filepath.Join("testdata", "golden.qwc")
	if *update {
		if err := os.WriteFile(path, encode(t, goldenFrames(), everyThird), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Open(path)
	if err != nil {
		t.Fatalf("%v (-update writes it)", err)
	}
	defer r.Close()
	got, err := drainReader(r)
	if err != io.EOF {
		t.Fatal(err)
	}
	compare(t, got, goldenFrames())
	if h := r.Header(); !h.Created.Equal(testHeader.Created) || h.Meta["config"] != "sha256:00" {
		t.Errorf("header is %v", h)
	}
}

func goldenFrames() []feeds.Frame {
	return append(smallFrames(),
		feeds.Frame{Feed: "big", Received: math.MaxInt64, Payload: bytes.Repeat([]byte("golden"), 50_000)},
		feeds.Frame{Feed: "big", Received: math.MinInt64})
}

// FuzzReader: whatever the bytes, reading and skipping ends, without a panic.
func FuzzReader(f *testing.F) {
	whole := encode(f, smallFrames(), everyThird)
	f.Add(whole)
	f.Add(whole[:len(whole)-70])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		defer r.Close()
		offset := int64(-1)
		for range len(b) + 2 {
			_, err := drainReader(r)
			if err == io.EOF {
				break
			}
			if _, err := r.SkipBlock(); err != nil {
				break
			}
			if r.Offset() < offset {
				t.Fatalf("the reader went back from %d to %d", offset, r.Offset())
			}
			offset = r.Offset()
		}
		if r.damage != nil {
			t.Fatalf("still at the damage: %v", r.damage)
		}
		if err := r.SeekTime(0); err != nil {
			t.Fatal(err)
		}
		drainReader(r)
	})
}

// FuzzContent hands records to the reader that their CRCs vouch for.
func FuzzContent(f *testing.F) {
	f.Add([]byte{4, 1, 0, 0}, uint32(1))
	f.Add([]byte{4, 1, 1, 'a', 0, 6, 2, 0, 0, 0, 2, 'x'}, uint32(1))
	f.Fuzz(func(t *testing.T, content []byte, frames uint32) {
		var b bytes.Buffer
		w, err := NewWriter(&b, testHeader)
		if err != nil {
			t.Fatal(err)
		}
		w.raw, w.head.frames, w.frames = content, max(frames, 1), uint64(max(frames, 1))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := decode(b.Bytes())
		var c *CorruptError
		if err != io.EOF && !errors.As(err, &c) {
			t.Fatal(err)
		}
		if err == io.EOF && len(got) != int(frames) && frames > 0 {
			t.Fatalf("%d frames of %d", len(got), frames)
		}
	})
}
