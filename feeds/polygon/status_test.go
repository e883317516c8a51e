package polygon

import "testing"

func TestStatuses(t *testing.T) {
	for _, tt := range []struct {
		frame string
		want  []status
	}{
		{`[{"ev":"T","sym":"A","p":1}]`, nil},
		{`[{"ev":"T","sym":"A"},{"ev":"status","status":"error","message":"m"}]`, []status{{"status", "error", "m"}}},
		{`[{"ev": "status", "status": "connected"}, {"ev":"status","status":"auth_success"}]`, []status{{"status", "connected", ""}, {"status", "auth_success", ""}}},
		{`[{"ev":"T","sym":"A","i":"status"}]`, nil},
		{`[{"ev":"status"`, nil},
		{`{"ev":"status","status":"error"}`, nil}, // the protocol has arrays only
		{``, nil},
	} {
		got := statuses([]byte(tt.frame))
		if len(got) != len(tt.want) {
			t.Errorf("%s: got %v", tt.frame, got)
			continue
		}
		for i := range got {
			if got[i] != tt.want[i] {
				t.Errorf("%s: got %v, want %v", tt.frame, got[i], tt.want[i])
			}
		}
	}
}

func TestDataIsInspectedWithoutAllocation(t *testing.T) {
	frame := []byte(`[{"ev":"T","sym":"MSFT","x":11,"i":"88213","z":3,"p":412.08,"s":50,"t":1764599400123,"q":3681328}]`)
	if n := testing.AllocsPerRun(100, func() { statuses(frame) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzStatuses(f *testing.F) {
	f.Add([]byte(`[{"ev":"status","status":"connected","message":"m"},{"ev":"T"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range statuses(b) {
			if s.Ev != "status" {
				t.Errorf("%q is no status", s.Ev)
			}
		}
	})
}
