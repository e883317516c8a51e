package main

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Bounds of connections that are not clients' sessions: that have not finished a
// request yet, or wait for the next.
const (
	maxDoors        = 10_000
	maxDoorsAddress = 256
)

// doors bounds connections that have not become a session. Each may take seconds
// to say what it wants, and costs memory all that time.
type doors struct {
	trusted []netip.Prefix // of proxies, which have many

	mu        sync.Mutex
	open      map[net.Conn]*door
	byAddress map[netip.Addr]int

	refused prometheus.Counter
	wasted  prometheus.Counter
	gauge   prometheus.GaugeFunc
}

// door is one such connection.
type door struct {
	addr netip.Addr
	used bool // a whole request came
}

func newDoors(trusted []netip.Prefix) *doors {
	d := &doors{trusted: trusted, open: make(map[net.Conn]*door), byAddress: make(map[netip.Addr]int)}
	d.refused = prometheus.NewCounter(prometheus.CounterOpts{Name: "quotewire_http_connections_refused_total",
		Help: "Connections closed because too many were open that had not made a request."})
	d.wasted = prometheus.NewCounter(prometheus.CounterOpts{Name: "quotewire_http_connections_wasted_total",
		Help: "Connections that ended without a whole request: slow ones, scans, broken clients."})
	d.gauge = prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "quotewire_http_connections",
		Help: "Connections that are not clients' sessions."}, func() float64 {
		d.mu.Lock()
		defer d.mu.Unlock()
		return float64(len(d.open))
	})
	return d
}

// state is an http.Server's ConnState.
func (d *doors) state(c net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		if !d.enter(c) {
			d.refused.Inc()
			_ = c.Close()
		}
	case http.StateIdle, http.StateHijacked:
		d.use(c)
		if s == http.StateHijacked {
			d.leave(c)
		}
	case http.StateClosed:
		d.leave(c)
	}
}

func (d *doors) enter(c net.Conn) bool {
	addr := remoteAddr(c.RemoteAddr().String())
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.open) >= maxDoors || d.byAddress[addr] >= maxDoorsAddress && !trusts(d.trusted, addr) {
		return false
	}
	d.open[c] = &door{addr: addr}
	d.byAddress[addr]++
	return true
}

// use notes that a whole request came over the connection.
func (d *doors) use(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if o := d.open[c]; o != nil {
		o.used = true
	}
}

// serve marks connections over which a request came, also those that end with it.
func (d *doors) serve(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(doorKey{}).(net.Conn); ok {
			d.use(c)
		}
		next.ServeHTTP(w, r)
	})
}

// doorKey is what a request's context has its connection under.
type doorKey struct{}

func (d *doors) leave(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.open[c]
	if o == nil {
		return
	}
	if !o.used {
		d.wasted.Inc()
	}
	delete(d.open, c)
	if d.byAddress[o.addr]--; d.byAddress[o.addr] == 0 {
		delete(d.byAddress, o.addr)
	}
}

// guard makes a server count its connections here.
func (d *doors) guard(s *http.Server) {
	s.Handler = d.serve(s.Handler)
	s.ConnState = d.state
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, doorKey{}, c) }
}

func remoteAddr(s string) netip.Addr {
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

func trusts(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// clientAddress returns what tells a request's client's address: the last that a
// proxy which we do not trust could not have made up.
func clientAddress(trusted []netip.Prefix) func(*http.Request) string {
	if len(trusted) == 0 {
		return nil
	}
	return func(r *http.Request) string {
		addr := remoteAddr(r.RemoteAddr)
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; i >= 0 && trusts(trusted, addr); i-- {
			a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
			if err != nil {
				break
			}
			addr = a.Unmap()
		}
		if !addr.IsValid() {
			return r.RemoteAddr
		}
		return addr.String()
	}
}
