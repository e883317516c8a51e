package streamer

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	sdk "github.com/quotewire/quotewire/client"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/auth"
	"github.com/quotewire/quotewire/streamer/wire"
)

// line is the Go client's way to a server; it can be cut.
type line struct {
	s  *server
	mu sync.Mutex
	at net.Conn
}

func (l *line) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := l.s.dialer.NetDialContext(ctx, network, address)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = conn
	return conn, err
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.at.Close()
}

// connected runs f in a bubble with the Go client connected to a server.
func connected(t *testing.T, cfg Config, opts sdk.Options, f func(t *testing.T, s *server, l *line, c *sdk.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, closeAll := servePipe(t, cfg)
		defer closeAll()
		l := &line{s: s}
		opts.Dialer = &websocket.Dialer{NetDialContext: l.dial}
		c, err := sdk.Dial(t.Context(), "ws://server", opts)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		f(t, s, l, c)
	})
}

// inBothFormats runs a test of the Go client in each encoding that it has.
func inBothFormats(t *testing.T, f func(t *testing.T, opts sdk.Options)) {
	for _, format := range []wire.Format{wire.FormatJSON, wire.FormatProto} {
		t.Run(format.String(), func(t *testing.T) { f(t, sdk.Options{Format: format, MissedHeartbeats: 1000}) })
	}
}

func subscribed(t *testing.T, c *sdk.Client, sub sdk.Subscription) *sdk.Stream {
	t.Helper()
	s, err := c.Subscribe(t.Context(), sub)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// got returns the next update of a stream, which must be of the type.
func got[T sdk.Update](t *testing.T, s *sdk.Stream) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	u, err := s.Next(ctx)
	v, ok := u.(T)
	if err != nil || !ok {
		t.Fatalf("%T %+v %v, want %T", u, u, err, v)
	}
	return v
}

// nothing fails where the stream has an update.
func nothing(t *testing.T, s *sdk.Stream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if u, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%T %+v %v, want nothing", u, u, err)
	}
}

// TestSDKWatermarks: a watermark reaches the streams of bars of its interval, after
// all bars that it covers, and goes on over a reconnect.
func TestSDKWatermarks(t *testing.T) {
	inBothFormats(t, func(t *testing.T, opts sdk.Options) {
		connected(t, Config{Lanes: 2}, opts, func(t *testing.T, s *server, l *line, c *sdk.Client) {
			s.symbol("BTC-USD")
			s.apply(at(s.print("ETH-USD", "kraken", 50, 1), 0))
			s.apply(withID(at(s.print("BTC-USD", "kraken", 1000, 2), 100), "1"))
			s.applied()
			seconds := subscribed(t, c, sdk.Subscription{Channel: wire.ChannelBar, Symbols: []string{"BTC-USD"}, Bar: "1s"})
			minutes := subscribed(t, c, sdk.Subscription{Channel: wire.ChannelBar, Symbols: []string{"BTC-USD"}})
			bar := func(st *sdk.Stream, text string) {
				t.Helper()
				b := got[*sdk.Bar](t, st)
				if is := fmt.Sprintf("%s %d %s %d: %s x %s", b.Bar, b.Start.Sub(barClock).Milliseconds(), b.State, b.Rev, b.Close.Decimal, b.Volume.Decimal); is != text {
					t.Fatalf("got %s, want %s", is, text)
				}
			}
			watermark := func(st *sdk.Stream, bar string, ms int64) {
				t.Helper()
				m := got[*sdk.Watermark](t, st)
				if m.Bar != bar || m.Channel != wire.ChannelBar || !m.Until.Equal(barClock.Add(time.Duration(ms)*time.Millisecond)) {
					t.Fatalf("got %+v, want %s up to %d", m, bar, ms)
				}
			}
			bar(seconds, "1s 0 provisional 0: 100 x 2")
			bar(minutes, "1m 0 provisional 0: 100 x 2")
			watermark(seconds, "1s", -2000)
			watermark(minutes, "1m", -60_000)
			s.beat(4500)
			bar(seconds, "1s 0 final 0: 100 x 2")
			bar(seconds, "1s 1000 final 0: 0 x 0")
			watermark(seconds, "1s", 2000)
			watermark(minutes, "1m", 0)
			// A cancel revises what the watermark has passed.
			cancel := withID(at(s.print("BTC-USD", "kraken", 1000, 2), 4600), "1")
			cancel.Kind = market.KindCancel
			s.apply(cancel)
			bar(seconds, "1s 0 revised 1: 0 x 0")
			bar(minutes, "1m 0 provisional 0: 0 x 0")

			l.cut()
			for _, st := range []*sdk.Stream{seconds, minutes} {
				got[*sdk.Disconnected](t, st)
				got[*sdk.Reconnected](t, st)
			}
			synctest.Wait()
			s.beat(62_500)
			last := time.Time{}
			for last.Before(barClock.Add(time.Minute)) {
				u, err := seconds.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				switch u := u.(type) {
				case *sdk.Bar:
					if !u.Start.Before(last) {
						continue
					}
					if u.State == "provisional" {
						t.Fatalf("%+v after the watermark %v", u, last)
					}
				case *sdk.Watermark:
					if u.Bar != "1s" || u.Until.Before(last) {
						t.Fatalf("%+v after %v", u, last)
					}
					last = u.Until
				default:
					t.Fatalf("%T %+v", u, u)
				}
			}
			for m := (*sdk.Watermark)(nil); m == nil || m.Until.Before(barClock.Add(time.Minute)); {
				u, err := minutes.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				m, _ = u.(*sdk.Watermark)
			}
			if n := c.Stats(); n.Malformed+n.Unrouted+n.Unknown+n.SequenceErrors > 0 {
				t.Errorf("%+v", n)
			}
		})
	})
}

