package streamer

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/auth"
	"github.com/quotewire/quotewire/streamer/wire"
)

// ledger counts what keys and addresses take, and holds them to their limits.
type ledger struct {
	cfg     *Config
	metrics *metrics

	mu       sync.Mutex
	address  auth.Limits
	accounts map[string]*account // of keys and tokens' subjects
	others   *account            // what was counted of those that were forgotten
	byAddr   map[string]*account // of addresses that are connected
	failures map[string]*rate.Limiter
}

// Bounds of what is remembered of clients that are not connected.
const (
	maxAccounts = 10_000
	maxFailures = 10_000
)

// What an address may get wrong: so many keys or tokens at once, and then one in
// so long.
const (
	failureBurst = 20
	failureEvery = 3 * time.Second
)

func newLedger(cfg *Config, m *metrics) ledger {
	return ledger{cfg: cfg, address: cfg.PerAddress, metrics: m, accounts: make(map[string]*account), others: &account{name: "(others)"},
		byAddr: make(map[string]*account), failures: make(map[string]*rate.Limiter)}
}

// account is what one key, or one address, has and had.
type account struct {
	name, label, plan string

	metered                 atomic.Bool // messages or bytes are bounded
	sentMessages, sentBytes atomic.Uint64

	mu            sync.Mutex
	refs          int // who uses it now; under the ledger's mu
	limits        auth.Limits
	connections   int
	subscriptions int
	messages      *rate.Limiter // nil without a bound
	bytes         *rate.Limiter
	used          usage
	streams       map[streamKind]*streamTime
}

// streamKind is what streams are counted by.
type streamKind struct {
	channel wire.Channel
	class   market.Class
}

// streamTime adds up how long streams of one kind were open.
type streamTime struct {
	open  int
	since int64 // when open changed last, ns since the Unix epoch
	total float64
}

func (s *streamTime) add(n int, now int64) {
	s.total += float64(s.open) * float64(max(now-s.since, 0)) / float64(time.Hour)
	s.open, s.since = s.open+n, now
}

// usage is what an account took since the start.
type usage struct {
	Connections uint64
	Requests    uint64
	Refused     uint64
}

// address returns what an address is counted under: an IPv6 customer has a /64.
func address(remote string) string {
	host := remote
	if ap, err := netip.ParseAddrPort(remote); err == nil {
		host = ap.Addr().String()
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return remote
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return remote
	}
	return p.String()
}

// key takes a reference to the account of rights.
func (l *ledger) key(r *auth.Rights) *account {
	name, label, plan := "anyone", "anyone", ""
	var limits auth.Limits
	id := name
	if r != nil {
		id, name, label, plan, limits = r.Account, r.Name, r.Label, r.Plan, r.Limits
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.accounts[id]
	if a == nil {
		l.forget()
		a = &account{name: name, label: label, plan: plan, streams: make(map[streamKind]*streamTime)}
		l.accounts[id] = a
	}
	a.refs++
	a.plan = plan
	a.bound(limits)
	return a
}

// forget makes room for another account. Under mu.
func (l *ledger) forget() {
	if len(l.accounts) < maxAccounts {
		return
	}
	for id, a := range l.accounts {
		if a.refs == 0 && strings.HasPrefix(id, "jwt:") {
			l.others.merge(a)
			delete(l.accounts, id)
		}
	}
}

// merge adds what another account used.
func (a *account) merge(b *account) {
	b.mu.Lock()
	used, streams := b.used, b.streams
	b.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used.Connections += used.Connections
	a.sentMessages.Add(b.sentMessages.Load())
	a.sentBytes.Add(b.sentBytes.Load())
	a.used.Requests += used.Requests
	a.used.Refused += used.Refused
	for kind, s := range streams {
		a.stream(kind).total += s.total
	}
}

// addr takes a reference to the account of an address.
func (l *ledger) addr(remote string) *account {
	id := address(remote)
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.byAddr[id]
	if a == nil {
		a = &account{name: id}
		l.byAddr[id] = a
	}
	a.refs++
	a.bound(l.address)
	return a
}

// LimitAddresses puts other limits in place of Config.PerAddress, also for those
// that are connected.
func (h *Hub) LimitAddresses(limits auth.Limits) {
	l := &h.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	l.address = limits
	for _, a := range l.byAddr {
		a.bound(limits)
	}
}

// put gives back a reference.
func (l *ledger) put(a *account) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.refs--; a.refs == 0 && l.byAddr[a.name] == a {
		delete(l.byAddr, a.name)
	}
}

// failed counts a wrong key or token of an address; false if there were too many
// lately, and then it is not even looked at.
func (l *ledger) mayFail(remote string, fails bool) bool {
	id := address(remote)
	now := time.Unix(0, l.cfg.Now())
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.failures[id]
	if !fails {
		return f == nil || f.TokensAt(now) >= 1
	}
	if f == nil {
		if len(l.failures) >= maxFailures {
			for id, f := range l.failures {
				if f.TokensAt(now) >= failureBurst {
					delete(l.failures, id)
				}
			}
		}
		if len(l.failures) >= maxFailures {
			return true // the server is under an attack of many; it costs each of them a connection
		}
		f = rate.NewLimiter(rate.Every(failureEvery), failureBurst)
		l.failures[id] = f
	}
	return f.AllowN(now, 1)
}

