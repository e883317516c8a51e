package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quotewire/quotewire/streamer/wire"
)

// TokenSource returns a token and when it expires; a zero time is never. It is
// asked at each connection, and again when four fifths of a token's time are over,
// so that the connection goes on without a break. It must heed ctx.
type TokenSource func(ctx context.Context) (token string, expires time.Time, err error)

// tokenPause is the wait before a source, or a server, that refused is asked again.
const tokenPause = 5 * time.Second

// token returns what to sign in with, "" for nothing.
func (c *Client) token(ctx context.Context) (string, time.Time, error) {
	if c.opts.TokenSource == nil {
		return c.opts.Token, time.Time{}, nil
	}
	token, expires, err := c.opts.TokenSource(ctx)
	if err == nil && len(token) > wire.MaxToken {
		err = fmt.Errorf("%d bytes, want at most %d", len(token), wire.MaxToken)
	}
	if err != nil {
		return "", time.Time{}, fmt.Errorf("get token: %w", err)
	}
	return token, expires, nil
}

// signed notes when the token that the server took is to be replaced.
func (c *Client) signed(expires time.Time) {
	at := int64(0)
	if !expires.IsZero() {
		left := max(time.Until(expires), 0)
		at = time.Now().Add(max(left-left/5, min(left, time.Second))).UnixNano()
	}
	c.renewAt.Store(at)
	poke(c.renewed)
}

// renew replaces tokens before they expire, until the client ends.
func (c *Client) renew() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		at := c.renewAt.Load()
		wait := time.Hour
		if at != 0 {
			wait = time.Until(time.Unix(0, at))
		}
		if wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-c.renewed:
			case <-c.ctx.Done():
				return
			}
			continue
		}
		token, expires, err := c.token(c.ctx)
		if err == nil {
			err = c.ask(c.ctx, wire.Request{Op: wire.OpAuth, Token: token, Given: wire.FieldToken}, nil, nil)
		}
		switch {
		case c.ctx.Err() != nil:
			return
		case err == nil:
			c.signed(expires)
		default:
			// A new connection signs in by itself, and says when next.
			if !errors.Is(err, ErrDisconnected) {
				c.opts.Logger.Warn("token not renewed", "error", err)
			}
			c.renewAt.CompareAndSwap(at, time.Now().Add(tokenPause).UnixNano())
		}
	}
}
