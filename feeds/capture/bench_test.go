package capture

import (
	"bytes"
	"io"
	"testing"

	"github.com/quotewire/quotewire/feeds"
)

// krakenFrames are the frames of a real stream where the recording is there,
// else made ones of its size.
func krakenFrames(b *testing.B) (frames []feeds.Frame, size int64) {
	b.Helper()
	data := recordings(b)
	for i, line := range recordedLines(b, data+"/kraken/v2_BTC-ETH-USD_d10_2026-07-07.ndjson.zst") {
		frames = append(frames, feeds.Frame{Feed: "kraken", Provider: "kraken", Received: int64(i) * 7_000_000, Payload: line})
		size += int64(len(line))
	}
	return frames, size
}

func BenchmarkWrite(b *testing.B) {
	frames, size := krakenFrames(b)
	w, err := NewWriter(io.Discard, testHeader)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size / int64(len(frames)))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := w.Write(frames[i]); err != nil {
			b.Fatal(err)
		}
		if i++; i == len(frames) {
			i = 0
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(float64(w.Size())/float64(b.N)/(float64(size)/float64(len(frames))), "stored/payload")
}

func BenchmarkRead(b *testing.B) {
	frames, size := krakenFrames(b)
	var all []feeds.Frame
	for range 20 {
		all = append(all, frames...)
	}
	file := encode(b, all, nil)
	src := bytes.NewReader(file)
	r, err := NewReader(src)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	b.SetBytes(size / int64(len(frames)))
	b.ReportAllocs()
	for b.Loop() {
		_, err := r.Next()
		if err == io.EOF {
			b.StopTimer()
			if err := r.SeekTime(-1 << 63); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			_, err = r.Next()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
}

func BenchmarkRecord(b *testing.B) {
	frames, size := krakenFrames(b)
	w, err := NewWriter(io.Discard, testHeader)
	if err != nil {
		b.Fatal(err)
	}
	r := NewRecorder(w, RecorderConfig{Queue: 16 << 20})
	b.SetBytes(size / int64(len(frames)))
	b.ReportAllocs()
	var out batch
	i := 0
	for b.Loop() {
		r.Record(frames[i])
		if i++; i == len(frames) {
			i = 0
			b.StopTimer()
			if err := r.drain(&out, false); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	}
	if r.Lost() > 0 {
		b.Fatalf("lost %d", r.Lost())
	}
}

func BenchmarkImport(b *testing.B) {
	frames, size := krakenFrames(b)
	var in bytes.Buffer
	for _, f := range frames {
		in.Write(f.Payload)
		in.WriteByte('\n')
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		w, err := NewWriter(io.Discard, testHeader)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Import(bytes.NewReader(in.Bytes()), NDJSON, "kraken", "f", w, ImportOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestNoAllocationPerFrame(t *testing.T) {
	f := feeds.Frame{Feed: "kraken", Provider: "kraken", Payload: bytes.Repeat([]byte("0123456789"), 30)}
	g := f
	g.Feed = "other"
	w, err := NewWriter(io.Discard, testHeader)
	if err != nil {
		t.Fatal(err)
	}
	// Enough frames for several blocks a run; the index's entry of a block is
	// all that may grow.
	write := func() {
		for i := range int64(4000) {
			f.Received, g.Received = i, i
			if w.Write(f) != nil || w.Write(g) != nil {
				t.Fatal("write failed")
			}
		}
	}
	write()
	if n := testing.AllocsPerRun(5, write); n > 2 {
		t.Errorf("writing 8000 frames allocates %v times", n)
	}

	frames := make([]feeds.Frame, 20_000)
	for i := range frames {
		frames[i] = f
		if i%2 == 0 {
			frames[i] = g
		}
	}
	r, err := NewReader(bytes.NewReader(encode(t, frames, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	read := func() {
		for range 3000 {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
	}
	read()
	// With -race, the pools of zstd lose things at random: a few a block.
	if n := testing.AllocsPerRun(4, read); n > 20 {
		t.Errorf("reading 3000 frames allocates %v times", n)
	}

	rec := NewRecorder(w, RecorderConfig{})
	var out batch
	record := func() {
		for range 100 {
			rec.Record(f)
		}
		if err := rec.drain(&out, false); err != nil {
			t.Fatal(err)
		}
	}
	record()
	record()
	if n := testing.AllocsPerRun(20, record); n > 0 {
		t.Errorf("recording 100 frames allocates %v times", n)
	}
}
