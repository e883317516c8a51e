package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/streamer/wire"
)

// TestSubAtAGuardedServer runs the sub command against a server with TLS and keys,
// one of which the key command has made.
func TestSubAtAGuardedServer(t *testing.T) {
	dir := t.TempDir()
	cert, certKey := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	newPair(t, cert, certKey, 1)
	// What it prints is what the config takes, without the key itself.
	made := program(t.Context(), "key", "--name", "alice", "--plan", "btc")
	var keys, told bytes.Buffer
	made.Stdout, made.Stderr = &keys, &told
	if err := made.Run(); err != nil {
		t.Fatal(err)
	}
	key := regexp.MustCompile(`qw_\w+`).FindString(told.String())
	if key == "" || strings.Contains(keys.String(), "qw_") {
		t.Fatalf("the key command says %q, and to the config %q", told.String(), keys.String())
	}
	write(t, filepath.Join(dir, "keys.yaml"), keys.String())
	path := filepath.Join(dir, "q.yaml")
	write(t, path, "auth:\n  keys_file: keys.yaml\n  plans:\n    btc: {grants: [{symbols: [BTC-USD], depth: 3}]}\n")
	c, err := loadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	d := world(t, sim.MarketConfig{Seed: 1})
	ctx, cancel := context.WithCancel(t.Context())
	moved := make(chan struct{})
	go func() { defer close(moved); _ = d.market.Run(ctx) }()
	defer func() { cancel(); <-moved }()
	s := start(t, d.feeds()[2:], func(s *service) {
		if err := s.addTLS(tlsConfig{Cert: cert, Key: certKey}); err != nil {
			t.Fatal(err)
		}
		if err := s.addGuard(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.closeGuard() })
	})
	sub := func(env string, args ...string) (out []string, err error) {
		cmd := program(t.Context(), append([]string{"sub", "--url", strings.Replace(s.url, "http", "https", 1), "-n", "3"}, args...)...)
		cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+cert, env)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, stderr.String())
		}
		return strings.Split(strings.TrimSpace(stdout.String()), "\n"), nil
	}
	eventually(t, "prints", func() error {
		lines, err := sub("QUOTEWIRE_KEY="+key, "--channel", "trade", "--symbols", "BTC-USD")
		if err == nil && len(lines) != 3 {
			err = fmt.Errorf("%q", lines)
		}
		return err
	})
	lines, err := sub("", "--key", key, "--channel", "book", "--group", "25", "--symbols", "BTC-USD")
	if err != nil {
		t.Fatal(err)
	}
	m, err := wire.Parse([]byte(lines[0]))
	snap, ok := m.(*wire.Snapshot)
	if err != nil || !ok || len(snap.Bids) != 3 || len(snap.Asks) != 3 {
		t.Fatalf("%v in %s", err, lines[0])
	}
	for _, l := range append(snap.Bids, snap.Asks...) {
		if !regexp.MustCompile(`(00|25|50|75)$`).MatchString(l.Price) {
			t.Errorf("level at %s, want groups of 25", l.Price)
		}
	}
	if lines, err := sub("", "--key", key, "--channel", "bar", "--bar", "1s", "--symbols", "BTC-USD"); err != nil || !strings.Contains(lines[1], `"bar":"1s"`) {
		t.Errorf("%q %v", lines, err)
	}
	for _, tt := range []struct{ want, args string }{
		{"401 Unauthorized", "--key wrong"},
		{"unauthorized", "--symbols BTC-USD"},
		{"forbidden", "--symbols ETH-USD --key " + key},
		{"is for --channel book", "--channel quote --group 25"},
		{"at most 8 decimals", "--channel book --group 0.123456789"},
		{"want 1s, 1m", "--channel bar --bar 2m"},
	} {
		if lines, err := sub("", strings.Fields(tt.args)...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("sub %s: %q %v, want %s", tt.args, lines, err, tt.want)
		}
	}
	plain := program(t.Context(), "sub", "--url", strings.Replace(s.url, "http", "https", 1), "-n", "1")
	if out, err := plain.CombinedOutput(); err == nil || !strings.Contains(string(out), "x509") || strings.Contains(string(out), "running?") {
		t.Errorf("a certificate that nobody has signed: %s %v", out, err)
	}
}

// TestServerLog: a handshake that fails is logged for debugging, as all lines are,
// and a handler's panic as an error.
func TestServerLog(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	newPair(t, cert, key, 1)
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
		var logged buffer
		s := start(t, nil, func(s *service) {
			s.logger = slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: level}))
			if err := s.addTLS(tlsConfig{Cert: cert, Key: key}); err != nil {
				t.Fatal(err)
			}
		})
		address := strings.TrimPrefix(s.url, "http://")
		if conn, err := tls.Dial("tcp", address, nil); err == nil {
			_ = conn.Close()
			t.Fatal("the certificate was taken")
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprint(conn, "GET / HTTP/1.1\r\n\r\n")
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, _ = conn.Read(make([]byte, 1))
		_ = conn.Close()
		s.stop()
		if got := strings.Contains(logged.String(), "TLS handshake error"); got != (level == slog.LevelDebug) {
			t.Errorf("at level %s the log says %s", level, logged.String())
		}
	}
	var logged buffer
	_, _ = serverLog{slog.New(slog.NewJSONHandler(&logged, nil))}.Write([]byte("http: panic serving 127.0.0.1:1: oops\n"))
	if !strings.Contains(logged.String(), `"level":"ERROR","msg":"http: panic serving 127.0.0.1:1: oops"`) {
		t.Errorf("a panic is logged as %s", logged.String())
	}
}
