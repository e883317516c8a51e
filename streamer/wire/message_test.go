package wire

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
)

func TestMessageFixtures(t *testing.T) {
	var messages []json.RawMessage
	readFixture(t, "messages.json", &messages)
	seen := make(map[string]bool)
	for _, raw := range messages {
		m, err := Parse(raw)
		if err != nil {
			t.Errorf("Parse(%s): %v", raw, err)
			continue
		}
		seen[m.Type()] = true
		text, err := Append(nil, m)
		if err != nil {
			t.Errorf("Append(%s): %v", raw, err)
			continue
		}
		var got, want any
		_ = json.Unmarshal(raw, &want)
		if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("encoded again: %v\n got %s\nwant %s", err, text, raw)
		}
	}
	for _, name := range []string{"welcome", "ack", "snapshot", "delta", "trade", "bar", "watermark", "gap", "status", "heartbeat", "pong", "error"} {
		if !seen[name] {
			t.Errorf("messages.json has no %s", name)
		}
	}
}

func TestParsePresence(t *testing.T) {
	m, err := Parse([]byte(`{"type":"delta","sid":15,"seq":97,"prev":96,"bid":"1.50","ask":null}`))
	if err != nil {
		t.Fatal(err)
	}
	d := m.(*Delta)
	if d.Bid != Some("1.50") || d.Ask != Null[string]() || d.AskSize.Set {
		t.Errorf("bid %+v, ask %+v, ask_size %+v", d.Bid, d.Ask, d.AskSize)
	}
	bid, ask, size := "1", "2", "3"
	d.Bid.Apply(&bid)
	d.Ask.Apply(&ask)
	d.AskSize.Apply(&size)
	if bid != "1.50" || ask != "" || size != "3" {
		t.Errorf("applied: %q %q %q", bid, ask, size)
	}
}

func TestParseTypeAnywhere(t *testing.T) {
	for _, s := range []string{`{"lag":3,"type":"heartbeat"}`, ` {"type" : "heartbeat","lag":3}`, `{"type":"heartbe\u0061t","lag":3}`} {
		m, err := Parse([]byte(s))
		if err != nil {
			t.Errorf("%s: %v", s, err)
		} else if h, ok := m.(*Heartbeat); !ok || h.Lag != 3 {
			t.Errorf("%s: %#v", s, m)
		}
	}
}

func TestParseBad(t *testing.T) {
	for _, s := range []string{"", "{", "[]", "null", `{"type":3}`, `{"type":"delta"`, `{"type":"delta","seq":"x"}`, `{"type":"new",`,
		`{"type":"snapshot","channel":"book","bids":[["1"]]}`, `{"type":"snapshot","channel":"book","bids":[[1,2]]}`,
		`{"type":"snapshot","channel":"book","bids":[["1","2",3]]}`, `{"type":"trade","events":{}}`} {
		if m, err := Parse([]byte(s)); err == nil {
			t.Errorf("Parse(%s) = %#v, want an error", s, m)
		}
	}
	if _, err := Parse([]byte(`{"sid":1}`)); !errors.Is(err, ErrNoType) {
		t.Errorf("no type: %v", err)
	}
}

func TestParseUnknown(t *testing.T) {
	b := []byte(`{"type":"new","x":1}`)
	m, err := Parse(b)
	u, ok := m.(*Unknown)
	if err != nil || !ok || u.Name != "new" {
		t.Fatalf("%#v, %v", m, err)
	}
	copy(b, "garbage.....")
	if string(u.Raw) != `{"type":"new","x":1}` {
		t.Errorf("Raw aliases the caller's buffer: %s", u.Raw)
	}
	// A channel from the future is none, not an error; the body is kept.
	m, err = Parse([]byte(`{"type":"snapshot","sid":1,"channel":"auction","seq":2}`))
	if s, ok := m.(*Snapshot); err != nil || !ok || s.Channel != ChannelNone || len(s.Raw) == 0 {
		t.Errorf("%#v, %v", m, err)
	}
}

func TestErrorIs(t *testing.T) {
	var err error = &Error{ID: "3", Code: CodeForbidden, Message: "no"}
	if !errors.Is(err, &Error{Code: CodeForbidden}) || errors.Is(err, &Error{Code: CodeRateLimited}) {
		t.Error("errors.Is does not go by the code")
	}
	if w := (&Error{RetryAfter: 1 << 60}).Wait(); w != MaxInterval {
		t.Errorf("Wait() = %v, want it bounded to %v", w, MaxInterval)
	}
	if w := (&Error{RetryAfter: -5}).Wait(); w != 0 {
		t.Errorf("Wait() = %v, want 0", w)
	}
}

func FuzzParse(f *testing.F) {
	var messages []json.RawMessage
	readFixture(f, "messages.json", &messages)
	for _, m := range messages {
		f.Add([]byte(m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		text, err := Append(nil, m)
		if err != nil || !json.Valid(text) {
			t.Fatalf("%q: encodes to %q, %v", b, text, err)
		}
		again, err := Parse(text)
		if err != nil || again.Type() != m.Type() {
			t.Fatalf("%q: encoded %q: %#v, %v", b, text, again, err)
		}
	})
}

func BenchmarkParseBookDelta(b *testing.B) {
	msg := []byte(`{"type":"delta","sid":12,"seq":1050,"prev":1042,"n":8,"ts":1764000000100000,"rx":1764000000100400,"tx":1764000000100500,"bids":[["64210.1","0"],["64209","1.2"]],"asks":[["64211","0.5"]],"crc":1}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(msg); err != nil {
			b.Fatal(err)
		}
	}
}
