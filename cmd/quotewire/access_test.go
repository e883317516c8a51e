package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/quotewire/quotewire/feeds/sim"
	"github.com/quotewire/quotewire/streamer/auth"
)

// answer is a page's status and body, asked for with a key.
func answer(t *testing.T, url, key string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// buffer is a log that is written and read at once.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const guardedConfig = `log: {level: warn}
auth:
  audit: %s
  plans:
    op: {admin: true, grants: [{symbols: ["*"]}]}
    btc: {grants: [{symbols: [%s]}]}
    late: {grants: [{symbols: ["*"], delayed: true}]}
  keys:
    - {name: op, hash: "%s", plan: op}
    - {name: btc, hash: "%s", plan: btc}
    - {name: late, hash: "%s", plan: late}
`

func guardedText(audit, symbols string) string {
	return fmt.Sprintf(guardedConfig, audit, symbols, auth.HashKey("op"), auth.HashKey("btc"), auth.HashKey("late"))
}

// TestGuardedService: a service with keys, its operator's address, its audit log,
// and a config that changes while it runs.
func TestGuardedService(t *testing.T) {
	d := world(t, sim.MarketConfig{Seed: 1})
	dir := t.TempDir()
	path, audit := filepath.Join(dir, "q.yaml"), filepath.Join(dir, "audit.jsonl")
	write(t, path, guardedText(audit, "BTC-USD"))
	c, err := loadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	var logged buffer
	level := new(slog.LevelVar)
	var follow *reloader
	s := start(t, d.feeds(), func(s *service) {
		s.logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: level}))
		if err := s.addGuard(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.closeGuard() })
		s.adminListen = "127.0.0.1:0"
		follow = &reloader{service: s, path: path, config: c, logging: &logging{level: level, logger: s.logger}}
	})
	eventually(t, "books", func() error {
		if status, body := answer(t, s.url+"/v1/snapshot/quote/BTC-USD", "btc"); status != 200 || !strings.Contains(body, `"bid":"`) {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	for page, want := range map[string]map[string]int{
		"/v1/snapshot/quote/BTC-USD": {"": 401, "btc": 200, "late": 200, "op": 200},
		"/v1/snapshot/quote/ETH-USD": {"btc": 403, "op": 200},
		"/v1/usage":                  {"": 401, "btc": 403, "op": 200},
		"/metrics":                   {"op": 404}, // the operator has an address of their own
		"/debug/pprof/":              {"op": 404},
		"/":                          {"": 200},
	} {
		for key, want := range want {
			if got, body := answer(t, s.url+page, key); got != want {
				t.Errorf("%s with %q: %d %s, want %d", page, key, got, body, want)
			}
		}
	}
	if _, body := answer(t, s.url+"/v1/snapshot/quote/BTC-USD", "late"); strings.Contains(body, `"bid":"`) {
		t.Errorf("a delayed key sees the present: %s", body)
	}
	if _, body := answer(t, s.url+"/v1/status", "btc"); strings.Contains(body, "feeds") || strings.Contains(body, "refused") {
		t.Errorf("a client sees the operator's part: %s", body)
	}

	// Another plan for btc, while it runs.
	follow.changed()
	write(t, path, guardedText(audit, "ETH-USD")+"server: {max_connections: 5}\n")
	if !follow.changed() {
		t.Error("a change is not seen")
	}
	follow.reload(t.Context(), true)
	if got, body := answer(t, s.url+"/v1/snapshot/quote/BTC-USD", "btc"); got != 403 {
		t.Errorf("after the change: %d %s", got, body)
	}
	if got, body := answer(t, s.url+"/v1/snapshot/quote/ETH-USD", "btc"); got != 200 {
		t.Errorf("after the change: %d %s", got, body)
	}
	if text := logged.String(); !strings.Contains(text, "after a restart only") || !strings.Contains(text, "server.max_connections") || strings.Contains(text, "auth.") {
		t.Errorf("the log says %s", text)
	}
	if level.Level() != slog.LevelWarn {
		t.Errorf("the level is %s", level.Level())
	}
	// A mistake changes nothing.
	write(t, path, strings.Replace(guardedText(audit, "BTC-USD"), "plan: btc", "plan: none", 1))
	follow.reload(t.Context(), false)
	if got, _ := answer(t, s.url+"/v1/snapshot/quote/ETH-USD", "btc"); got != 200 {
		t.Errorf("after a mistake: %d", got)
	}
	if text := logged.String(); !strings.Contains(text, "config not reloaded") {
		t.Errorf("the log says %s", text)
	}
	out := new(bytes.Buffer)
	if err := printUsage(out, s.hub.Usage()); err != nil || !strings.Contains(out.String(), "btc") {
		t.Errorf("usage is %s, %v", out, err)
	}
	s.stop()
	b, err := os.ReadFile(audit)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if !json.Valid([]byte(line)) {
			t.Errorf("the audit log has %s", line)
		}
	}
}

