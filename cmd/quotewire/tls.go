package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/time/rate"
)

// certificate is a certificate of files, read again when they have changed.
type certificate struct {
	cert, key string
	current   atomic.Pointer[tls.Certificate]
}

func newCertificate(cert, key string) (*certificate, error) {
	c := &certificate{cert: cert, key: key}
	return c, c.reload()
}

// reload reads the files. If they do not go together, the certificate stays what
// it was: they may be being written.
func (c *certificate) reload() error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}
	if time.Now().After(pair.Leaf.NotAfter) {
		return fmt.Errorf("load certificate: %s ended on %s", c.cert, pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	c.current.Store(&pair)
	return nil
}

// watch reloads the certificate.
func (c *certificate) watch(logger *slog.Logger) {
	if err := c.reload(); err != nil {
		logger.Error("certificate not reloaded; the one before goes on", "err", err)
		return
	}
	logger.Info("certificate reloaded", "file", c.cert, "until", c.current.Load().Leaf.NotAfter)
}

// newTLS returns how clients are served, and the certificate if it is of files.
// WebSockets need HTTP/1.1.
func newTLS(t tlsConfig, logger *slog.Logger) (*tls.Config, *certificate, error) {
	if len(t.ACME.Hosts) > 0 {
		if err := os.MkdirAll(t.ACME.Cache, 0o700); err != nil {
			return nil, nil, fmt.Errorf("tls.acme.cache: %w", err)
		}
		m := &autocert.Manager{Prompt: autocert.AcceptTOS, HostPolicy: autocert.HostWhitelist(t.ACME.Hosts...),
			Cache: autocert.DirCache(t.ACME.Cache), Email: t.ACME.Email}
		if t.ACME.Directory != "" {
			m.Client = &acme.Client{DirectoryURL: t.ACME.Directory}
		}
		c := m.TLSConfig()
		c.NextProtos = []string{"http/1.1", acme.ALPNProto}
		c.MinVersion = tls.VersionTLS12
		c.GetCertificate = told(c.GetCertificate, t.ACME.Hosts, logger)
		return c, nil, nil
	}
	cert, err := newCertificate(t.Cert, t.Key)
	if err != nil {
		return nil, nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert.current.Load(), nil },
	}, cert, nil
}

// told logs, once a minute, that there is no certificate for one of our hosts: the
// client hears only that the handshake failed. What else clients ask for is not
// logged, see [serverLog].
func told(get func(*tls.ClientHelloInfo) (*tls.Certificate, error), hosts []string, logger *slog.Logger) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	sometimes := rate.Sometimes{Interval: time.Minute}
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		c, err := get(hello)
		if err != nil && slices.Contains(hosts, hello.ServerName) {
			sometimes.Do(func() {
				logger.Error("no certificate; it is asked for again in a minute", "host", hello.ServerName, "err", err)
			})
		}
		return c, err
	}
}
