package coinbase

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
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
	secret, err := base64.StdEncoding.DecodeString(c.Secret)
	if err != nil {
		return fmt.Errorf("the secret is not base64")
	}
	r.Key, r.Passphrase = c.Key, c.Passphrase
	r.Timestamp = strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(r.Timestamp + "GET/users/self/verify"))
	r.Signature = base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return nil
}

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
