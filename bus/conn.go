package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

// ConnConfig says how a connection to NATS is made. URL or InProcess is
// required.
type ConnConfig struct {
	URL       string                     // "nats://host:4222", several joined by ","
	InProcess nats.InProcessConnProvider // instead of URL, see [Server.InProcess]
	Name      string                     // shown by the server; default "quotewire"
	Token     string                     // if the server wants one
	// ReconnectWait is the pause between attempts, to which up to as much again
	// is added at random; default 500 ms. Attempts never end.
	ReconnectWait time.Duration
	Logger        *slog.Logger  // default slog.Default()
	Options       []nats.Option // further options (TLS, credentials), applied last
}

// Connect returns a connection that is made for the bus: it reconnects for ever
// with jitter, also when the server is not there yet at the start, and keeps
// nothing for later while it is cut off, since what is missed is repaired by
// snapshot. It fails only on a configuration that can never work. The caller
// closes it, after the Publisher or Subscriber that uses it.
func Connect(cfg ConnConfig) (*nats.Conn, error) {
	if cfg.URL == "" && cfg.InProcess == nil {
		return nil, errors.New("connect to NATS: want a URL")
	}
	if cfg.Name == "" {
		cfg.Name = "quotewire"
	}
	if cfg.ReconnectWait <= 0 {
		cfg.ReconnectWait = 500 * time.Millisecond
	}
	log := cfg.Logger
	if log == nil {
		log = slog.Default()
	}
	log = log.With("component", "nats", "connection", cfg.Name)
	opts := []nats.Option{
		nats.Name(cfg.Name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(cfg.ReconnectWait),
		nats.ReconnectJitter(cfg.ReconnectWait, cfg.ReconnectWait),
		nats.RetryOnFailedConnect(true),
		nats.ReconnectBufSize(-1),
		nats.Timeout(5 * time.Second),
		// Two pings without an answer: a half-open connection shows in 15 s.
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(5 * time.Second),
		nats.ConnectHandler(func(nc *nats.Conn) { log.Info("connected to NATS", "url", nc.ConnectedUrlRedacted()) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil when it was closed on purpose
				log.Warn("lost the connection to NATS", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("reconnected to NATS", "url", nc.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			// A slow consumer is reported once until it has caught up.
			if sub != nil {
				log.Warn("NATS error", "subject", sub.Subject, "error", err)
				return
			}
			log.Warn("NATS error", "error", err)
		}),
	}
	if cfg.Token != "" {
		opts = append(opts, nats.Token(cfg.Token))
	}
	if cfg.InProcess != nil {
		opts = append(opts, nats.InProcessServer(cfg.InProcess))
	}
	nc, err := nats.Connect(cfg.URL, append(opts, cfg.Options...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return nc, nil
}
