package streamer

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/auth"
)

// Config is what a [Hub] needs. Directory is required; zero fields mean the
// defaults given.
type Config struct {
	Directory *market.Directory
	// Lanes is the number of goroutines that hold state; instruments are spread
	// over them by number, as over the shards of an orderbook.Engine. Default 1.
	Lanes int
	// Writers is the number of goroutines that write to clients. Default GOMAXPROCS.
	Writers int
	// Server is the name and version told in the welcome.
	Server string
	Logger *slog.Logger
	// Metrics registers the hub's metrics; nil keeps them private.
	Metrics prometheus.Registerer
	// Now returns the time in ns since the Unix epoch; default the wall clock.
	Now func() int64

	// Heartbeat is the time between heartbeats to a client. Default 5 s.
	Heartbeat time.Duration
	// MinInterval is the shortest conflation interval granted. Default 0.
	MinInterval time.Duration
	// MaxSubscriptions bounds the streams of one connection. Default 5000.
	MaxSubscriptions int
	// MaxConnections bounds the connections; more get HTTP 503. Default 20000.
	MaxConnections int
	// RequestRate and RequestBurst bound a connection's requests per second.
	// Default 50 and 200.
	RequestRate, RequestBurst int
	// LogFrames is how many messages of a stream with interval "0" a client may
	// be behind before it gets a gap. Default 512.
	LogFrames int
	// StateFrames is how many messages of a conflated stream are kept for
	// resuming clients. Default 8.
	StateFrames int
	// Linger is how long a topic outlives its last subscriber, so that one that
	// reconnects can resume. Default 30 s.
	Linger time.Duration
	// WriteTimeout closes a connection that takes nothing for so long; 0, the
	// default, never does: nobody is disconnected for being slow.
	WriteTimeout time.Duration
	// Compression offers permessage-deflate, without context takeover, to clients that
	// ask for it: runs of messages of 1 KiB and more that several clients are sent are
	// compressed, once for all. Default off.
	Compression bool
	// SocketBuffer bounds, in bytes, what waits in the kernel for a client's window
	// to open. What waits there can be neither conflated nor taken back: without a
	// bound a client that reads again after a while gets megabytes of the past
	// first. Default 128 KiB; negative leaves it to the kernel.
	SocketBuffer int
	// ReadTimeout closes a connection that neither sends nor answers pings for
	// so long. Default 2 min.
	ReadTimeout time.Duration
	// Access says who may come in and what they see; nil lets everybody see
	// everything.
	Access Access
	// AuthTimeout is how long a client may take to sign in. Default 10 s.
	AuthTimeout time.Duration
	// Delays are how late delayed data is, for each delay that Access has. A delay
	// that is not here is rounded up to one that is. NewCodec is required with it.
	Delays []time.Duration
	// DelayBytes bounds the memory of what waits for delayed clients, over all
	// delays. Default 1 GiB.
	DelayBytes int64
	// NewCodec returns what packs updates that wait.
	NewCodec func() UpdateCodec
	// PerAddress bounds what one address takes, whoever it is.
	PerAddress auth.Limits
	// Address returns a request's client's address; default the connection's.
	Address func(*http.Request) string
	// Audit is told who subscribed to what; nil tells nobody.
	Audit *slog.Logger
	// Demand is told when the first stream of an instrument begins, and when the
	// last has gone: Linger after its last subscriber, at most twice that. It is
	// called by lanes, several at once, counts for itself, and may wait for nothing.
	Demand func(id market.InstrumentID, wanted bool)
	// CheckOrigin says whether a browser page may connect; nil allows the
	// server's own origin only, and clients that are not browsers.
	CheckOrigin func(*http.Request) bool
	// Status returns further fields of /v1/status, such as the feeds' health; nil
	// adds none.
	Status func() map[string]any
	// Orders answers /v1/orders; nil where nobody can. It fails with
	// [orderbook.ErrNoOrders], with [ErrTooManyOrders], or with what may pass.
	Orders func(context.Context, orderbook.OrderQuery) (orderbook.OrdersReport, error)
	// Ready tells whether the service can serve, and why not; nil means always.
	Ready func() error
}

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	defTime := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.Lanes, 1)
	def(&c.Writers, runtime.GOMAXPROCS(0))
	def(&c.MaxSubscriptions, 5000)
	def(&c.MaxConnections, 20000)
	def(&c.RequestRate, 50)
	def(&c.RequestBurst, 200)
	def(&c.LogFrames, 512)
	def(&c.StateFrames, 8)
	def(&c.SocketBuffer, 128<<10)
	defTime(&c.Heartbeat, 5*time.Second)
	defTime(&c.Linger, 30*time.Second)
	defTime(&c.ReadTimeout, 2*time.Minute)
	defTime(&c.AuthTimeout, 10*time.Second)
	if c.DelayBytes == 0 {
		c.DelayBytes = 1 << 30
	}
	if c.Address == nil {
		c.Address = func(r *http.Request) string { return r.RemoteAddr }
	}
	if c.Audit == nil {
		c.Audit = slog.New(slog.DiscardHandler)
	}
	// A log must hold what one catches up with while the next comes.
	c.LogFrames, c.StateFrames = max(c.LogFrames, 4), max(c.StateFrames, 2)
	if c.Server == "" {
		c.Server = "quotewire"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = func() int64 { return time.Now().UnixNano() }
	}
	return c
}

// intervals are the conflation intervals granted. One that is asked for is
// rounded up to the next, so that subscribers share streams.
var intervals = [...]time.Duration{0, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
	30 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

// grantInterval returns the interval that is granted for one asked for.
func (c *Config) grantInterval(d time.Duration) time.Duration {
	d = max(d, c.MinInterval)
	for _, i := range intervals {
		if d <= i {
			return i
		}
	}
	return intervals[len(intervals)-1]
}
