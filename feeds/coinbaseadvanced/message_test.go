package coinbaseadvanced

import "testing"

func TestReadRefusal(t *testing.T) {
	products := []string{"BTC-USD", "ETH-USD"}
	for _, tt := range []struct {
		payload, text, product string
		auth                   bool
	}{
		{`{"type":"error","message":"ETH-USD is not a valid product"}`, "ETH-USD is not a valid product", "ETH-USD", false},
		{`{"type":"error","message":"invalid product: btc-usd."}`, "invalid product: btc-usd.", "BTC-USD", false},
		{`{"type":"error","message":"XXX-USD is not a valid product"}`, "XXX-USD is not a valid product", "", false},
		{`{"type":"error","message":"authentication failure"}`, "authentication failure", "", true},
		{`{"channel":"l2_data","events":[]}`, "", "", false},
		{`{"channel":"status","message":"error"}`, "", "", false},
		{`{"type":"error"`, "", "", false},
		{``, "", "", false},
	} {
		text, ok := readRefusal([]byte(tt.payload))
		if ok != (tt.text != "") || text != tt.text || ok && (named(text, products) != tt.product || isAuth(text) != tt.auth) {
			t.Errorf("%s: got %q, product %q, auth %v", tt.payload, text, named(text, products), isAuth(text))
		}
	}
}

func TestDataIsInspectedWithoutAllocation(t *testing.T) {
	payload := []byte(`{"channel":"l2_data","client_id":"","timestamp":"2023-02-09T20:32:50.7Z","sequence_num":0,"events":[]}`)
	if n := testing.AllocsPerRun(100, func() { readRefusal(payload) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzReadRefusal(f *testing.F) {
	f.Add([]byte(`{"type":"error","message":"ETH-USD is not a valid product"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if text, ok := readRefusal(b); ok {
			_, _ = isAuth(text), named(text, []string{"ETH-USD"})
		}
	})
}
