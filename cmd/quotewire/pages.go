package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/quotewire/quotewire/web"
)

// pages is one HTTP server of the service.
type pages struct {
	listener net.Listener
	server   *http.Server
}

// addTLS makes the service serve encrypted, if the config says so.
func (s *service) addTLS(t tlsConfig) (err error) {
	if t.on() {
		s.tls, s.cert, err = newTLS(t, s.logger)
	}
	return err
}

// openPages opens the addresses that the service serves on: the clients' first,
// then the operator's, each if there is one.
func (s *service) openPages() (out []*pages, err error) {
	defer func() {
		if err != nil {
			for _, p := range out {
				_ = p.listener.Close()
			}
		}
	}()
	if s.listen != "" {
		l, err := net.Listen("tcp", s.listen)
		if err != nil {
			return out, fmt.Errorf("listen: %w", err)
		}
		scheme := "http"
		if s.tls != nil {
			l, scheme = tls.NewListener(l, s.tls), "https"
		}
		d := newDoors(s.proxies)
		s.registry.MustRegister(d.refused, d.wasted, d.gauge)
		p := newPages(l, s.handler(), s.logger)
		d.guard(p.server)
		out = append(out, p)
		s.logger.Info("listening", "url", scheme+"://"+l.Addr().String())
	}
	if s.adminListen != "" {
		l, err := net.Listen("tcp", s.adminListen)
		if err != nil {
			return out, fmt.Errorf("admin_listen: %w", err)
		}
		out = append(out, newPages(l, s.adminHandler(), s.logger))
		s.logger.Info("listening for the operator", "url", "http://"+l.Addr().String())
	}
	return out, nil
}

// newPages bounds how long who has not made a request may take, and how large it
// may be.
func newPages(l net.Listener, h http.Handler, logger *slog.Logger) *pages {
	return &pages{l, &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: log.New(serverLog{logger}, "", 0)}}
}

// serverLog takes what the HTTP server has to say. What clients do wrong before they
// ask for anything, such as TLS that fails, is for debugging: anybody could fill the
// log with it. A handler's panic is our bug.
type serverLog struct{ logger *slog.Logger }

func (l serverLog) Write(line []byte) (int, error) {
	level := slog.LevelDebug
	if bytes.Contains(line, []byte("panic serving")) {
		level = slog.LevelError
	}
	l.logger.Log(context.Background(), level, strings.TrimSpace(string(line)))
	return len(line), nil
}

func (p *pages) serve() error {
	if err := p.server.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return nil
}

func (p *pages) shutdown(ctx context.Context) {
	if err := p.server.Shutdown(ctx); err != nil {
		_ = p.server.Close()
	}
}

// handler serves clients. Metrics are here only where the operator has no address
// of their own, and then, where there are keys, for the operator's.
func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	api := s.hub.Handler()
	for _, p := range []string{"/v1/", "/healthz", "/readyz"} {
		mux.Handle(p, api)
	}
	if s.adminListen == "" {
		mux.Handle("GET /metrics", s.hub.OperatorOnly(s.metrics()))
	}
	mux.Handle("/", web.Handler())
	return mux
}

func (s *service) metrics() http.Handler {
	return promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{})
}

// adminHandler serves the operator, who needs no key here: nobody else is to
// reach it.
func (s *service) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics())
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.Handle("GET /", s.hub.AdminHandler())
	return mux
}
