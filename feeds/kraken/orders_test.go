package kraken

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/feedtest"
)

const (
	testKey    = "key-5d41402a"
	testSecret = "c2VjcmV0LWI5NzE5ZDkx" // base64 of secret-b9719d91
)

func ordersConfig(url string) Config {
	return Config{URL: url, Symbols: []string{"BTC/USD"}, Orders: true, Credentials: Credentials{testKey, testSecret}}
}

// What Kraken answers instead of a token says whether the key is to blame, which
// ends all haste, and how long Kraken wants to hear nothing.
func TestTokenRefusals(t *testing.T) {
	for _, tt := range []struct {
		name, retryAfter string
		code             int
		body             string
		cause            feeds.DisconnectCause
		wait             time.Duration
	}{
		{"key", "", 200, `{"error":["EAPI:Invalid key"]}`, feeds.CauseRefused, 0},
		{"signature", "", 200, `{"error":["EAPI:Invalid signature"]}`, feeds.CauseRefused, 0},
		{"permission", "", 200, `{"error":["EGeneral:Permission denied"]}`, feeds.CauseRefused, 0},
		{"arguments", "", 200, `{"error":["EGeneral:Invalid arguments"]}`, feeds.CauseRefused, 0},
		{"second of two", "", 200, `{"error":["EService:Busy","EAPI:Invalid key"]}`, feeds.CauseRefused, 0},
		{"rate", "", 200, `{"error":["EAPI:Rate limit exceeded"]}`, feeds.CauseLost, 0},
		{"busy", "", 200, `{"error":["EService:Unavailable"]}`, feeds.CauseLost, 0},
		{"no token", "", 200, `{"error":[],"result":{}}`, feeds.CauseLost, 0},
		{"no JSON", "", 200, `<html>`, feeds.CauseProtocol, 0},
		{"forbidden", "", 403, ``, feeds.CauseRefused, 0},
		{"too many requests", "120", 429, ``, feeds.CauseLost, 2 * time.Minute},
		{"unavailable", "30", 503, ``, feeds.CauseLost, 30 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if tt.retryAfter != "" {
					w.Header().Set("Retry-After", tt.retryAfter)
				}
				w.WriteHeader(tt.code)
				fmt.Fprint(w, tt.body)
			}))
			defer s.Close()
			c, err := New(ordersConfig("ws" + strings.TrimPrefix(s.URL, "http")))
			if err != nil {
				t.Fatal(err)
			}
			defer c.rest.CloseIdle()
			_, err = c.Connect(t.Context(), &feeds.Attempt{})
			d, ok := errors.AsType[*feeds.DisconnectError](err)
			if !ok || d.Cause != tt.cause || d.RetryAfter != tt.wait {
				t.Errorf("got %v (%+v), want %s after %v", err, d, tt.cause, tt.wait)
			}
		})
	}
}

// Kraken refuses a nonce that is not larger than the last, whatever a clock does.
func TestNonceGrows(t *testing.T) {
	var c Connector
	now := time.Unix(1700000000, 0)
	last := int64(0)
	for _, at := range []time.Time{now, now, now.Add(-time.Hour), now.Add(1), now.Add(time.Second)} {
		n := c.nonce(at)
		if n <= last {
			t.Errorf("%d follows %d", n, last)
		}
		last = n
	}
	if last != now.Add(time.Second).UnixNano() {
		t.Errorf("the last is %d, not the time", last)
	}
}

func TestCredentialsAreHidden(t *testing.T) {
	config := ordersConfig("ws://127.0.0.1:9")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, v := range []any{config, config.Credentials, &config.Credentials} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, testKey) || strings.Contains(text, testSecret) {
				t.Errorf("%s of %T shows credentials: %s", verb, v, text)
			}
		}
	}
	config.Credentials.Secret = "hunter2!"
	if err := config.Validate(); err == nil || strings.Contains(err.Error(), "hunter") {
		t.Errorf("a bad secret gives %v", err)
	}
	if got := (Credentials{}).String(); got != "none" {
		t.Errorf("no credentials are %q", got)
	}
}

// A second has 200 for subscriptions of orders, whose costs are 5, 25 and 100 a
// symbol by depth ("Subscription limits"). Each says its depth and the token, and
// so does what a resync takes back.
func TestOrdersKeepToTheirLimit(t *testing.T) {
	for depth, cost := range map[int]int{10: 5, 100: 25, 1000: 100} {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := feedtest.NewPipe()
				type sent struct {
					second int
					request
				}
				requests := make(chan sent, 1000)
				began := time.Now()
				mux := http.NewServeMux()
				mux.HandleFunc(tokenPath, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"error":[],"result":{"token":"T"}}`) })
				mux.HandleFunc("/v2", func(w http.ResponseWriter, r *http.Request) {
					ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
					if err != nil {
						return
					}
					defer func() { _ = ws.Close() }()
					_ = ws.WriteMessage(websocket.TextMessage, []byte(`{"channel":"status","type":"update","data":[]}`))
					for {
						_, b, err := ws.ReadMessage()
						if err != nil {
							return
						}
						s := sent{second: int(time.Since(began) / time.Second)}
						if json.Unmarshal(b, &s.request) == nil && s.Params.Channel == "level3" {
							requests <- s
						}
					}
				})
				hs := &http.Server{Handler: mux}
				served := make(chan struct{})
				go func() { defer close(served); _ = hs.Serve(p) }()
				config := ordersConfig("ws://x/v2")
				config.Depth, config.NetDial = depth, p.Dial
				config.Symbols = nil
				const symbols = 100
				for i := range symbols {
					config.Symbols = append(config.Symbols, fmt.Sprintf("A%03d/USD", i))
				}
				c, err := New(config)
				if err != nil {
					t.Fatal(err)
				}
				conn, err := c.Connect(t.Context(), &feeds.Attempt{})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if err := conn.(interface{ Resync(string) error }).Resync("A007/USD"); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				conn.Close()
				_ = p.Close()
				_ = hs.Close()
				<-served
				close(requests)
				spent, seen := map[int]int{}, map[string]int{}
				for r := range requests {
					if r.Params.Depth != depth || r.Params.Token != "T" {
						t.Errorf("%s with depth %d and token %q", r.Method, r.Params.Depth, r.Params.Token)
					}
					for _, s := range r.Params.Symbol {
						seen[r.Method+" "+s]++
					}
					if r.Method == "subscribe" {
						spent[r.second] += cost * len(r.Params.Symbol)
					}
				}
				for second, n := range spent {
					if n > 200 {
						t.Errorf("%d spent in second %d", n, second)
					}
				}
				if len(seen) != symbols+1 || seen["unsubscribe A007/USD"] != 1 || seen["subscribe A007/USD"] != 2 || seen["subscribe A099/USD"] != 1 {
					t.Errorf("requests %v", seen)
				}
			})
		})
	}
}
