package sim

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Config says which provider a Server plays.
type Config struct {
	// Provider is "polygon", "coinbase", "coinbase-advanced", "kraken", "okx",
	// "bybit", "bitfinex", "gemini", "binance", "binance-usdm" or "bitstamp".
	Provider string
	// Market is what is shown. It is stepped by its owner, not by the server.
	Market *Market
	// Keys are the API keys that Polygon, Coinbase and Kraken accept; empty means
	// any.
	Keys []string
	// Secret is what requests for single orders at Coinbase and Kraken are signed
	// with, in base64; empty takes any signature.
	Secret string
	// MaxConnections is how many connections Polygon allows a key in one
	// market; 0 means 1. The newest login wins.
	MaxConnections int
	// NotAuthorized names further Polygon channels that the plan does not have,
	// beside those that the simulator never serves (NOI, FMV, LV, XA, XAS).
	NotAuthorized []string
	// QueueBytes bounds what waits for one connection; a connection that falls
	// further behind is cut. 0 means 16 MiB.
	QueueBytes int
	// AuthTimeout is how long Polygon waits for the auth message, 0 means 10 s;
	// SubscribeTimeout how long Coinbase waits for the first subscribe, 0 means
	// the documented 5 s. Both run in real time.
	AuthTimeout      time.Duration
	SubscribeTimeout time.Duration
	// Logger takes connects, cuts and refused messages; nil means silence.
	Logger *slog.Logger
}

// protocol is one provider's side of the wire. Its methods are called with
// Market.mu held.
type protocol interface {
	sink
	opened(c *conn, path string)
	received(c *conn, b []byte)
	closed(c *conn)
	// expired is called when the time for the first message, set with
	// conn.deadline, has passed.
	expired(c *conn)
	subscriptions() []string
}

// Server speaks one provider's protocol to any number of WebSocket clients. It
// is an http.Handler, and can listen by itself. All methods may be called from
// any goroutine.
type Server struct {
	cfg      Config
	log      *slog.Logger
	market   *Market
	proto    protocol
	postman  *postman
	upgrader websocket.Upgrader
	wg       sync.WaitGroup

	// Guarded by market.mu, so that connections, faults and market move as one.
	conns    []*conn            // in the order of arrival, for the same frames in the same order
	live     map[*conn]struct{} // conns and those that are taking their leave
	accepted int
	requests []string // over HTTP
	faults   faults
	shut     bool

	// Guarded by lmu, which is never held together with market.mu.
	lmu       sync.Mutex
	listeners []net.Listener
	servers   []*http.Server
}

// NewServer makes a server and joins it to its market. It serves nobody until
// Listen or Serve is called or it is mounted as an http.Handler.
func NewServer(cfg Config) (*Server, error) {
	if cfg.Market == nil {
		return nil, errors.New("simulated server: no market")
	}
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = 1
	}
	if cfg.QueueBytes == 0 {
		cfg.QueueBytes = 16 << 20
	}
	if cfg.AuthTimeout == 0 {
		cfg.AuthTimeout = 10 * time.Second
	}
	if cfg.SubscribeTimeout == 0 {
		cfg.SubscribeTimeout = 5 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, log: cfg.Logger.With("simulator", cfg.Provider), market: cfg.Market, live: map[*conn]struct{}{}}
	s.upgrader = websocket.Upgrader{
		WriteBufferSize: 32 << 10,
		CheckOrigin:     func(*http.Request) bool { return true },
	}
	switch cfg.Provider {
	case "polygon":
		s.proto = newPolygon(s)
	case "coinbase":
		s.proto = newCoinbase(s)
	case "coinbase-advanced":
		s.proto = newCoinbaseAdvanced(s)
	case "alpaca":
		s.proto = newAlpaca(s)
	case "kraken":
		s.proto = newKraken(s)
	case OKX:
		s.proto = newOKX(s)
	case Bybit:
		s.proto = newBybit(s)
	case Bitfinex:
		s.proto = newBitfinex(s)
	case Gemini:
		s.proto = newGemini(s)
	case Binance:
		s.proto = newBinance(s, false)
	case BinanceUSDM:
		s.proto = newBinance(s, true)
	case Bitstamp:
		s.proto = newBitstamp(s)
	default:
		return nil, fmt.Errorf("simulated server: provider %q is not one of alpaca, polygon, coinbase, coinbase-advanced, kraken, okx, bybit, bitfinex, gemini, binance, binance-usdm, bitstamp", cfg.Provider)
	}
	s.postman = &postman{s}
	s.market.attach(s.postman) // before the protocol, which may still batch what it lets go
	s.market.attach(s.proto)
	return s, nil
}