// bound sets the account's limits.
func (a *account) bound(limits auth.Limits) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limits == limits {
		return
	}
	a.limits = limits
	bucket := func(was *rate.Limiter, n int) *rate.Limiter {
		switch {
		case n == 0:
			return nil
		case was == nil:
			return rate.NewLimiter(rate.Limit(n), n)
		}
		was.SetLimit(rate.Limit(n))
		was.SetBurst(n)
		return was
	}
	a.messages, a.bytes = bucket(a.messages, limits.Messages), bucket(a.bytes, limits.Bytes)
	a.metered.Store(a.messages != nil || a.bytes != nil)
}

// connect counts a connection; false if it would be too many.
func (a *account) connect() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limits.Connections > 0 && a.connections >= a.limits.Connections {
		a.used.Refused++
		return false
	}
	a.connections++
	a.used.Connections++
	return true
}

func (a *account) disconnect() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.connections--
}

// subscribe counts streams; false if they would be too many.
func (a *account) subscribe(n int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limits.Subscriptions > 0 && n > 0 && a.subscriptions+n > a.limits.Subscriptions {
		a.used.Refused++
		return false
	}
	a.subscriptions += n
	return true
}

func (a *account) stream(kind streamKind) *streamTime {
	if a.streams == nil {
		a.streams = make(map[streamKind]*streamTime)
	}
	s := a.streams[kind]
	if s == nil {
		s = &streamTime{}
		a.streams[kind] = s
	}
	return s
}

// open counts streams that begin (n positive) or end.
func (a *account) open(kind streamKind, n int, now int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stream(kind).add(n, now)
}

// request counts a request of the client.
func (a *account) request(refused bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used.Requests++
	if refused {
		a.used.Refused++
	}
}

// pay counts what was delivered, and returns how long nothing more may be: what
// was sent at once beyond the rate has to be waited for. Nothing is thrown away
// for it: to who waits, the server sends as to who is slow.
func (a *account) pay(messages, bytes, now int64) time.Duration {
	a.sentMessages.Add(uint64(messages))
	a.sentBytes.Add(uint64(bytes))
	if !a.metered.Load() {
		return 0
	}
	at := time.Unix(0, now)
	a.mu.Lock()
	defer a.mu.Unlock()
	return max(spend(a.messages, messages, at), spend(a.bytes, bytes, at))
}

// spend takes n from a bucket, also what is not there yet, and returns when it
// will be.
func spend(l *rate.Limiter, n int64, now time.Time) time.Duration {
	if l == nil {
		return 0
	}
	var wait time.Duration
	for n > 0 {
		part := min(n, int64(l.Burst()))
		wait = l.ReserveN(now, int(part)).DelayFrom(now)
		n -= part
	}
	return wait
}

// owes reports how long the account has to wait before it gets more.
func (a *account) owes(at int64) time.Duration {
	if !a.metered.Load() {
		return 0
	}
	now := time.Unix(0, at)
	a.mu.Lock()
	defer a.mu.Unlock()
	var wait time.Duration
	for _, l := range []*rate.Limiter{a.messages, a.bytes} {
		if l == nil {
			continue
		}
		if t := l.TokensAt(now); t < 0 {
			wait = max(wait, time.Duration(-t/float64(l.Limit())*float64(time.Second)))
		}
	}
	return wait
}

// Usage is what one key, or one subject of tokens, has taken since the server
// started.
type Usage struct {
	Name  string `json:"name"`
	Plan  string `json:"plan,omitempty"`
	Label string `json:"label,omitempty"` // in metrics
	// Connected and Subscribed are the connections and streams of now.
	Connected   int           `json:"connected"`
	Subscribed  int           `json:"subscribed"`
	Connections uint64        `json:"connections"` // ever made, and requests for pages
	Requests    uint64        `json:"requests"`
	Refused     uint64        `json:"refused"`
	Messages    uint64        `json:"messages"`
	Bytes       uint64        `json:"bytes"`
	Streams     []StreamUsage `json:"streams"`
}

// StreamUsage is how long streams of one kind were open, summed.
type StreamUsage struct {
	Channel wire.Channel `json:"channel"`
	Class   string       `json:"class"`
	Open    int          `json:"open"`
	Hours   float64      `json:"hours"`
}

// Usage returns what every key has taken, in the order of their names.
func (h *Hub) Usage() []Usage {
	l := &h.ledger
	l.mu.Lock()
	accounts := []*account{l.others}
	for _, a := range l.accounts {
		accounts = append(accounts, a)
	}
	l.mu.Unlock()
	out := []Usage{}
	now := h.cfg.Now()
	for _, a := range accounts {
		if u := a.report(now); u.Connections > 0 || a != l.others {
			out = append(out, u)
		}
	}
	slices.SortFunc(out, func(a, b Usage) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (a *account) report(now int64) Usage {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := Usage{Name: a.name, Plan: a.plan, Label: a.label, Connected: a.connections, Subscribed: a.subscriptions,
		Connections: a.used.Connections, Requests: a.used.Requests, Refused: a.used.Refused,
		Messages: a.sentMessages.Load(), Bytes: a.sentBytes.Load(), Streams: []StreamUsage{}}
	for kind, s := range a.streams {
		s.add(0, now)
		u.Streams = append(u.Streams, StreamUsage{kind.channel, kind.class.String(), s.open, s.total})
	}
	slices.SortFunc(u.Streams, func(a, b StreamUsage) int {
		return int(a.Channel)<<8 - int(b.Channel)<<8 + strings.Compare(a.Class, b.Class)
	})
	return u
}
