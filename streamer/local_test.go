package streamer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/client"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer"
	"github.com/quotewire/quotewire/streamer/auth"
	"github.com/quotewire/quotewire/streamer/wire"
)

// rig is books, a hub and what the books looked like at each position.
type rig struct {
	hub   *streamer.Hub
	shard *orderbook.Shard
	sink  orderbook.Sink
	head  market.Event
	stop  func()
	quiet bool // keeps no history

	mu      sync.Mutex
	view    orderbook.View
	history map[string]string // levels by epoch and seq
	last    string
}

const rigDepth = 5

// newRig starts a hub with one instrument at one venue.
func newRig(t testing.TB, cfg streamer.Config) *rig {
	t.Helper()
	dir := cfg.Directory
	btc, err := dir.Instrument("BTC-USD", market.ClassCrypto)
	if err != nil {
		t.Fatal(err)
	}
	kraken, err := dir.Venue("kraken")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{hub: streamer.NewHub(cfg), history: make(map[string]string)}
	r.head = market.Event{Feed: 1, Venue: kraken, Instrument: btc, PriceDecimals: 1}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- r.hub.Run(ctx) }()
	r.stop = sync.OnceFunc(func() { cancel(); <-ended })
	r.sink = r.hub.Sink(0)
	r.begin(1)
	return r
}

// begin starts a run of the books.
func (r *rig) begin(epoch uint64) {
	r.shard = orderbook.NewShard(orderbook.Config{Directory: market.NewDirectory(), Epoch: epoch, Sinks: []orderbook.Sink{r.sink, r}})
	r.apply(market.KindClear, market.FlagSnapshot, 0, 0, 0)
}

func (r *rig) apply(kind market.Kind, flags market.Flags, side market.Side, price market.Price, size market.Size) {
	e := r.head
	e.Kind, e.Flags, e.Side, e.Price, e.Size, e.Received = kind, flags|market.FlagLast, side, price, size, time.Now().UnixNano()
	r.shard.Apply([]market.Event{e})
	r.sink.Flush()
}

// Update implements orderbook.Sink.
func (r *rig) Update(u *orderbook.Update) {
	if r.quiet {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.view.Apply(u); err != nil {
		panic(err)
	}
	text := ""
	for _, side := range []market.Side{market.SideBid, market.SideAsk} {
		levels, _ := r.view.AppendDepth(nil, nil, side, rigDepth)
		for _, l := range levels {
			text += fmt.Sprintf(" %v@%v", market.ToDecimal(l.Size, r.view.Scale.Size), market.ToDecimal(l.Price, r.view.Scale.Price))
		}
		text += " |"
	}
	r.last = fmt.Sprintf("%x %d", r.view.Epoch, r.view.Seq)
	r.history[r.last] = text
}

// Flush implements orderbook.Sink.
func (r *rig) Flush() {}

// at returns the levels at a position, and whether it is the present.
func (r *rig) at(epoch string, seq uint64) (levels string, now bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := fmt.Sprintf("%s %d", epoch, seq)
	return r.history[key], key == r.last
}

func levelsOf(b *client.BookUpdate) string {
	text := ""
	for _, side := range [][]client.Level{b.Bids, b.Asks} {
		for _, l := range side {
			text += fmt.Sprintf(" %v@%v", l.Size, l.Price)
		}
		text += " |"
	}
	return text
}

func (r *rig) random(rng *rand.Rand) {
	side, price := market.SideBid, 999-market.Price(rng.IntN(20))
	if rng.IntN(2) == 0 {
		side, price = market.SideAsk, 1000+market.Price(rng.IntN(20))
	}
	r.apply(market.KindLevel, 0, side, price, market.Size(rng.IntN(4)))
}

// TestLocalModel: whatever a client in the same process does, reading in bursts,
// pausing, losing its connection, seeing the books start anew, each book it is
// handed is the server's at that position, and it comes to the present in the end.
func TestLocalModel(t *testing.T) {
	for seed := range uint64(40) {
		for _, format := range []wire.Format{wire.FormatJSON, wire.FormatProto} {
			t.Run(fmt.Sprint(seed, format), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testLocalModel(t, seed, format) })
			})
		}
	}
}

