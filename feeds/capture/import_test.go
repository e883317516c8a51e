package capture

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/quotewire/quotewire/feeds"
)

// imported imports text and reads back what was written.
func imported(t testing.TB, r io.Reader, format, provider, feed string, opts ImportOptions) ([]feeds.Frame, ImportStats, error) {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, testHeader)
	if err != nil {
		t.Fatal(err)
	}
	stats, importErr := Import(r, format, provider, feed, w, opts)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	frames, err := decode(b.Bytes())
	if err != io.EOF {
		t.Fatal(err)
	}
	if stats.Frames != uint64(len(frames)) || stats.Data+stats.Ups+stats.Downs+stats.Replies != stats.Frames {
		t.Fatalf("stats %+v of %d frames", stats, len(frames))
	}
	return frames, stats, importErr
}

const kraken = "kraken"

func frame(kind feeds.FrameKind, feed, url string, received int64, payload string) feeds.Frame {
	return feeds.Frame{Kind: kind, Feed: feed, Provider: kraken, URL: url, Received: received, Payload: []byte(payload)}
}

func TestImportJSONL(t *testing.T) {
	const in = `{"t":"header","exchange":"X"}
{"t":"http","conn":"X.http","ts":1633998511.132921,"url":"https://x/depth?s=A","data":"{\"a\":1}"}
{"t":"connect","conn":"X.1","ts":1633998511.159679,"addr":"wss://x/ws"}
{"t":"send","conn":"X.1","ts":1633998511.2,"data":"sub"}
{"t":"recv","conn":"X.1","ts":1633998512.0633569,"data":"\"x\u00e9\ud83d\ude00"}
{"t":"recv","conn":"X.2","ts":1633998512.06335691234,"b64":"AAH/"}

{"t":"recv","conn":"X.1","ts":1633998512,"data":""}
{"t":"recv","conn":"X.1","ts":null,"data":"no time"}
{"t":"recv","conn":"X.1","ts":null,"data":"{\"timestamp\":\"2021-10-12T00:28:32.5Z\"}"}
{"t":"recv","conn":"X.1","data":"{\"timestamp\":\"2021-10-12T00:28:31.5Z\"}"}
{"t":"note","data":"reconnecting"}
{"t":"connect","conn":"X.1","ts":1633998513.000000001,"addr":"wss://x/ws"}
{"t":"recv","ts":1633998514,"data":"no conn"}`
	const s = 1_000_000_000
	frames, stats, err := imported(t, strings.NewReader(in), JSONL, kraken, "main", ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	binary := frame(feeds.Data, "X.2", "", 1633998512*s+63356912, "\x00\x01\xff")
	binary.Binary = true
	compare(t, frames, []feeds.Frame{
		frame(feeds.Reply, "X.http", "https://x/depth?s=A", 1633998511*s+132921000, `{"a":1}`),
		frame(feeds.Up, "X.1", "wss://x/ws", 1633998511*s+159679000, ""),
		frame(feeds.Data, "X.1", "", 1633998512*s+63356900, `"xé😀`),
		frame(feeds.Up, "X.2", "", 1633998512*s+63356912, ""),
		binary,
		frame(feeds.Data, "X.1", "", 1633998512*s, ""),
		frame(feeds.Data, "X.1", "", 1633998512*s, "no time"),
		frame(feeds.Data, "X.1", "", 1633998512*s+500_000_000, `{"timestamp":"2021-10-12T00:28:32.5Z"}`),
		frame(feeds.Data, "X.1", "", 1633998512*s+500_000_000, `{"timestamp":"2021-10-12T00:28:31.5Z"}`),
		frame(feeds.Down, "X.1", "", 1633998513*s+1, "connected anew; the recording does not tell when the connection before was lost"),
		frame(feeds.Up, "X.1", "wss://x/ws", 1633998513*s+1, ""),
		frame(feeds.Up, "main", "", 1633998514*s, ""),
		frame(feeds.Data, "main", "", 1633998514*s, "no conn"),
	})
	want := ImportStats{Lines: 14, Blank: 1, Headers: 1, Sends: 1, Notes: 1, Frames: 13, Data: 7, Replies: 1, Ups: 4, Downs: 1, Untimed: 1,
		First: 1633998511*s + 132921000, Last: 1633998514 * s}
	if stats != want {
		t.Errorf("stats %+v, want %+v", stats, want)
	}

	frames, _, err = imported(t, strings.NewReader(in), JSONL, kraken, "main", ImportOptions{FeedName: func(string) string { return "one" }})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		if f.Feed != "one" {
			t.Fatalf("feed %q, want one for all", f.Feed)
		}
	}
	// Connections of one feed: the second is no loss, the first one's return is.
	two := `{"t":"connect","conn":"a","ts":1}
{"t":"connect","conn":"b","ts":2}
{"t":"recv","conn":"b","ts":3,"data":"x"}
{"t":"connect","conn":"a","ts":4}`
	joint, stats, err := imported(t, strings.NewReader(two), JSONL, kraken, "main", ImportOptions{FeedName: func(string) string { return "one" }})
	if err != nil || len(joint) != 4 || joint[0].Kind != feeds.Up || joint[1].Kind != feeds.Data || joint[2].Kind != feeds.Down || joint[3].Kind != feeds.Up || stats.Joined != 1 {
		t.Errorf("%v, %+v, %+v", err, joint, stats)
	}
	// The second connection is one more of the same feed; the first, connecting
	// anew, is a loss.
	var kinds string
	for _, f := range frames {
		kinds += " " + f.Kind.String()
	}
	if want := " reply up" + strings.Repeat(" data", 6) + " down up data"; kinds != want {
		t.Errorf("kinds %s, want %s", kinds, want)
	}
}