func TestAdminAddress(t *testing.T) {
	d := world(t, sim.MarketConfig{Seed: 1})
	s := start(t, d.feeds(), func(s *service) { s.adminListen = "127.0.0.1:0" })
	_ = s
	srv := &http.Server{Handler: s.adminHandler(), ReadHeaderTimeout: time.Second}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	for _, page := range []string{"/metrics", "/debug/pprof/", "/v1/status", "/v1/usage", "/healthz"} {
		if got, _ := answer(t, "http://"+l.Addr().String()+page, ""); got != 200 {
			t.Errorf("%s: %d", page, got)
		}
	}
}

// newPair writes a certificate for 127.0.0.1 with a serial number.
func newPair(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	pk, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	write(t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pk})))
}

// TestTLS: served encrypted, with the certificate that is in the files now; one
// that is half written changes nothing.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	newPair(t, cert, key, 1)
	d := world(t, sim.MarketConfig{Seed: 1})
	s := start(t, d.feeds(), func(s *service) {
		if err := s.addTLS(tlsConfig{Cert: cert, Key: key}); err != nil {
			t.Fatal(err)
		}
	})
	serial := func() int64 {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "http://"), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the test reads what it wrote
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(b), "ok\n") {
			t.Fatalf("%s %v", b, err)
		}
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if n := serial(); n != 1 {
		t.Errorf("serial number %d", n)
	}
	r := &reloader{service: s.service, config: &config{}, cert: s.cert}
	r.changed()
	newPair(t, cert, key, 2)
	if !r.changed() {
		t.Error("a new certificate is not seen")
	}
	s.cert.watch(s.logger)
	if n := serial(); n != 2 {
		t.Errorf("serial number %d after the change", n)
	}
	write(t, cert, "half")
	s.cert.watch(s.logger)
	if n := serial(); n != 2 {
		t.Errorf("serial number %d after half a change", n)
	}
}

// TestRestartOnly: every key of the config that is not followed is told.
func TestRestartOnly(t *testing.T) {
	was := &config{}
	is := &config{Listen: ":1", Server: serverConfig{MaxConnections: 1, PerAddress: limitsConfig{Connections: 1}}, Feeds: []feedConfig{{}},
		Log: logConfig{Level: "debug", Format: "json"}, TLS: tlsConfig{ACME: acmeConfig{Email: "a"}}}
	if got := strings.Join(needRestart(was, is), " "); got != "listen tls.acme.email log.format server.max_connections feeds" {
		t.Errorf("needs a restart: %s", got)
	}
	is = &config{Auth: authConfig{Anonymous: "a"}}
	if got := strings.Join(needRestart(was, is), " "); got != "auth.anonymous" {
		t.Errorf("a guard where there was none: %s", got)
	}
}

