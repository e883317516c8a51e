package normalizer

import (
	"bytes"
	"encoding/json"
	flags "flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var update = flags.Bool("update", false, "write the golden files anew")

// golden compares a text with a file of testdata; with -update it becomes the
// file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	g, w := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range max(len(g), len(w)) {
		var a, b []byte
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if !bytes.Equal(a, b) {
			t.Fatalf("%s:%d:\ngot  %s\nwant %s", path, i+1, a, b)
		}
	}
}

// TestPolygonGolden decodes the provider's published example of each of its
// channels, and the real frames that were seen in public, into events whose every
// value is written down.
func TestPolygonGolden(t *testing.T) {
	for _, c := range []struct{ file, golden string }{
		{"polygon/massive_documented_examples.jsonl", "polygon_documented.golden"},
		{"polygon/massive_real_frames_collected.jsonl", "polygon_real.golden"},
	} {
		t.Run(c.golden, func(t *testing.T) {
			r := newRig(t, "polygon")
			var out bytes.Buffer
			for _, line := range recording(t, c.file) {
				var l struct {
					Path, Note, Data string
					Example          json.RawMessage
				}
				if err := json.Unmarshal(line, &l); err != nil {
					t.Fatal(err)
				}
				frame := l.Data
				if l.Example != nil {
					frame = "[" + string(l.Example) + "]"
				}
				fmt.Fprintf(&out, "# %s%s\n", l.Path, l.Note)
				for _, e := range r.decode(frame) {
					checkEvent(t, r, &e)
					fmt.Fprintf(&out, "%s t=%d", r.show(e), e.Time)
					if e.Sequence != 0 {
						fmt.Fprintf(&out, " seq=%d", e.Sequence)
					}
					if e.Start != 0 {
						fmt.Fprintf(&out, " from=%d", e.Start)
					}
					out.WriteByte('\n')
				}
			}
			golden(t, c.golden, out.Bytes())
		})
	}
}
