package market

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestOrderID(t *testing.T) {
	for _, text := range []string{
		"d50ec984-77a8-460a-b958-66f114b0de9b", "ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-8000-000000000000",
		"O6ZQNQ-BXL4E-5WGINO", "1950000000000001", "0", "00", "-", "ZZZZZZZZZZZZZZZZZZZZZZZZ", "------------------------",
	} {
		id, ok := ParseOrderID(text)
		if !ok || id.IsZero() || id.String() != text {
			t.Errorf("%q became %q, %v", text, id, ok)
		}
		if same, _ := ParseOrderID([]byte(text)); same != id || same.Hash() != id.Hash() {
			t.Errorf("%q is not %q", same, id)
		}
	}
	for _, text := range []string{
		"", "o6zqnq-bxl4e-5wgino", "A_B", "é", strings.Repeat("A", 25),
		"d50ec984-77a8-460a-3958-66f114b0de9b", // no variant bit
		"D50EC984-77A8-460A-B958-66F114B0DE9B", // would come back in lower case
		"d50ec984+77a8-460a-b958-66f114b0de9b", "d50ec98g-77a8-460a-b958-66f114b0de9b",
	} {
		if id, ok := ParseOrderID(text); ok {
			t.Errorf("%q was taken, as %q", text, id)
		}
	}
}

// TestOrderIDKeepsText: two texts that fit are never the same identifier.
func TestOrderIDKeepsText(t *testing.T) {
	text := rapid.OneOf(
		rapid.StringMatching(`[0-9A-Z-]{1,24}`),
		rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[89a-f][0-9a-f]{3}-[0-9a-f]{12}`))
	rapid.Check(t, func(t *rapid.T) {
		s := text.Draw(t, "text")
		if id, ok := ParseOrderID(s); !ok || id.String() != s {
			t.Fatalf("%q became %q, %v", s, id, ok)
		}
	})
}

func BenchmarkParseOrderID(b *testing.B) {
	for name, text := range map[string]string{"uuid": "d50ec984-77a8-460a-b958-66f114b0de9b", "kraken": "O6ZQNQ-BXL4E-5WGINO"} {
		s := []byte(text)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := ParseOrderID(s); !ok {
					b.Fatal("refused")
				}
			}
		})
	}
}
