package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// EmbeddedMaxPayload is the largest message that an embedded server takes, in
// bytes: a snapshot of a full book of 50,000 levels fits one message. A foreign
// server's own limit, 1 MiB by default, serves as well: what is larger goes in
// parts.
const EmbeddedMaxPayload = 8 << 20

// ServerConfig says how an embedded NATS server runs.
type ServerConfig struct {
	// Name is the server's name; default "quotewire".
	Name string
	// Listen is the address for clients, "127.0.0.1:4222"; port 0 takes a free
	// one. Empty: the server has no socket and serves this process only, see
	// [Server.InProcess].
	Listen string
	// Token, if set, is what every client must present.
	Token string
	// MaxPayload is the largest message in bytes; default [EmbeddedMaxPayload].
	MaxPayload int
	// JetStream turns on streams and key-value buckets, kept in StoreDir, which
	// it needs.
	JetStream bool
	StoreDir  string
	// Logger takes the server's own log; default slog.Default().
	Logger *slog.Logger
}

// Server is a NATS server in this process.
type Server struct {
	srv    *server.Server
	listen bool
	once   sync.Once
}

// StartServer starts a server and waits until it takes connections, or ctx ends.
// Close it in the end.
func StartServer(ctx context.Context, cfg ServerConfig) (*Server, error) {
	opts, err := cfg.options()
	if err != nil {
		return nil, fmt.Errorf("start NATS server: %w", err)
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("start NATS server: %w", err)
	}
	logger := cfg.Logger
	if logger == nil {
		logger = slog.Default()
	}
	log := &serverLog{logger: logger.With("component", "nats-server")}
	srv.SetLogger(log, false, false)
	srv.Start()
	for !srv.ReadyForConnections(50 * time.Millisecond) {
		err := log.fatal()
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && !srv.Running() {
			err = errors.New("stopped by itself")
		}
		if err != nil {
			srv.Shutdown()
			srv.WaitForShutdown()
			return nil, fmt.Errorf("start NATS server on %q: %w", cfg.Listen, err)
		}
	}
	return &Server{srv: srv, listen: cfg.Listen != ""}, nil
}

func (cfg ServerConfig) options() (*server.Options, error) {
	o := &server.Options{
		ServerName:    cfg.Name,
		MaxPayload:    int32(cfg.MaxPayload),
		Authorization: cfg.Token,
		JetStream:     cfg.JetStream,
		StoreDir:      cfg.StoreDir,
		NoSigs:        true, // the process that embeds it handles signals
	}
	if o.ServerName == "" {
		o.ServerName = "quotewire"
	}
	if o.MaxPayload <= 0 {
		o.MaxPayload = EmbeddedMaxPayload
	}
	// A client may have several of the largest messages waiting.
	o.MaxPending = max(64<<20, 8*int64(o.MaxPayload))
	if cfg.JetStream && cfg.StoreDir == "" {
		return nil, errors.New("JetStream needs a store directory")
	}
	if cfg.Listen == "" {
		o.DontListen = true
		return o, nil
	}
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen address: %w", err)
	}
	if o.Port, err = strconv.Atoi(port); err != nil || o.Port < 0 || o.Port > 65535 {
		return nil, fmt.Errorf("listen address %q: want a port number", cfg.Listen)
	}
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	o.Host = host
	if host == "" {
		o.Host = "0.0.0.0"
	}
	return o, nil
}

// URL returns where clients connect, "" if the server has no socket.
func (s *Server) URL() string {
	if !s.listen {
		return ""
	}
	return s.srv.ClientURL()
}

// InProcess is for [ConnConfig.InProcess]: a connection without a socket.
func (s *Server) InProcess() nats.InProcessConnProvider { return s.srv }

// Clients returns the number of connected clients.
func (s *Server) Clients() int { return s.srv.NumClients() }

// Close stops the server and waits until it has. Clients see a lost connection.
func (s *Server) Close() {
	s.once.Do(func() {
		s.srv.Shutdown()
		s.srv.WaitForShutdown()
	})
}

// serverLog passes the server's log on and keeps the first fatal error, which
// the server otherwise only logs.
type serverLog struct {
	logger *slog.Logger
	mu     sync.Mutex
	err    error
}

func (l *serverLog) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Noticef logs at debug level: the server's banner interests nobody.
func (l *serverLog) Noticef(format string, v ...any) { l.logger.Debug(fmt.Sprintf(format, v...)) }

// Warnf logs a warning.
func (l *serverLog) Warnf(format string, v ...any) { l.logger.Warn(fmt.Sprintf(format, v...)) }

// Fatalf logs an error and keeps the first.
func (l *serverLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	if l.err == nil {
		l.err = fmt.Errorf(format, v...)
	}
	l.mu.Unlock()
	l.logger.Error(fmt.Sprintf(format, v...))
}

// Errorf logs an error.
func (l *serverLog) Errorf(format string, v ...any) { l.logger.Error(fmt.Sprintf(format, v...)) }

// Debugf is never called: debug is off.
func (l *serverLog) Debugf(string, ...any) {}

// Tracef is never called: tracing is off.
func (l *serverLog) Tracef(string, ...any) {}
