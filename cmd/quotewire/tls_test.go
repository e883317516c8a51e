package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds/sim"
)

// Clients get HTTP/1.1 and nothing else, whatever they offer, and no tunnel:
// docs/security.md answers findings in HTTP/2 and in CONNECT with that.
func TestOnlyHTTP1(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	newPair(t, cert, key, 1)
	d := world(t, sim.MarketConfig{Seed: 1})
	plain := start(t, d.feeds(), nil)
	encrypted := start(t, d.feeds(), func(s *service) {
		if err := s.addTLS(tlsConfig{Cert: cert, Key: key}); err != nil {
			t.Fatal(err)
		}
	})
	dials := map[string]func() (net.Conn, error){
		"in clear": func() (net.Conn, error) { return net.Dial("tcp", strings.TrimPrefix(plain.url, "http://")) },
		"TLS": func() (net.Conn, error) {
			conn, err := tls.Dial("tcp", strings.TrimPrefix(encrypted.url, "http://"),
				&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}}) //nolint:gosec // the test's own certificate
			if err == nil && conn.ConnectionState().NegotiatedProtocol != "http/1.1" {
				err = fmt.Errorf("agreed on %q", conn.ConnectionState().NegotiatedProtocol)
			}
			return conn, err
		},
	}
	for name, dial := range dials {
		for request, want := range map[string]int{
			"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n":                                                                            http.StatusOK,
			"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00":                                                http.StatusBadRequest,
			"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n": http.StatusOK,
			"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n":                                                                       http.StatusNotFound,
			"CONNECT /healthz HTTP/1.1\r\nHost: x\r\n\r\n":                                                                        http.StatusMethodNotAllowed,
		} {
			conn, err := dial()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := conn.Write([]byte(request)); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("%s: %q: %v", name, request, err)
			}
			if res.StatusCode != want || res.ProtoMajor != 1 {
				t.Errorf("%s: %q is answered %s %s, want %d", name, request, res.Proto, res.Status, want)
			}
			_ = res.Body.Close()
			_ = conn.Close()
		}
	}
	acme, _, err := newTLS(tlsConfig{ACME: acmeConfig{Hosts: []string{"example.com"}, Cache: filepath.Join(dir, "acme")}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(acme.NextProtos, "h2") {
		t.Errorf("with ACME the server offers %q", acme.NextProtos)
	}
}

// TestNoCertificateIsTold: an authority that gives no certificate is logged, once a
// minute and for our own hosts alone.
func TestNoCertificateIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		get := told(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("order is invalid") },
			[]string{"quotes.example.com"}, slog.New(slog.NewTextHandler(&out, nil)))
		for _, host := range []string{"other.example.com", "quotes.example.com", "quotes.example.com"} {
			if _, err := get(&tls.ClientHelloInfo{ServerName: host}); err == nil {
				t.Errorf("%s: no error", host)
			}
		}
		if s := out.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "host=quotes.example.com") || !strings.Contains(s, "order is invalid") {
			t.Errorf("logged: %s", s)
		}
		time.Sleep(time.Minute)
		_, _ = get(&tls.ClientHelloInfo{ServerName: "quotes.example.com"})
		if s := out.String(); strings.Count(s, "\n") != 2 {
			t.Errorf("a minute later, logged: %s", s)
		}
	})
}