func TestImportNDJSON(t *testing.T) {
	const s = 1_000_000_000
	for _, tt := range []struct {
		provider, in string
		want         []int64 // of the data frames, in ms since 1783465200 s; the Up has the first's
	}{
		{"kraken", `{"channel":"status"}
{"method":"subscribe","time_in":"2026-07-07T23:00:00.500000Z","time_out":"2026-07-07T23:00:09Z"}
{"channel":"heartbeat"}
{"data":[{"timestamp":"2026-07-07T23:00:00.250Z"}]}
{"data":[{"timestamp":"2026-07-07T23:00:00.750Z"}],"time":"2026-07-07T23:00:07Z"}`, []int64{500, 500, 500, 500, 750}},
		{"coinbase", "{\"type\":\"subscriptions\"}\r\n{\"time\":\"2026-07-07T23:00:01.5Z\",\"timestamp\":\"2026-07-07T23:00:09Z\"}\n{\"timestamp\":\"2026-07-07T23:00:09Z\"}\n", []int64{1500, 1500, 1500}},
		{"other", `{"E":1783465200001,"t":6486989273}
{"t":1783465200002000}
[{"ts":"1783465200003"}]
{"timestamp":1783465201}
{"t":1783465209,"x":"\"time\":1783465209000"}
{"time":"1970-01-01T00:00:00Z","a":{"time":"2026-07-07T23:00:02Z"}}
{"t":1783465203000000000}`, []int64{1, 2, 3, 1000, 1000, 2000, 3000}},
		{"none", "{}\n{}\n", []int64{-1783465200000, -1783465200000}},
	} {
		t.Run(tt.provider, func(t *testing.T) {
			frames, stats, err := imported(t, strings.NewReader(tt.in), NDJSON, tt.provider, "f", ImportOptions{})
			if err != nil {
				t.Fatal(err)
			}
			want := []feeds.Frame{{Kind: feeds.Up, Feed: "f", Provider: tt.provider, Received: 1783465200*s + tt.want[0]*1e6}}
			for i, line := range strings.Split(strings.TrimSpace(strings.ReplaceAll(tt.in, "\r", "")), "\n") {
				want = append(want, feeds.Frame{Feed: "f", Provider: tt.provider, Received: 1783465200*s + tt.want[i]*1e6, Payload: []byte(line)})
			}
			compare(t, frames, want)
			if stats.Ups != 1 || int(stats.Data) != len(tt.want) {
				t.Errorf("stats %+v", stats)
			}
		})
	}
}