// TestSDKCorrections: a correction and a cancel are events of their own in a stream
// of trades, which name the print that they change, and ticker and bars follow.
func TestSDKCorrections(t *testing.T) {
	inBothFormats(t, func(t *testing.T, opts sdk.Options) {
		connected(t, Config{}, opts, func(t *testing.T, s *server, _ *line, c *sdk.Client) {
			s.apply(withID(at(s.print("BTC-USD", "kraken", 1000, 2), 100), "1"))
			s.applied()
			trades := subscribed(t, c, sdk.Subscription{Channel: wire.ChannelTrade, Symbols: []string{"BTC-USD"}})
			tickers := subscribed(t, c, sdk.Subscription{Channel: wire.ChannelTicker, Symbols: []string{"BTC-USD"}, Interval: sdk.EveryChange})
			trade := func(kind, id, of, price, size string) {
				t.Helper()
				u := got[*sdk.Trades](t, trades)
				if len(u.Trades) != 1 {
					t.Fatalf("%+v", u)
				}
				if p := u.Trades[0]; p.Kind != kind || p.ID != id || p.Of != of || p.Price.String() != price || p.Size.String() != size || p.Venue != "kraken" {
					t.Fatalf("%+v, want %q %s of %q, %s x %s", p, kind, id, of, size, price)
				}
			}
			ticker := func(last, volume string, n uint64) {
				t.Helper()
				if u := got[*sdk.Ticker](t, tickers); u.Last.Decimal.String() != last || u.Volume.Decimal.String() != volume || u.Trades != n {
					t.Fatalf("last %s volume %s trades %d, want %s %s %d", u.Last.Decimal, u.Volume.Decimal, u.Trades, last, volume, n)
				}
			}
			trade("", "1", "", "100", "2")
			ticker("100", "2", 1)
			s.apply(withID(at(s.print("BTC-USD", "kraken", 1020, 3), 200), "2"))
			trade("", "2", "", "102", "3")
			ticker("102", "5", 2)
			correction := withID(at(s.print("BTC-USD", "kraken", 1010, 4), 300), "2")
			correction.Kind, correction.TradeSequence, correction.Ask, correction.AskSize = market.KindCorrection, 7, 1020, 3
			s.apply(correction)
			trade("correction", "7", "2", "101", "4")
			ticker("101", "6", 2)
			cancel := withID(at(s.print("BTC-USD", "kraken", 1000, 2), 400), "1")
			cancel.Kind = market.KindCancel
			s.apply(cancel)
			trade("cancel", "", "1", "100", "2")
			ticker("101", "4", 1)
			// The same again, from the log.
			var kinds []string
			again, err := trades.Fetch(t.Context(), "BTC-USD", 2, 4)
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range again {
				for _, p := range u.(*sdk.Trades).Trades {
					kinds = append(kinds, p.Kind+p.Of)
				}
			}
			if fmt.Sprint(kinds) != "[ correction2 cancel1]" {
				t.Errorf("fetched %q", kinds)
			}
		})
	})
}

// TestSDKTokenSource: with the real guard, a token that expires is replaced on the
// live connection and the streams go on; where the source fails until it is too
// late, the client comes back with a fresh one and resumes.
func TestSDKTokenSource(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	inBothFormats(t, func(t *testing.T, opts sdk.Options) {
		plans := map[string]auth.Plan{"all": {Grants: []auth.Grant{{Symbols: []string{"*"}}}}}
		cfg, g := guarded(t, plans)
		if err := g.Replace(t.Context(), auth.Config{Plans: plans, Tokens: &auth.Tokens{Plan: "all",
			Keys: []auth.TokenKey{{Algorithm: "EdDSA", PEM: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}}}}); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var asked int
		down := false
		opts.TokenSource = func(context.Context) (string, time.Time, error) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			if down {
				return "", time.Time{}, errors.New("the source is down")
			}
			expires := time.Now().Add(time.Minute).Truncate(time.Second)
			token, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": "alice", "exp": expires.Unix()}).SignedString(private)
			return token, expires, err
		}
		connected(t, cfg, opts, func(t *testing.T, s *server, _ *line, c *sdk.Client) {
			s.book("BTC-USD", "kraken", 1000, 1)
			st := subscribed(t, c, sdk.Subscription{Channel: wire.ChannelQuote, Symbols: []string{"BTC-USD"}})
			got[*sdk.Quote](t, st)
			size := int64(50)
			moves := func() {
				t.Helper()
				size++
				s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, size))
				if q := got[*sdk.Quote](t, st); q.Bid.Size.IntPart() != size {
					t.Fatalf("%+v, want %d", q.Bid, size)
				}
			}
			for range 10 {
				time.Sleep(30 * time.Second)
				moves()
			}
			mu.Lock()
			if n := c.Stats(); n.Connects != 1 || asked < 6 || asked > 8 {
				t.Errorf("after five minutes with tokens of one: %d tokens, %+v", asked, n)
			}
			down = true
			mu.Unlock()
			got[*sdk.Disconnected](t, st)
			size++
			s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, size))
			mu.Lock()
			down = false
			mu.Unlock()
			got[*sdk.Reconnected](t, st)
			if q := got[*sdk.Quote](t, st); q.Bid.Size.IntPart() != size {
				t.Errorf("%+v, want %d", q.Bid, size)
			}
			moves()
			if n := c.Stats(); n.Connects != 2 || n.Resumed != 1 {
				t.Errorf("%+v", n)
			}
		})
	})
}

