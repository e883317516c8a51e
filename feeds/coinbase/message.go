package coinbase

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// request is what we send.
type request struct {
	Type       string   `json:"type"`
	ProductIDs []string `json:"product_ids,omitempty"`
	Channels   []string `json:"channels"`
	Key        string   `json:"key,omitempty"`
	Passphrase string   `json:"passphrase,omitempty"`
	Timestamp  string   `json:"timestamp,omitempty"`
	Signature  string   `json:"signature,omitempty"`
}

// sign adds the credentials to r as
// https://docs.cdp.coinbase.com/exchange/websocket-feed/authentication says:
// base64(HMAC-SHA256(secret, timestamp + "GET" + "/users/self/verify")), the
// time in seconds.
func (r *request) sign(c Credentials, now time.Time) error {
	if c == (Credentials{}) {
		return nil
	}
	at := strconv.FormatInt(now.Unix(), 10)
	signature, err := c.signature(at + "GET/users/self/verify")
	if err != nil {
		return err
	}
	r.Key, r.Passphrase, r.Timestamp, r.Signature = c.Key, c.Passphrase, at, signature
	return nil
}

var errSecret = errors.New("the secret is not base64")

// refusal is an error message of Coinbase.
type refusal struct {
	Message string `json:"message"`
	Reason  string `json:"reason"`
}

// maxRefusal is more than an error message ever has. Longer messages are data.
const maxRefusal = 4 << 10

// readRefusal returns the error that a message reports, false if it reports
// none. For data it costs a look at the first bytes.
func readRefusal(payload []byte) (refusal, bool) {
	if len(payload) > maxRefusal || !bytes.Contains(payload[:min(len(payload), 256)], []byte(`"error"`)) {
		return refusal{}, false
	}
	var m struct {
		Type string `json:"type"`
		refusal
	}
	if json.Unmarshal(payload, &m) != nil || m.Type != "error" {
		return refusal{}, false
	}
	return m.refusal, true
}

func (r refusal) String() string {
	if r.Reason == "" {
		return r.Message
	}
	return r.Message + ": " + r.Reason
}

// isAuth reports whether our credentials were refused. Coinbase has no code
// for it, only text ("Authentication Failed").
func (r refusal) isAuth() bool {
	return strings.Contains(strings.ToLower(r.Message+" "+r.Reason), "authenticat")
}

// product returns which of our products is named, "" for none.
func (r refusal) product(products []string) string {
	word, _, _ := strings.Cut(r.Reason, " ")
	for _, p := range products {
		if strings.EqualFold(word, p) {
			return p
		}
	}
	return ""
}