func TestImportMalformed(t *testing.T) {
	const good = `{"t":"recv","conn":"c","ts":1633998511.5,"data":"x"}`
	for _, tt := range []struct{ format, line, reason string }{
		{JSONL, `{"t":"recv"`, "not a record"},
		{JSONL, `[]`, "not a record"},
		{JSONL, `{"conn":"c"}`, `no type "t"`},
		{JSONL, `{"t":"gone","conn":"c"}`, `unknown record type "gone"`},
		{JSONL, `{"t":"recv","conn":"c","ts":1}`, `neither "data" nor "b64"`},
		{JSONL, `{"t":"recv","conn":"c","ts":1,"data":"","b64":""}`, "both"},
		{JSONL, `{"t":"recv","conn":"c","ts":1,"b64":"?"}`, "base64"},
		{JSONL, `{"t":"recv","conn":"c","ts":"1","data":""}`, "number of seconds"},
		{JSONL, `{"t":"recv","conn":"c","ts":-1,"data":""}`, "number of seconds"},
		{JSONL, `{"t":"recv","conn":"c","ts":1e9,"data":""}`, "number of seconds"},
		{JSONL, `{"t":"recv","conn":"c","ts":9223372037,"data":""}`, "number of seconds"},
		{JSONL, `{"t":"recv","conn":"c","ts":1,"data":"\ud800"}`, "not Unicode"},
		{JSONL, "{\"t\":\"recv\",\"conn\":\"c\",\"ts\":1,\"data\":\"\xff\"}", "not Unicode"},
		{JSONL, `{"t":"http","conn":"c","ts":1,"url":"` + strings.Repeat("u", maxURL+1) + `","data":""}`, "bounds"},
		{NDJSON, `{"a":`, "not JSON"},
	} {
		in := good + "\n" + tt.line + "\n" + good
		frames, _, err := imported(t, strings.NewReader(in), tt.format, "p", "f", ImportOptions{})
		var bad *LineError
		if !errors.As(err, &bad) || bad.Line != 2 || !strings.Contains(err.Error(), "line 2: ") || !strings.Contains(bad.Reason, tt.reason) {
			t.Errorf("%.60s: error %v, want line 2: …%s…", tt.line, err, tt.reason)
		}
		if len(frames) != 2 {
			t.Errorf("%.60s: %d frames before it, want Up and Data", tt.line, len(frames))
		}
		frames, stats, err := imported(t, strings.NewReader(in), tt.format, "p", "f", ImportOptions{SkipMalformed: true})
		if err != nil || stats.Malformed != 1 || len(frames) != 3 || stats.Lines != 3 {
			t.Errorf("%.60s: skipping: %v, %d frames, %+v", tt.line, err, len(frames), stats)
		}
	}
	w, err := NewWriter(io.Discard, testHeader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ format, feed, in, reason string }{
		{"csv", "f", good, "unknown format"},
		{NDJSON, "", good, "no feed name"},
		{JSONL, "", `{"t":"connect","ts":1}`, "no connection"},
		{JSONL, "f", string(encode(t, nil, nil)), "a capture already"},
		{JSONL, "f", "\x28\xb5\x2f\xfd\x04\x00", "line 1: "},
	} {
		if _, err := Import(strings.NewReader(tt.in), tt.format, "p", tt.feed, w, ImportOptions{}); err == nil || !strings.Contains(err.Error(), tt.reason) {
			t.Errorf("error %v, want …%s…", err, tt.reason)
		}
	}
}

// An untouched replacement character is text like any other.
func TestImportKeepsReplacementCharacter(t *testing.T) {
	frames, _, err := imported(t, strings.NewReader(`{"t":"recv","conn":"c","ts":1,"data":"\uFFFD"}`), JSONL, "p", "", ImportOptions{})
	if err != nil || string(frames[1].Payload) != "\uFFFD" {
		t.Errorf("%v, %v", frames, err)
	}
}

// TestImportRecordings imports every recording, of whatever provider, and
// counts what must come out by other means.
func TestImportRecordings(t *testing.T) {
	data := recordings(t)
	files, err := filepath.Glob(filepath.Join(data, "*", "*jsonl*"))
	if err != nil {
		t.Fatal(err)
	}
	more, _ := filepath.Glob(filepath.Join(data, "*", "*ndjson*"))
	if files = append(files, more...); len(files) < 10 {
		t.Fatalf("only %d recordings in %s", len(files), data)
	}
	for _, path := range files {
		provider := filepath.Base(filepath.Dir(path))
		t.Run(provider+"/"+filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			format := JSONL
			// Polygon's collected examples have lines of no recording's form.
			if strings.Contains(path, "ndjson") || provider == "polygon" {
				format = NDJSON
			}
			lines := recordedLines(t, path)
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			frames, stats, err := imported(t, f, format, provider, provider, ImportOptions{})
			if err != nil {
				t.Fatal(err)
			}
			checkImport(t, format, lines, frames, stats)
			if first := stats.First; first < firstSecond*1e9 && provider != "polygon" {
				t.Errorf("the first frame is at %d", first)
			}
			if format == NDJSON || strings.Contains(path, "DERIVED") {
				for i := 1; i < len(frames); i++ {
					if frames[i].Received < frames[i-1].Received {
						t.Fatalf("time goes back at frame %d", i)
					}
				}
			}
		})
	}
}

