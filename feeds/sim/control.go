package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// fault is one of a server's faults as the control offers it: what it does, which
// parameters it takes, and how it is ordered.
type fault struct {
	Name string   `json:"name"`
	Does string   `json:"does"`
	With []string `json:"with,omitempty"` // parameters it needs
	// order reads its parameters and takes effect at once.
	order func(*Server, *params)
}

// orders are the faults that [Control] can order, in the order in which it lists them.
func orders() []fault {
	return []fault{
		{"kill", "drops every connection without a close frame", nil, func(s *Server, _ *params) { s.Kill() }},
		{"close", "closes every connection with a code", []string{"code"}, func(s *Server, p *params) {
			if code := p.number("code", 1000, 4999); p.err == nil {
				s.CloseAll(code)
			}
		}},
		{"evict", "closes every connection as a second login would", nil, func(s *Server, _ *params) { s.Evict() }},
		{"refuse_keys", "answers every key with a refusal, or ends that", []string{"on"}, func(s *Server, p *params) { p.flag(s.RefuseKeys) }},
		{"refuse_connections", "answers upgrades with 503, or ends that", []string{"on"}, func(s *Server, p *params) { p.flag(s.RefuseConnections) }},
		{"mute", "keeps sockets open and says nothing, or ends that", []string{"on"}, func(s *Server, p *params) { p.flag(s.Mute) }},
		{"half_open", "leaves the connections that are open now half open for good: nothing is sent, read or answered", nil, func(s *Server, _ *params) { s.HalfOpen() }},
		{"skew", "lets the venue's clock run ahead by a duration, behind if it is negative; 0s ends that", []string{"d"}, func(s *Server, p *params) {
			if d := p.offset("d"); p.err == nil {
				s.Skew(d)
			}
		}},
		{"stall", "lets nothing through until it ends, then everything", []string{"on"}, func(s *Server, p *params) { p.flag(s.Stall) }},
		{"lag", "makes everything late by a duration; 0s ends that", []string{"d"}, func(s *Server, p *params) {
			if d := p.duration("d"); p.err == nil {
				s.Lag(d)
			}
		}},
		{"drop", "skips the next n changes of a symbol's book", []string{"symbol", "n"}, func(s *Server, p *params) { p.symbolN(s.DropNext) }},
		{"duplicate", "sends the next n changes of a symbol's book twice", []string{"symbol", "n"}, func(s *Server, p *params) { p.symbolN(s.DuplicateNext) }},
		{"truncate", "cuts the next n changes of a symbol's book in half", []string{"symbol", "n"}, func(s *Server, p *params) { p.symbolN(s.TruncateNext) }},
		{"swap", "sends the next change of a symbol's book after the one that follows", []string{"symbol"}, func(s *Server, p *params) { p.symbol(s.SwapNext) }},
		{"delay", "sends the next change of a symbol's book late", []string{"symbol", "d"}, func(s *Server, p *params) { p.symbolFor(s.DelayNext) }},
		{"repeat", "sends the next change of a symbol's book again later", []string{"symbol", "d"}, func(s *Server, p *params) { p.symbolFor(s.RepeatNext) }},
		{"corrupt_checksum", "gives the next checksum of a symbol's book a wrong value", []string{"symbol"}, func(s *Server, p *params) { p.symbol(s.CorruptChecksum) }},
		{"lose_snapshots", "skips the next n snapshots of a symbol's book", []string{"symbol", "n"}, func(s *Server, p *params) { p.symbolN(s.LoseSnapshots) }},
		{"second_snapshot", "sends the image of a symbol's book again, unasked", []string{"symbol"}, func(s *Server, p *params) {
			p.symbol(func(symbol string) { p.err = s.SecondSnapshot(symbol) })
		}},
		{"unknown_type", "sends a message of a type that the provider does not have", nil, func(s *Server, _ *params) { s.SendUnknown() }},
		{"oversized", "sends one message of n bytes", []string{"n"}, func(s *Server, p *params) {
			if n := p.number("n", 11, maxRaw); p.err == nil {
				s.SendOversized(n)
			}
		}},
		{"refuse_requests", "answers the next n requests over REST with a code, and retry_after, if given, in seconds", []string{"code", "n"}, func(s *Server, p *params) {
			code, n := p.number("code", 400, 599), p.number("n", 0, 1_000_000)
			if p.err == nil {
				s.RefuseRequests(code, p.values.Get("retry_after"), n)
			}
		}},
		{"slow_requests", "waits before it makes an answer over REST; 0s ends that", []string{"d"}, func(s *Server, p *params) {
			if d := p.duration("d"); p.err == nil {
				s.SlowRequests(d)
			}
		}},
		{"late_answers", "makes answers over REST late; 0s ends that", []string{"d"}, func(s *Server, p *params) {
			if d := p.duration("d"); p.err == nil {
				s.LateAnswers(d)
			}
		}},
		{"freeze_snapshots", "answers requests for a symbol's book as a cache does, or ends that", []string{"symbol", "on"}, func(s *Server, p *params) {
			p.symbol(func(symbol string) { p.flag(func(on bool) { s.FreezeSnapshots(symbol, on) }) })
		}},
		{"raw", "sends the request's body as it is to every connection", nil, func(s *Server, p *params) {
			if body := p.body(); p.err == nil {
				s.SendRaw(body)
			}
		}},
	}
}