func testLocalModel(t *testing.T, seed uint64, format wire.Format) {
	rng := rand.New(rand.NewPCG(seed, 1))
	r := newRig(t, streamer.Config{Directory: market.NewDirectory(), LogFrames: 4 + rng.IntN(60), Linger: time.Duration(rng.IntN(3)) * time.Second})
	defer r.stop()
	local := r.hub.Local(nil)
	var conns []wire.Conn // of which the last is the present one
	var mu sync.Mutex
	c, err := client.Attach(t.Context(), func(ctx context.Context, f wire.Format) (wire.Conn, error) {
		conn, err := local(ctx, f)
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, conn)
		return conn, err
	}, client.Options{Format: format})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	sub := client.Subscription{Channel: wire.ChannelBook, Symbols: []string{"BTC-USD"}, Depth: rigDepth, Backlog: 1 + rng.IntN(20)}
	switch rng.IntN(3) {
	case 0:
		sub.Interval = client.EveryChange
	case 1:
		sub.Interval, sub.Policy = 50*time.Millisecond, client.Block
	}
	books, err := c.Subscribe(t.Context(), sub)
	if err != nil {
		t.Fatal(err)
	}
	var at wire.Position
	ordered := sub.Interval == client.EveryChange
	check := func(u client.Update) (now bool) {
		switch u := u.(type) {
		case *client.BookUpdate:
			levels, now := r.at(u.Epoch, u.Seq)
			if got := levelsOf(u); got != levels {
				t.Fatalf("at %s %d: %s, want %s", u.Epoch, u.Seq, got, levels)
			}
			for seq := at.Seq + 1; ordered && u.Epoch == at.Epoch && seq < u.Seq; seq++ {
				// What does not show in the best levels makes no message.
				before, _ := r.at(u.Epoch, at.Seq)
				if between, _ := r.at(u.Epoch, seq); between != before {
					t.Fatalf("%d follows %d on a stream of every change, without a gap for %d", u.Seq, at.Seq, seq)
				}
			}
			at, ordered = wire.Position{Epoch: u.Epoch, Seq: u.Seq}, sub.Interval == client.EveryChange
			return now
		case *client.Gap:
			at.Seq = u.To
			ordered = false // until the snapshot that follows
		case *client.Resync:
			t.Fatalf("%+v", u)
		}
		return false
	}
	read := func(n int) {
		for range n {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rng.IntN(200))*time.Millisecond)
			u, err := books.Next(ctx)
			cancel()
			if errors.Is(err, context.DeadlineExceeded) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			check(u)
		}
	}
	epoch := uint64(1)
	for range 150 {
		switch rng.IntN(20) {
		case 0:
			time.Sleep(time.Duration(rng.IntN(int(3 * time.Second))))
		case 1:
			mu.Lock()
			_ = conns[len(conns)-1].Close()
			mu.Unlock()
		case 2:
			if rng.IntN(4) == 0 {
				epoch++
				r.begin(epoch)
			}
		case 3, 4, 5, 6:
			read(rng.IntN(40))
		default:
			for range 1 + rng.IntN(10) {
				r.random(rng)
			}
		}
	}
	r.apply(market.KindLevel, 0, market.SideBid, 999, 1000) // a change that shows
	for {
		u, err := books.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if check(u) {
			break
		}
	}
	if n := c.Stats(); n.ChecksumErrors+n.SequenceErrors+n.Malformed > 0 {
		t.Errorf("%+v", n)
	}
}

