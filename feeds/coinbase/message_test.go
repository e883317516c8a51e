package coinbase

import (
	"encoding/json"
	"testing"
	"time"
)

// The signature was computed with
// printf '1700000000GET/users/self/verify' | openssl dgst -sha256 -hmac SECRET -binary | base64
func TestSign(t *testing.T) {
	r := request{Type: "subscribe", ProductIDs: []string{"BTC-USD"}, Channels: []string{"level2"}}
	err := r.sign(Credentials{Key: "k", Passphrase: "p", Secret: "U0VDUkVU"}, time.Unix(1700000000, 0))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"subscribe","product_ids":["BTC-USD"],"channels":["level2"],"key":"k","passphrase":"p","timestamp":"1700000000","signature":"yLXe4pYye8dUwkwJKgvSq2Mufwu5iC5yyqdTRItP8wo="}`
	if b, _ := json.Marshal(r); string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

func TestUnsignedRequest(t *testing.T) {
	r := request{Type: "unsubscribe", ProductIDs: []string{"BTC-USD"}, Channels: []string{"level2_batch"}}
	if err := r.sign(Credentials{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	want := `{"type":"unsubscribe","product_ids":["BTC-USD"],"channels":["level2_batch"]}`
	if b, _ := json.Marshal(r); string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

func TestBookChannelFollowsCredentials(t *testing.T) {
	if got := (Config{}).withDefaults().book(); got != Level2Batch {
		t.Errorf("without credentials %q", got)
	}
	if got := (Config{Credentials: Credentials{Key: "k"}}).withDefaults().book(); got != Level2 {
		t.Errorf("with credentials %q", got)
	}
}

func TestReadRefusal(t *testing.T) {
	products := []string{"BTC-USD", "ETH-USD"}
	for _, tt := range []struct {
		payload, text, product string
		auth                   bool
	}{
		{`{"type":"error","message":"Failed to subscribe","reason":"ETH-USD is not a valid product"}`, "Failed to subscribe: ETH-USD is not a valid product", "ETH-USD", false},
		{`{"type":"error","message":"Failed to subscribe","reason":"XXX-USD is not a valid product"}`, "Failed to subscribe: XXX-USD is not a valid product", "", false},
		{`{"type":"error","message":"Authentication Failed"}`, "Authentication Failed", "", true},
		{`{"type":"l2update","product_id":"BTC-USD","changes":[["buy","1","2"]]}`, "", "", false},
		{`{"type":"status","message":"error"}`, "", "", false},
		{`{"type":"error"`, "", "", false},
		{``, "", "", false},
	} {
		r, ok := readRefusal([]byte(tt.payload))
		if ok != (tt.text != "") || ok && (r.String() != tt.text || r.product(products) != tt.product || r.isAuth() != tt.auth) {
			t.Errorf("%s: got %q, product %q, auth %v", tt.payload, r, r.product(products), r.isAuth())
		}
	}
}

func TestDataIsInspectedWithoutAllocation(t *testing.T) {
	payload := []byte(`{"type":"l2update","product_id":"BTC-USD","changes":[["buy","1","2"]]}`)
	if n := testing.AllocsPerRun(100, func() { readRefusal(payload) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzReadRefusal(f *testing.F) {
	f.Add([]byte(`{"type":"error","message":"Failed to subscribe","reason":"ETH-USD is not a valid product"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, ok := readRefusal(b); ok {
			_, _, _ = r.String(), r.isAuth(), r.product([]string{"ETH-USD"})
		}
	})
}