// maxRaw bounds what can be sent raw: larger than any provider's frame limit.
const maxRaw = 40 << 20

// Control returns a small HTTP surface on which faults of s can be ordered:
//
//	GET  /               the faults there are, and what is connected and subscribed
//	POST /faults/{name}  orders one; parameters in the query: symbol, n, d, on, code
//
// It asks nobody who they are: serve it on a local address only.
func Control(s *Server) http.Handler {
	table := orders()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"url": s.URL(), "connections": s.Connections(), "accepted": s.Accepted(),
			"slow_cuts": s.SlowCuts(), "subscriptions": s.Subscriptions(), "faults": table})
	})
	mux.HandleFunc("POST /faults/{name}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		for _, f := range table {
			if f.Name != name {
				continue
			}
			p := &params{values: r.URL.Query(), request: r.Body}
			f.order(s, p)
			if p.err != nil {
				reply(w, http.StatusBadRequest, map[string]any{"error": p.err.Error(), "with": f.With})
				return
			}
			reply(w, http.StatusOK, map[string]any{"ordered": name})
			return
		}
		reply(w, http.StatusNotFound, map[string]any{"error": fmt.Sprintf("no fault %q; GET / lists them", name)})
	})
	return mux
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}

// params reads a fault's parameters; the first mistake is kept.
type params struct {
	values  url.Values
	request io.Reader
	err     error
}

func (p *params) text(name string) string {
	v := p.values.Get(name)
	if v == "" && p.err == nil {
		p.err = fmt.Errorf("parameter %s is missing", name)
	}
	return v
}

func (p *params) number(name string, low, high int) int {
	n, err := strconv.Atoi(p.text(name))
	if p.err == nil && (err != nil || n < low || n > high) {
		p.err = fmt.Errorf("parameter %s: want a number from %d to %d", name, low, high)
	}
	return n
}

func (p *params) duration(name string) time.Duration {
	d, err := time.ParseDuration(p.text(name))
	if p.err == nil && (err != nil || d < 0) {
		p.err = fmt.Errorf("parameter %s: want a duration such as 250ms", name)
	}
	return d
}

// maxSkew keeps what a clock is off by far from where times end.
const maxSkew = 365 * 24 * time.Hour

// offset is a duration of either sign.
func (p *params) offset(name string) time.Duration {
	d, err := time.ParseDuration(p.text(name))
	if p.err == nil && (err != nil || d.Abs() > maxSkew) {
		p.err = fmt.Errorf("parameter %s: want a duration such as -250ms", name)
	}
	return d
}

func (p *params) body() []byte {
	b, err := io.ReadAll(io.LimitReader(p.request, maxRaw+1))
	switch {
	case err != nil:
		p.err = fmt.Errorf("read body: %w", err)
	case len(b) == 0 || len(b) > maxRaw:
		p.err = fmt.Errorf("want a body of 1 to %d bytes", maxRaw)
	}
	return b
}

func (p *params) flag(set func(bool)) {
	on, err := strconv.ParseBool(p.text("on"))
	if p.err == nil && err != nil {
		p.err = fmt.Errorf("parameter on: want true or false")
	}
	if p.err == nil {
		set(on)
	}
}

func (p *params) symbol(order func(string)) {
	if s := p.text("symbol"); p.err == nil {
		order(s)
	}
}

func (p *params) symbolN(order func(string, int)) {
	s, n := p.text("symbol"), p.number("n", 0, 1_000_000)
	if p.err == nil {
		order(s, n)
	}
}

func (p *params) symbolFor(order func(string, time.Duration)) {
	s, d := p.text("symbol"), p.duration("d")
	if p.err == nil {
		order(s, d)
	}
}
