package feeds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// RESTConfig says how to ask over HTTP. A zero field means its default.
type RESTConfig struct {
	// PerMinute is how much weight may be spent in a minute, in the provider's
	// own unit, and Burst how much of it at once. Default 60 and 1.
	PerMinute, Burst int
	// Timeout bounds each request, its answer included. Default 10 s.
	Timeout time.Duration
	// MaxBody is the largest answer taken, in bytes after decompression. Default
	// 16 MiB.
	MaxBody int64
	// MaxRetryAfter bounds what the provider may ask by Retry-After. Default
	// 15 min.
	MaxRetryAfter time.Duration
	// NetDial replaces how the TCP connection is made, for tests; nil is
	// net.Dialer. Proxies come from the environment either way.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// REST asks a provider over HTTP for what its stream leaves out, never faster
// than the provider allows. One REST is shared by all connections, also those
// that follow one another: a reconnect does not start a new budget. It is safe
// for any goroutine.
type REST struct {
	config  RESTConfig
	client  http.Client
	budget  *rate.Limiter
	mu      sync.Mutex
	blocked time.Time // the provider wants to hear nothing until then
}

// NewREST returns a REST whose budget is full.
func NewREST(c RESTConfig) *REST {
	if c.PerMinute <= 0 {
		c.PerMinute = 60
	}
	c.Burst = max(c.Burst, 1)
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.MaxBody == 0 {
		c.MaxBody = 16 << 20
	}
	if c.MaxRetryAfter == 0 {
		c.MaxRetryAfter = 15 * time.Minute
	}
	if c.NetDial == nil {
		c.NetDial = new(net.Dialer).DialContext
	}
	return &REST{
		config: c,
		budget: rate.NewLimiter(rate.Limit(float64(c.PerMinute)/60), c.Burst),
		client: http.Client{Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           c.NetDial,
			ForceAttemptHTTP2:     true,
			MaxIdleConns:          2,
			IdleConnTimeout:       30 * time.Second,
			TLSHandshakeTimeout:   c.Timeout,
			ResponseHeaderTimeout: c.Timeout,
		}},
	}
}

// StatusError is an answer that is not 200.
type StatusError struct {
	Code int
	// RetryAfter is how long the provider asked us to stay away, or is known to
	// want; 0 if it did not say. The REST heeds it by itself.
	RetryAfter time.Duration
	Body       string // its beginning
}

// Error returns the status and what the provider said.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("server answered %d %s", e.Code, http.StatusText(e.Code))
	if e.Body != "" {
		text += fmt.Sprintf(": %.200q", e.Body)
	}
	return text
}

// Final reports whether asking the same again is pointless: the fault is in the
// request.
func (e *StatusError) Final() bool {
	switch e.Code {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusTeapot:
		return false
	}
	return e.Code >= 400 && e.Code < 500
}

// errTooLarge means that an answer was larger than RESTConfig.MaxBody.
var errTooLarge = errors.New("answer larger than the limit")

// Get asks for url, which costs so much weight, and returns the body of the
// answer. It waits first until the budget allows it and the provider, having
// answered 429 or 418, wants to hear from us again. A weight beyond Burst counts
// as Burst. Answers other than 200 are *StatusError.
func (r *REST) Get(ctx context.Context, url string, weight int) ([]byte, error) {
	return r.Do(ctx, weight, func(ctx context.Context) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	})
}

// Do is Get for a request of another kind, such as one that is signed. It is made
// once its time has come, so that what it says of the time is right.
func (r *REST) Do(ctx context.Context, weight int, request func(context.Context) (*http.Request, error)) ([]byte, error) {
	if err := r.wait(ctx, min(max(weight, 1), r.config.Burst)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	req, err := request(ctx)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	res, err := r.client.Do(req)
	if err != nil {
		return nil, err // names method and url
	}
	defer func() { _ = res.Body.Close() }()
	limit := r.config.MaxBody
	if res.StatusCode != http.StatusOK {
		limit = 4 << 10
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if res.StatusCode != http.StatusOK {
		return nil, r.refused(res, body)
	}
	if err != nil {
		return nil, fmt.Errorf("read answer to %s: %w", req.URL.Redacted(), err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("%s %s: %w", strings.ToLower(req.Method), req.URL.Redacted(), errTooLarge)
	}
	return body, nil
}

// wait lets the time pass that the provider has asked for, then spends weight.
func (r *REST) wait(ctx context.Context, weight int) error {
	for {
		r.mu.Lock()
		d := time.Until(r.blocked)
		r.mu.Unlock()
		if d <= 0 {
			break
		}
		if err := sleep(ctx, d); err != nil {
			return err
		}
	}
	if err := r.budget.WaitN(ctx, weight); err != nil {
		return fmt.Errorf("wait for the request budget: %w", err)
	}
	// Somebody else may have been told to stay away meanwhile.
	r.mu.Lock()
	d := time.Until(r.blocked)
	r.mu.Unlock()
	if d > 0 {
		return r.wait(ctx, weight)
	}
	return nil
}

// How long to stay away where the provider says that, and not how long. 418 is
// what Binance sends to those who did not heed 429; it bans them for 2 minutes at
// least.
const (
	tooManyRequestsWait = time.Minute
	bannedWait          = 2 * time.Minute
)

func (r *REST) refused(res *http.Response, body []byte) *StatusError {
	e := &StatusError{Code: res.StatusCode, Body: string(body[:min(len(body), 200)]),
		RetryAfter: min(retryAfter(res.Header.Get("Retry-After"), time.Now()), r.config.MaxRetryAfter)}
	switch {
	case e.RetryAfter > 0:
	case res.StatusCode == http.StatusTooManyRequests:
		e.RetryAfter = tooManyRequestsWait
	case res.StatusCode == http.StatusTeapot:
		e.RetryAfter = bannedWait
	}
	if e.RetryAfter > 0 {
		r.mu.Lock()
		defer r.mu.Unlock()
		if until := time.Now().Add(e.RetryAfter); until.After(r.blocked) {
			r.blocked = until
		}
	}
	return e
}

// CloseIdle closes connections that are kept for the next request.
func (r *REST) CloseIdle() { r.client.CloseIdleConnections() }

// sleep waits for d, or returns ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
