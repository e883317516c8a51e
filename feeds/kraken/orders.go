package kraken

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

// The level3 channel is on an endpoint of its own and wants a token, which a signed
// request over REST gives
// (https://docs.kraken.com/api/docs/websocket-v2/level3).

// The endpoints of level3.
const (
	DefaultOrdersURL = "wss://ws-l3.kraken.com/v2"
	DefaultRESTURL   = "https://api.kraken.com"
)

// tokenPath is where tokens are had. One has to be used within 15 minutes.
const tokenPath = "/0/private/GetWebSocketsToken"

// A subscription of a symbol costs so much by its depth, of the 200 that a second
// has for it ("Subscription limits"). A little is left for resyncs.
var orderCost = map[int]int{10: 5, 100: 25, 1000: 100}

const ordersPerSecond = 150

// orderDepths are those that level3 offers.
var orderDepths = []int{10, 100, 1000}

// Credentials are an API key of Kraken, which needs no other permission than the
// one for WebSocket tokens. They are never logged.
type Credentials struct {
	Key    string
	Secret string // base64, as Kraken gives it
}

// String hides the credentials from logs and error messages.
func (c Credentials) String() string {
	if c == (Credentials{}) {
		return "none"
	}
	return "hidden"
}

// GoString hides the credentials from %#v.
func (c Credentials) GoString() string { return "kraken.Credentials(" + c.String() + ")" }

func (c Credentials) validate() error {
	switch {
	case c.Key == "" || c.Secret == "":
		return errors.New("orders need credentials: a key and a secret")
	default:
		if _, err := base64.StdEncoding.DecodeString(c.Secret); err != nil {
			return errors.New("the secret is not base64") // err would show a part of it
		}
	}
	return nil
}

// sign returns a request for a token, signed as
// https://docs.kraken.com/api/docs/guides/spot-rest-auth says: base64 of the
// HMAC-SHA512, under the secret, of the path and SHA256(nonce + body).
func (c Credentials) sign(ctx context.Context, base string, nonce int64) (*http.Request, error) {
	text := strconv.FormatInt(nonce, 10)
	body := url.Values{"nonce": {text}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+tokenPath, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	secret, err := base64.StdEncoding.DecodeString(c.Secret)
	if err != nil {
		return nil, errors.New("the secret is not base64")
	}
	hash := sha256.Sum256([]byte(text + body))
	mac := hmac.New(sha512.New, secret)
	mac.Write([]byte(tokenPath))
	mac.Write(hash[:])
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("API-Key", c.Key)
	req.Header.Set("API-Sign", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return req, nil
}

// token asks for a token. A key that Kraken refuses ends the attempt with
// CauseRefused.
func (c *Connector) token(ctx context.Context) (string, error) {
	body, err := c.rest.Do(ctx, 1, func(ctx context.Context) (*http.Request, error) {
		return c.config.Credentials.sign(ctx, c.config.RESTURL, c.nonce(time.Now()))
	})
	if err != nil {
		d := &feeds.DisconnectError{Cause: feeds.CauseLost, Err: fmt.Errorf("fetch a token: %w", err)}
		if status, ok := errors.AsType[*feeds.StatusError](err); ok {
			d.RetryAfter = status.RetryAfter
			if status.Final() {
				d.Cause = feeds.CauseRefused
			}
		}
		return "", d
	}
	var answer struct {
		Error  []string
		Result struct{ Token string }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", &feeds.DisconnectError{Cause: feeds.CauseProtocol, Err: errors.New("fetch a token: the answer is not JSON")}
	}
	if len(answer.Error) > 0 || answer.Result.Token == "" {
		cause := feeds.CauseLost
		if slices.ContainsFunc(answer.Error, func(e string) bool {
			return strings.HasPrefix(e, "EAPI:Invalid") || strings.HasPrefix(e, "EGeneral:Permission") || strings.HasPrefix(e, "EGeneral:Invalid")
		}) {
			cause = feeds.CauseRefused
		}
		return "", &feeds.DisconnectError{Cause: cause, Err: fmt.Errorf("fetch a token: %q", answer.Error)}
	}
	return answer.Result.Token, nil
}

// nonce returns a number that is larger than all before it.
func (c *Connector) nonce(now time.Time) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastNonce = max(c.lastNonce+1, now.UnixNano())
	return c.lastNonce
}

// subscribeOrders sends the subscriptions of level3, not faster than is allowed.
func (c *connection) subscribeOrders(ctx context.Context) {
	portion := max(ordersPerSecond/orderCost[c.config.Depth], 1)
	for part := range slices.Chunk(c.config.Symbols, portion) {
		if c.ws.WriteJSON(c.bookSubscription(part)) != nil {
			return // the connection is over, and whoever reads it will see that
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}