// TestSDKPauseAndBudgetOutliveReconnects: what the server agreed to for a connection
// holds on the next.
func TestSDKPauseAndBudgetOutliveReconnects(t *testing.T) {
	inBothFormats(t, func(t *testing.T, opts sdk.Options) {
		connected(t, Config{}, opts, func(t *testing.T, s *server, l *line, c *sdk.Client) {
			s.book("BTC-USD", "kraken", 1000, 1)
			s.apply(s.print("BTC-USD", "kraken", 1001, 1))
			s.applied()
			quotes := subscribed(t, c, sdk.Subscription{Channel: wire.ChannelQuote, Symbols: []string{"*"}})
			trades := subscribed(t, c, sdk.Subscription{Channel: wire.ChannelTrade, Symbols: []string{"BTC-USD"}})
			books := subscribed(t, c, sdk.Subscription{Channel: wire.ChannelBook, Symbols: []string{"BTC-USD"}})
			got[*sdk.Quote](t, quotes)
			got[*sdk.Trades](t, trades)
			got[*sdk.BookUpdate](t, books)
			if err := c.Budget(t.Context(), 64); err != nil {
				t.Fatal(err)
			}
			for _, st := range []*sdk.Stream{quotes, trades} {
				if err := st.Pause(t.Context(), true); err != nil {
					t.Fatal(err)
				}
			}
			budget := func() (kbps int64) {
				synctest.Wait()
				s.hub.mu.Lock()
				defer s.hub.mu.Unlock()
				for session := range s.hub.sessions {
					session.mu.Lock()
					kbps = session.rate * 8 / 1000
					session.mu.Unlock()
				}
				return kbps
			}
			for range 2 { // at each reconnect anew
				if n := budget(); n != 64 {
					t.Fatalf("the budget is %d kbps", n)
				}
				l.cut()
				s.apply(s.level("BTC-USD", "kraken", market.SideBid, 999, 30))
				s.apply(s.print("BTC-USD", "kraken", 1002, 2))
				for _, st := range []*sdk.Stream{quotes, trades, books} {
					got[*sdk.Disconnected](t, st)
					got[*sdk.Reconnected](t, st)
				}
				got[*sdk.BookUpdate](t, books) // is not paused
				s.apply(s.print("BTC-USD", "kraken", 1003, 3))
				s.book("ETH-USD", "kraken", 500, 1) // the pattern's
				nothing(t, quotes)
				nothing(t, trades)
			}
			for _, st := range []*sdk.Stream{quotes, trades} {
				if err := st.Pause(t.Context(), false); err != nil {
					t.Fatal(err)
				}
			}
			for _, price := range []string{"100.2", "100.3", "100.2", "100.3"} {
				if u := got[*sdk.Trades](t, trades); len(u.Trades) != 1 || u.Trades[0].Price.String() != price {
					t.Fatalf("%+v, want a print at %s", u, price)
				}
			}
			a, b := got[*sdk.Quote](t, quotes), got[*sdk.Quote](t, quotes)
			if a.Symbol == b.Symbol || a.Symbol == "BTC-USD" && a.Bid.Size.String() != "30" {
				t.Errorf("%+v %+v", a, b)
			}
			if err := c.Budget(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			l.cut()
			for _, st := range []*sdk.Stream{quotes, trades, books} {
				got[*sdk.Disconnected](t, st)
				got[*sdk.Reconnected](t, st)
			}
			if n := budget(); n != 0 {
				t.Errorf("the budget that was lifted is %d kbps", n)
			}
			s.apply(s.print("BTC-USD", "kraken", 1004, 4))
			if u := got[*sdk.Trades](t, trades); u.Trades[0].Price.String() != "100.4" {
				t.Errorf("%+v", u)
			}
			if n := c.Stats(); n.SequenceErrors+n.Malformed+n.Unrouted+n.Gaps+n.Errors > 0 {
				t.Errorf("%+v", n)
			}
		})
	})
}