// checkImport compares an import with the lines it came from.
func checkImport(t *testing.T, format string, lines [][]byte, frames []feeds.Frame, stats ImportStats) {
	t.Helper()
	var want, data, replies, other int
	up := map[string]bool{}
	at := 0
	expect := func(kind feeds.FrameKind, payload []byte) {
		for at < len(frames) && frames[at].Kind == feeds.Up {
			at++
		}
		if at >= len(frames) || frames[at].Kind != kind || !bytes.Equal(frames[at].Payload, payload) {
			t.Fatalf("frame %d is not %v %.80q", at, kind, payload)
		}
		at++
	}
	for _, line := range lines {
		if format == NDJSON {
			expect(feeds.Data, line)
			up[""] = true
			data++
			continue
		}
		var rec map[string]any
		if err := json.Unmarshal(line, &rec); err != nil {
			t.Fatal(err)
		}
		text, _ := rec["data"].(string)
		switch rec["t"] {
		case "recv":
			expect(feeds.Data, []byte(text))
			data++
			up[fmt.Sprint(rec["conn"])] = true
		case "http":
			expect(feeds.Reply, []byte(text))
			replies++
		case "connect":
			up[fmt.Sprint(rec["conn"])] = true
		default:
			other++
		}
	}
	want = data + replies + len(up)
	if len(frames) != want || stats.Frames != uint64(want) || stats.Data != uint64(data) || stats.Replies != uint64(replies) ||
		stats.Ups != uint64(len(up)) || stats.Headers+stats.Sends+stats.Notes != uint64(other) || stats.Lines != uint64(len(lines)) {
		t.Errorf("%d frames, stats %+v; want %d: %d data, %d replies, %d ups of %d lines", len(frames), stats, want, data, replies, len(up), len(lines))
	}
	t.Logf("%d frames, %d untimed, over %.3f s", want, stats.Untimed, float64(stats.Last-stats.First)/1e9)
}

// recordings returns the folder of recordings beside the repository.
func recordings(t testing.TB) string {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if root == filepath.Dir(root) {
			t.Fatal("no go.mod above the test")
		}
		root = filepath.Dir(root)
	}
	data := filepath.Join(root, "..", "shared", "data")
	if _, err := os.Stat(data); err != nil {
		t.Skip("the recordings (../shared/data beside the repository) are not there")
	}
	return data
}

func recordedLines(t testing.TB, path string) (lines [][]byte) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(path, ".zst") {
		dec, err := zstd.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		defer dec.Close()
		in = dec
	}
	s := bufio.NewScanner(in)
	s.Buffer(nil, 64<<20)
	for s.Scan() {
		lines = append(lines, bytes.Clone(s.Bytes()))
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// FuzzImport: whatever the input, what is written is a sound capture.
func FuzzImport(f *testing.F) {
	f.Add([]byte(`{"t":"recv","conn":"X.1","ts":1633998512.0633569,"data":"\"x\u00e9"}`+"\n"+`{"t":"connect","conn":"c","ts":null}`), true, true)
	f.Add([]byte(`{"channel":"book","data":[{"timestamp":"2026-07-07T23:00:00.250Z","x":"\""}]}`), false, false)
	f.Add([]byte(`{"E":1783465157897,"t":1,"time":"1783465157","ts":17834651578970000}`), false, true)
	f.Fuzz(func(t *testing.T, in []byte, jsonl, skip bool) {
		format := NDJSON
		if jsonl {
			format = JSONL
		}
		frames, stats, err := imported(t, bytes.NewReader(in), format, "p", "f", ImportOptions{SkipMalformed: skip})
		var bad *LineError
		if skip && errors.As(err, &bad) {
			t.Fatal(err)
		}
		for _, f := range frames {
			if f.Received < 0 || f.Received < stats.First || f.Received > stats.Last {
				t.Fatalf("%s outside %+v", show(f), stats)
			}
		}
	})
}