func TestClientAddress(t *testing.T) {
	f := clientAddress([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	for _, tt := range []struct{ remote, forwarded, want string }{
		{"192.0.2.1:99", "198.51.100.7", "192.0.2.1"}, // no proxy of ours says so
		{"10.0.0.1:99", "198.51.100.7", "198.51.100.7"},
		{"10.0.0.1:99", "203.0.113.9, 198.51.100.7", "198.51.100.7"}, // the first is the client's word
		{"10.0.0.1:99", "198.51.100.7, 10.1.1.1", "198.51.100.7"},
		{"10.0.0.1:99", "", "10.0.0.1"},
		{"10.0.0.1:99", "junk", "10.0.0.1"},
	} {
		r := &http.Request{RemoteAddr: tt.remote, Header: http.Header{}}
		if tt.forwarded != "" {
			r.Header.Set("X-Forwarded-For", tt.forwarded)
		}
		if got := f(r); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
	if clientAddress(nil) != nil {
		t.Error("without proxies nothing is believed")
	}
}

// TestSlowDoors: connections that do not say what they want are bounded, by address
// and by time, and counted; others get in meanwhile.
func TestSlowDoors(t *testing.T) {
	d := newDoors(nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := newPages(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") }), slog.New(slog.DiscardHandler))
	d.guard(p.server)
	p.server.ReadHeaderTimeout = 200 * time.Millisecond
	done := make(chan error, 1)
	go func() { done <- p.serve() }()
	defer func() {
		p.shutdown(context.Background())
		<-done
	}()
	closed := make(chan struct{}, 2*maxDoorsAddress)
	for i := range maxDoorsAddress + 20 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		// Half a request, nothing, or one header after the other.
		_, _ = io.WriteString(c, []string{"GET / HT", "", "GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n"}[i%3])
		go func() {
			_, _ = io.Copy(io.Discard, c)
			closed <- struct{}{}
		}()
	}
	for range maxDoorsAddress + 20 {
		select {
		case <-closed:
		case <-time.After(30 * time.Second):
			t.Fatal("a connection that says nothing stays open")
		}
	}
	eventually(t, "the count", func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.open) != 0 || len(d.byAddress) != 0 {
			return fmt.Errorf("%d open", len(d.open))
		}
		return nil
	})
	if got, body := answer(t, "http://"+l.Addr().String()+"/", ""); got != 200 || body != "in" {
		t.Errorf("%d %s", got, body)
	}
	var m dto.Metric
	if err := d.wasted.Write(&m); err != nil || m.GetCounter().GetValue() < maxDoorsAddress {
		t.Errorf("%v were counted, %v", m.GetCounter().GetValue(), err)
	}
}

func TestDoorsAreBounded(t *testing.T) {
	d := newDoors(nil)
	var conns []net.Conn
	for i := range maxDoorsAddress + 1 {
		c, other := net.Pipe()
		defer func() { _, _ = c.Close(), other.Close() }()
		if got, want := d.enter(c), i < maxDoorsAddress; got != want {
			t.Fatalf("connection %d: %v", i, got)
		}
		conns = append(conns, c)
	}
	d.state(conns[0], http.StateHijacked)
	if !d.enter(conns[maxDoorsAddress]) {
		t.Error("no room after one left")
	}
}

// TestGuardedGateway: a gateway asks for keys too, and delays what comes over the
// bus.
func TestGuardedGateway(t *testing.T) {
	d := world(t, sim.MarketConfig{Seed: 1})
	var nats string
	feed := start(t, d.feeds(), func(s *service) {
		s.bus = busOptions{role: "feed", listen: "127.0.0.1:0", node: "a"}
	})
	nats = feed.joined.server.URL()
	path := filepath.Join(t.TempDir(), "q.yaml")
	write(t, path, guardedText(filepath.Join(t.TempDir(), "audit.jsonl"), "BTC-USD"))
	c, err := loadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, nil, func(s *service) {
		s.bus = busOptions{role: "gateway", url: nats}
		if err := s.addGuard(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.closeGuard() })
	})
	eventually(t, "books", func() error {
		if status, body := answer(t, s.url+"/v1/snapshot/quote/BTC-USD", "btc"); status != 200 || !strings.Contains(body, `"bid":"`) {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	for key, want := range map[string]int{"": 401, "btc": 403, "late": 200, "op": 200} {
		got, body := answer(t, s.url+"/v1/snapshot/quote/ETH-USD", key)
		if got != want || key == "late" && strings.Contains(body, `"bid":"`) {
			t.Errorf("with %q: %d %s, want %d", key, got, body, want)
		}
	}
}
