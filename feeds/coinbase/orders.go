package coinbase

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

// orders is what a connection with the full channel has beside: the stream tells
// changes only, and each book begins with an answer over REST. Its zero value is for
// one without.
type orders struct {
	snapshots *feeds.Snapshots
	asked     map[string]bool // since they are in the listing
	cancel    context.CancelFunc
	running   sync.WaitGroup
}

// begin makes ready to ask for books, if the channel is to be subscribed.
func (o *orders) begin(ctx context.Context, a *feeds.Attempt, c *Connector) {
	if c.rest == nil {
		return
	}
	snapshots := &feeds.Snapshots{REST: c.rest, Attempt: a, Weight: 1,
		URL: func(product string) string {
			return c.config.RESTURL + "/products/" + url.PathEscape(product) + "/book?level=3"
		},
		Sign: func(r *http.Request) error { return c.config.Credentials.signRequest(r, time.Now()) },
	}
	o.snapshots, o.asked = snapshots, map[string]bool{}
	ctx, o.cancel = context.WithCancel(ctx)
	o.running.Go(func() { snapshots.Run(ctx) })
}

func (o *orders) stop() {
	if o.cancel != nil {
		o.cancel()
	}
}

func (o *orders) wait() {
	o.running.Wait()
	if o.snapshots != nil {
		o.snapshots.REST.CloseIdle()
	}
}

// inspect asks for the book of each product once its stream is acknowledged, so
// that the stream reaches back to before the answer
// (https://docs.cdp.coinbase.com/exchange/websocket-feed/channels, "Full channel").
func (o *orders) inspect(payload []byte) {
	if o.snapshots == nil || !bytes.Contains(payload[:min(len(payload), 256)], []byte(`"subscriptions"`)) {
		return
	}
	var m struct {
		Type     string
		Channels []struct {
			Name     string
			Products []string `json:"product_ids"`
		}
	}
	if json.Unmarshal(payload, &m) != nil || m.Type != "subscriptions" {
		return
	}
	var listed []string
	for _, ch := range m.Channels {
		if ch.Name == Full {
			listed = append(listed, ch.Products...)
		}
	}
	for product := range o.asked {
		if !slices.Contains(listed, product) {
			delete(o.asked, product)
		}
	}
	for _, product := range listed {
		if !o.asked[product] {
			o.asked[product] = true
			_ = o.snapshots.Ask(product) // fails when the connection has ended
		}
	}
}

// signRequest signs a request over REST
// (https://docs.cdp.coinbase.com/exchange/rest-api/authentication): the time in
// seconds, the method and the path with its query.
func (c Credentials) signRequest(r *http.Request, now time.Time) error {
	at := strconv.FormatInt(now.Unix(), 10)
	signature, err := c.signature(at + r.Method + r.URL.RequestURI())
	if err != nil {
		return err
	}
	r.Header.Set("CB-ACCESS-KEY", c.Key)
	r.Header.Set("CB-ACCESS-SIGN", signature)
	r.Header.Set("CB-ACCESS-TIMESTAMP", at)
	r.Header.Set("CB-ACCESS-PASSPHRASE", c.Passphrase)
	return nil
}

// signature is base64(HMAC-SHA256(secret, text)).
func (c Credentials) signature(text string) (string, error) {
	secret, err := base64.StdEncoding.DecodeString(c.Secret)
	if err != nil {
		return "", errSecret // err would show a part of it
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}