// TestLocalSlow: a client that does not read holds up neither the books nor other
// clients, and is at the present with its next update.
func TestLocalSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, streamer.Config{Directory: market.NewDirectory()})
		defer r.stop()
		c, err := client.Attach(t.Context(), r.hub.Local(nil), client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		trades, err := c.Subscribe(t.Context(), client.Subscription{Channel: wire.ChannelTrade, Symbols: []string{"BTC-USD"}, Backlog: 1})
		if err != nil {
			t.Fatal(err)
		}
		books, err := c.Subscribe(t.Context(), client.Subscription{Channel: wire.ChannelBook, Symbols: []string{"BTC-USD"}, Depth: rigDepth, Interval: client.EveryChange, Policy: client.Conflate})
		if err != nil {
			t.Fatal(err)
		}
		// Two prints that nobody reads stop the client's reading.
		const changes = 5000
		rng := rand.New(rand.NewPCG(7, 7))
		for i := range changes {
			if i < 3 {
				r.apply(market.KindTrade, 0, market.SideBid, 1000, 1)
			}
			r.random(rng)
		}
		r.apply(market.KindLevel, 0, market.SideBid, 999, 1000)
		synctest.Wait()
		if n := c.Stats(); n.Blocked == 0 {
			t.Fatalf("the client was not held up: %+v", n)
		}
		for range 3 {
			if _, err := trades.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		for read := 0; ; read++ {
			u, err := books.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if b, ok := u.(*client.BookUpdate); ok {
				if levels, now := r.at(b.Epoch, b.Seq); now && levelsOf(b) == levels {
					break
				}
			}
			if read > 3 {
				t.Fatalf("after %d updates the client is not at the present", read)
			}
		}
	})
}

// TestLocalEnd: sessions in the process end as others do.
func TestLocalEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, streamer.Config{Directory: market.NewDirectory(), MaxConnections: 2})
		defer r.stop()
		ctx := t.Context()
		local := r.hub.Local(nil)

		silent, err := local(ctx, wire.FormatJSON) // never read again
		if err != nil {
			t.Fatal(err)
		}
		conn, err := local(ctx, wire.FormatJSON)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := local(ctx, wire.FormatJSON); !errors.Is(err, &wire.Error{Code: wire.CodeServerShutdown}) {
			t.Errorf("beyond the limit of connections: %v", err)
		}
		if _, err := local(ctx, wire.FormatEvents); !errors.Is(err, &wire.Error{Code: wire.CodeBadRequest}) {
			t.Errorf("another format: %v", err)
		}
		next := func() string {
			t.Helper()
			b, err := conn.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			m, err := wire.Parse(b)
			if err != nil {
				t.Fatalf("%s: %v", b, err)
			}
			return m.Type()
		}
		if got := next(); got != "welcome" {
			t.Errorf("first %s", got)
		}
		if got := next(); got != "heartbeat" {
			t.Errorf("then %s", got)
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		_, err = conn.ReadFrame()
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("deadline: %v", err)
		}
		_ = conn.SetReadDeadline(time.Time{})
		if err := conn.WriteFrame([]byte("nonsense")); err != nil {
			t.Error(err)
		}
		if got := next(); got != "error" {
			t.Errorf("to nonsense %s", got)
		}
		stopped := make(chan error, 1)
		go func() { stopped <- r.hub.Shutdown(ctx) }()
		for got := next(); got != "error"; got = next() {
		}
		if _, err := conn.ReadFrame(); err == nil {
			t.Error("read after the end")
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		if err := conn.WriteFrame([]byte("{}")); err == nil {
			t.Error("written after the end")
		}
		_ = conn.Close()
		if _, err := conn.ReadFrame(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after Close: %v", err)
		}
		if _, err := silent.ReadFrame(); err == nil {
			t.Error("the one that did not read has not ended")
		}
	})
}

