package capture

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/quotewire/quotewire/feeds"
)

// record is a line of a JSONL recording.
type record struct {
	T    string          `json:"t"`
	Conn string          `json:"conn"`
	TS   json.RawMessage `json:"ts"`
	Data *string         `json:"data"`
	B64  *string         `json:"b64"`
	URL  string          `json:"url"`
	Addr string          `json:"addr"`
}

func (m *importer) jsonl(line []byte) error {
	var rec record
	if err := json.Unmarshal(line, &rec); err != nil {
		return m.malformed("not a record: %v", err)
	}
	switch rec.T {
	case "header":
		m.stats.Headers++
		return nil
	case "send":
		m.stats.Sends++
		return nil
	case "note":
		m.stats.Notes++
		return nil
	case "connect", "recv", "http":
	case "":
		return m.malformed(`the record has no type "t"`)
	default:
		return m.malformed("unknown record type %.40q", rec.T)
	}
	f := feeds.Frame{Feed: rec.Conn}
	if f.Feed == "" {
		f.Feed = m.feed
	}
	if m.opts.FeedName != nil {
		f.Feed = m.opts.FeedName(f.Feed)
	}
	if f.Feed == "" {
		return m.malformed(`the record has no connection "conn"`)
	}
	if rec.T != "connect" {
		if reason := rec.payload(line, &f); reason != "" {
			return m.malformed("%s", reason)
		}
	}
	timed := false
	if ts := rec.TS; len(ts) > 0 && string(ts) != "null" {
		var ok bool
		if f.Received, ok = unixSeconds(ts); !ok {
			return m.malformed(`"ts" is no number of seconds since 1970: %.40s`, ts)
		}
		timed = true
	} else if t, ok := venueTime(f.Payload, m.names); ok {
		f.Received, timed = t, true
		if m.timed {
			f.Received = max(t, m.last)
		}
	}
	switch rec.T {
	case "connect":
		again := m.open[rec.Conn]
		m.open[rec.Conn] = true
		if m.up[f.Feed] && !again {
			// One more connection of a feed that is up: nothing of it was lost.
			m.stats.Joined++
			return nil
		}
		if m.up[f.Feed] {
			down := f
			down.Kind, down.Payload = feeds.Down, []byte("connected anew; the recording does not tell when the connection before was lost")
			if err := m.write(down, timed); err != nil {
				return err
			}
		}
		m.up[f.Feed] = true
		f.Kind, f.URL = feeds.Up, rec.Addr
	case "http":
		f.Kind, f.URL = feeds.Reply, rec.URL
	default:
		m.open[rec.Conn] = true
		if err := m.connected(f.Feed, f.Received, timed); err != nil {
			return err
		}
	}
	return m.write(f, timed)
}

// payload sets f's payload exactly as it came, or returns what is wrong.
func (r *record) payload(line []byte, f *feeds.Frame) (reason string) {
	switch {
	case r.Data != nil && r.B64 != nil:
		return `the record has both "data" and "b64"`
	case r.B64 != nil:
		b, err := base64.StdEncoding.DecodeString(*r.B64)
		if err != nil {
			return `"b64" is no base64: ` + err.Error()
		}
		f.Payload, f.Binary = b, true
	case r.Data != nil:
		// encoding/json puts U+FFFD in place of what is no Unicode, silently.
		if strings.ContainsRune(*r.Data, utf8.RuneError) && (!utf8.Valid(line) ||
			!bytes.Contains(line, []byte("\uFFFD")) && !bytes.Contains(bytes.ToLower(line), []byte(`\ufffd`))) {
			return `"data" is not Unicode text`
		}
		f.Payload = []byte(*r.Data)
	default:
		return `the record has neither "data" nor "b64"`
	}
	return ""
}

func (m *importer) ndjson(line []byte) error {
	if m.feed == "" {
		return m.malformed("no feed name was given")
	}
	if !json.Valid(line) {
		return m.malformed("not JSON: %.60q", line)
	}
	f := feeds.Frame{Feed: m.feed, Payload: line}
	t, timed := venueTime(line, m.names)
	if f.Received = t; m.timed {
		f.Received = max(t, m.last)
	}
	if err := m.connected(f.Feed, f.Received, timed); err != nil {
		return err
	}
	return m.write(f, timed)
}

// unixSeconds reads a JSON number of seconds to the nanosecond, from its
// digits. Digits beyond the ninth behind the point are below the resolution of
// a frame's time and are cut off.
func unixSeconds(b []byte) (ns int64, ok bool) {
	whole, frac, _ := bytes.Cut(b, []byte("."))
	if len(whole) == 0 || len(whole) > 10 {
		return 0, false
	}
	for _, c := range whole {
		if c < '0' || c > '9' {
			return 0, false
		}
		ns = ns*10 + int64(c-'0')
	}
	if ns >= math.MaxInt64/1_000_000_000 {
		return 0, false
	}
	for i := range max(9, len(frac)) {
		c := byte('0')
		if i < len(frac) {
			c = frac[i]
		}
		if c < '0' || c > '9' {
			return 0, false
		}
		if i < 9 {
			ns = ns*10 + int64(c-'0')
		}
	}
	return ns, true
}