// Listen opens a TCP listener and serves on it in the background until Close.
// "127.0.0.1:0" takes a free port, which URL then names.
func (s *Server) Listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("simulated %s server: %w", s.cfg.Provider, err)
	}
	s.serve(l)
	return nil
}

// Serve serves on a listener in the background until Close, which closes it.
func (s *Server) Serve(l net.Listener) { s.serve(l) }

func (s *Server) serve(l net.Listener) {
	hs := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	s.lmu.Lock()
	s.listeners = append(s.listeners, l)
	s.servers = append(s.servers, hs)
	s.lmu.Unlock()
	s.wg.Go(func() {
		if err := hs.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("listener ended", "error", err)
		}
	})
}

// URL is the base ws:// address of the first listener, without a path: Polygon
// wants /stocks or /crypto added, Kraken's usual /v2 and Coinbase's / may be.
// It is empty before Listen.
func (s *Server) URL() string {
	s.lmu.Lock()
	defer s.lmu.Unlock()
	if len(s.listeners) == 0 {
		return ""
	}
	return "ws://" + s.listeners[0].Addr().String()
}

// Close cuts every connection, stops listening and returns when no goroutine of
// the server is left. The market goes on without it.
func (s *Server) Close() {
	s.market.detach(s.proto)
	s.market.detach(s.postman)
	s.market.mu.Lock()
	s.shut = true
	for c := range s.live {
		s.forget(c)
		c.cut()
	}
	s.market.mu.Unlock()
	s.lmu.Lock()
	servers := s.servers
	s.lmu.Unlock()
	for _, hs := range servers {
		hs.Close()
	}
	s.wg.Wait()
}

// ServeHTTP upgrades a request and serves the connection until it ends.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.market.mu.Lock()
	refused := s.faults.refuseConnections || s.shut
	if !refused {
		s.wg.Add(1)
	}
	s.market.mu.Unlock()
	if refused {
		http.Error(w, "service unavailable", http.StatusServiceUnavailable)
		return
	}
	defer s.wg.Done()
	if s.serveREST(w, r) {
		return
	}
	ws, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		s.log.Debug("upgrade refused", "error", err) // Upgrade has answered
		return
	}
	c := newConn(s, ws)
	s.market.mu.Lock()
	if s.shut {
		s.market.mu.Unlock()
		ws.Close()
		return
	}
	s.accepted++
	c.id = s.accepted
	s.conns = append(s.conns, c)
	s.live[c] = struct{}{}
	c.header = r.Header
	s.proto.opened(c, r.URL.Path)
	s.market.mu.Unlock()
	s.log.Debug("connected", "connection", c.id, "path", r.URL.Path)

	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write()
	}()
	err = c.read()
	s.market.mu.Lock()
	s.forget(c)
	delete(s.live, c)
	s.market.mu.Unlock()
	c.stop()
	<-written
	ws.Close()
	s.log.Debug("disconnected", "connection", c.id, "cause", err)
}

// forget takes a connection out of everything that sends. market.mu is held.
func (s *Server) forget(c *conn) {
	if i := slices.Index(s.conns, c); i >= 0 {
		s.conns = slices.Delete(s.conns, i, i+1)
		s.proto.closed(c)
	}
}