// TestLocalRights: a connection with rights sees what they cover.
func TestLocalRights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard, err := auth.New(t.Context(), auth.Config{
			Plans: map[string]auth.Plan{"eth": {Grants: []auth.Grant{{Symbols: []string{"ETH-*"}}}}, "btc": {Grants: []auth.Grant{{Symbols: []string{"BTC-*"}, Depth: 1}}}},
			Keys:  []auth.Key{{Name: "eth", Hash: auth.HashKey("eth"), Plan: "eth"}, {Name: "btc", Hash: auth.HashKey("btc"), Plan: "btc"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer guard.Close()
		r := newRig(t, streamer.Config{Directory: market.NewDirectory(), Access: guard})
		defer r.stop()
		sub := client.Subscription{Channel: wire.ChannelBook, Symbols: []string{"BTC-USD"}}
		for key, want := range map[string]int{"eth": -1, "btc": 1, "": wire.DefaultDepth} {
			var rights *auth.Rights
			if key != "" {
				if rights, err = guard.Authenticate(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			}
			c, err := client.Attach(t.Context(), r.hub.Local(rights), client.Options{})
			if err != nil {
				t.Fatal(err)
			}
			s, err := c.Subscribe(t.Context(), sub)
			switch {
			case want < 0:
				if !errors.Is(err, &wire.Error{Code: wire.CodeForbidden}) {
					t.Errorf("key %q: %v", key, err)
				}
			case err != nil:
				t.Errorf("key %q: %v", key, err)
			default:
				g := s.Granted()
				if i := slices.IndexFunc(g, func(g wire.Granted) bool { return g.Depth == want }); i < 0 {
					t.Errorf("key %q: granted %+v, want depth %d", key, g, want)
				}
			}
			_ = c.Close()
		}
	})
}

// TestLocalInterval: what waits for its interval, and for the other streams of the
// connection, comes when that has passed.
func TestLocalInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := market.NewDirectory()
		r := newRig(t, streamer.Config{Directory: dir, Heartbeat: time.Hour})
		defer r.stop()
		r.quiet = true
		heads := r.symbols(t, dir, 20)
		c, err := client.Attach(t.Context(), r.hub.Local(nil), client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		books, err := c.Subscribe(t.Context(), client.Subscription{Channel: wire.ChannelBook, Symbols: []string{"S*"}, Interval: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		for round := range market.Size(20) {
			begin := time.Now()
			for _, h := range heads {
				r.head = h
				r.apply(market.KindLevel, 0, market.SideBid, 1000, round+1)
				time.Sleep(7 * time.Millisecond)
			}
			for current := 0; current < len(heads); {
				u, err := books.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if b, ok := u.(*client.BookUpdate); ok && len(b.Bids) > 0 && b.Bids[0].Size.String() == fmt.Sprint(round+1) {
					current++
				}
			}
			if d := time.Since(begin); d > 2*time.Second {
				t.Errorf("the changes of round %d took %v", round, d)
			}
		}
	})
}

// symbols makes further instruments, with empty books.
func (r *rig) symbols(t *testing.T, dir *market.Directory, n int) []market.Event {
	heads := make([]market.Event, n)
	for i := range heads {
		id, err := dir.Instrument(fmt.Sprintf("S%d", i), market.ClassCrypto)
		if err != nil {
			t.Fatal(err)
		}
		heads[i] = r.head
		heads[i].Instrument = id
		r.head = heads[i]
		r.apply(market.KindClear, market.FlagSnapshot, 0, 0, 0)
	}
	return heads
}

// TestLocalBurst: many streams' snapshots and changes are more than one frame; none
// is lost between frames.
func TestLocalBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := market.NewDirectory()
		r := newRig(t, streamer.Config{Directory: dir})
		defer r.stop()
		r.quiet = true
		const symbols = 1500
		heads := r.symbols(t, dir, symbols)
		all := func(size market.Size) {
			for _, h := range heads {
				r.head = h
				r.apply(market.KindLevel, 0, market.SideBid, 1000, size)
			}
		}
		c, err := client.Attach(t.Context(), r.hub.Local(nil), client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		books, err := c.Subscribe(t.Context(), client.Subscription{Channel: wire.ChannelBook, Symbols: []string{"S*"}})
		if err != nil {
			t.Fatal(err)
		}
		for round := range market.Size(3) {
			all(round + 1)
			have := make(map[string]string)
			current := 0
			for current < symbols {
				u, err := books.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if b, ok := u.(*client.BookUpdate); ok && len(b.Bids) > 0 {
					size := b.Bids[0].Size.String()
					if want := fmt.Sprint(round + 1); size == want && have[b.Symbol] != want {
						current++
					}
					have[b.Symbol] = size
				}
			}
		}
		if n := c.Stats(); n.Resyncs+n.Gaps+n.SequenceErrors+n.ChecksumErrors > 0 {
			t.Errorf("%+v", n)
		}
	})
}
