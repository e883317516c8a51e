package alpaca

import (
	"reflect"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds"
)

func TestReadControl(t *testing.T) {
	for _, tt := range []struct {
		frame string
		want  control
		ok    bool
	}{
		{`[{"T":"success","msg":"connected"}]`, control{Type: "success", Message: "connected"}, true},
		{`[{"T":"error","code":406,"msg":"connection limit exceeded"}]`, control{Type: "error", Message: "connection limit exceeded", Code: 406}, true},
		{`[{"T":"subscription","trades":["AAPL"],"quotes":[]}]`, control{Type: "subscription", Lists: map[string][]string{"trades": {"AAPL"}, "quotes": {}}}, true},
		{`[{"T":"t","S":"error","i":1}]`, control{}, false},
		{`[{"T":"n","headline":"\"success\""}]`, control{}, false},
		{`[{"T":"success"`, control{}, false},
		{`[{"T":"success"},{"T":"t"}]`, control{}, false},
		{``, control{}, false},
		{"\x91\x82\xa1T\xa7success\xa3msg\xadauthenticated", control{Type: "success", Message: "authenticated"}, true},
		{"\x91\x83\xa1T\xa5error\xa4code\xcd\x01\x96\xa3msg\xa1x", control{Type: "error", Message: "x", Code: 406}, true},
		{"\x91\x83\xa1T\xacsubscription\xa6trades\x91\xa4AAPL\xa6quotes\xc0", control{Type: "subscription", Lists: map[string][]string{"trades": {"AAPL"}}}, true},
		{"\x91\x82\xa1T\xa1t\xa1S\xa5error", control{}, false}, // a stock of that name
		{"\x91\x82\xa1T\xa7success", control{}, false},
		{"\x91\x81\xa1T\xa7success\x01", control{}, false},
		{"\x92\x81\xa1T\xa7success", control{}, false},
		{"\x91\x82\xa1T\xa7success\xa1x\xdb\xff\xff\xff\xff", control{}, false},
	} {
		binary := tt.frame != "" && tt.frame[0] == 0x91 || strings.HasPrefix(tt.frame, "\x92")
		got, ok := readControl([]byte(tt.frame), binary)
		if !tt.ok {
			if ok {
				t.Errorf("%q: got %+v", tt.frame, got)
			}
			continue
		}
		if tt.want.Lists == nil {
			tt.want.Lists = map[string][]string{}
		}
		if !ok || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: got %+v %t, want %+v", tt.frame, got, ok, tt.want)
		}
	}
}

func TestErrorsByTheirNumber(t *testing.T) {
	for code, want := range map[int]feeds.DisconnectCause{
		400: "", 401: feeds.CauseLost, 402: feeds.CauseRefused, 403: "", 404: feeds.CauseLost, 405: "", 406: feeds.CauseEvicted,
		407: "", 409: feeds.CauseRefused, 410: "", 411: feeds.CauseRefused, 500: feeds.CauseLost, 499: "",
	} {
		if got := (control{Code: code}).disconnects(); got != want {
			t.Errorf("%d: %q, want %q", code, got, want)
		}
	}
}

func TestDataIsInspectedWithoutAllocation(t *testing.T) {
	text := []byte(`[{"T":"t","S":"AAPL","i":96921,"x":"D","p":272.05,"s":1,"c":["@","I"],"t":"2026-01-05T15:51:44.208123456Z","z":"C"}]`)
	if n := testing.AllocsPerRun(100, func() { readControl(text, false); readControl(text, true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestPackRequest(t *testing.T) {
	got := string(packRequest([][2]string{{"action", "subscribe"}}, map[string][]string{"trades": {"B"}, "bars": {"*"}}))
	want := "\x83\xa6action\xa9subscribe\xa4bars\xdd\x00\x00\x00\x01\xa1*\xa6trades\xdd\x00\x00\x00\x01\xa1B"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if long := packRequest([][2]string{{"secret", strings.Repeat("x", 300)}}, nil); string(long[8:11]) != "\xda\x01\x2c" {
		t.Errorf("%q", long[:12])
	}
}

func FuzzReadControl(f *testing.F) {
	f.Add([]byte(`[{"T":"subscription","trades":["AAPL"]}]`), false)
	f.Add([]byte("\x91\x83\xa1T\xacsubscription\xa6trades\x91\xa4AAPL\xa6quotes\xc0"), true)
	f.Add([]byte("\x91\x83\xa1T\xa5error\xa4code\xcd\x01\x96\xa3msg\xa1x"), true)
	f.Fuzz(func(t *testing.T, b []byte, binary bool) {
		if m, ok := readControl(b, binary); ok {
			_, _ = m.text(), m.disconnects()
		}
	})
}
