package streamer

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/auth"
	"github.com/quotewire/quotewire/streamer/wire"
)

// Handler returns the HTTP surface:
//
//	GET /v1/stream                      the protocol over a WebSocket
//	GET /v1/sse                         one subscription as Server-Sent Events
//	GET /v1/snapshot/{channel}/{symbol} a snapshot as plain JSON; ?venue=, ?depth=, ?group= and ?bar=
//	GET /v1/orders/{symbol}             a venue's single orders; ?venue=, ?side=, ?levels= and ?order=
//	GET /v1/symbols                     what can be subscribed
//	GET /v1/status                      health of feeds and venues
//	GET /healthz                        the process is alive
//	GET /readyz                         the process can serve
func (h *Hub) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/stream", h.serveStream(h.upgrader()))
	mux.HandleFunc("GET /v1/sse", h.serveEvents)
	mux.HandleFunc("GET /v1/snapshot/{channel}/{symbol...}", h.page(h.serveSnapshot))
	mux.HandleFunc("GET /v1/orders/{symbol...}", h.page(h.serveOrders))
	mux.HandleFunc("GET /v1/symbols", h.page(h.serveSymbols))
	mux.HandleFunc("GET /v1/status", h.page(h.serveStatus))
	mux.HandleFunc("GET /v1/usage", h.page(h.serveUsage))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", h.serveReady)
	return bodyless(mux)
}

func (h *Hub) serveSymbols(w http.ResponseWriter, _ *http.Request, rights *auth.Rights) {
	list, err := h.symbols(rights)
	if err != nil {
		replyError(w, http.StatusServiceUnavailable, wire.CodeServerShutdown, err.Error())
		return
	}
	replyJSON(w, map[string]any{"symbols": list})
}

// serveStatus tells the feeds' state, in which there are pieces of their messages,
// to the operator only.
func (h *Hub) serveStatus(w http.ResponseWriter, _ *http.Request, rights *auth.Rights) {
	venues, err := h.venues(rights)
	if err != nil {
		replyError(w, http.StatusServiceUnavailable, wire.CodeServerShutdown, err.Error())
		return
	}
	body := map[string]any{"server": h.cfg.Server, "time": h.cfg.Now() / 1000, "venues": venues}
	if h.operator(rights) {
		h.mu.Lock()
		body["connections"] = len(h.sessions)
		h.mu.Unlock()
		if h.cfg.Status != nil {
			maps.Copy(body, h.cfg.Status())
		}
	}
	replyJSON(w, body)
}

// operator reports whether the rights are the operator's. On a server without
// keys everybody's are.
func (h *Hub) operator(rights *auth.Rights) bool { return rights == nil || rights.Admin }

// serveUsage tells what each key has taken.
func (h *Hub) serveUsage(w http.ResponseWriter, _ *http.Request, rights *auth.Rights) {
	if !h.operator(rights) {
		refuse(w, &wire.Error{Code: wire.CodeForbidden, Message: "this key is not the operator's"})
		return
	}
	replyJSON(w, map[string]any{"time": h.cfg.Now() / 1000, "usage": h.Usage()})
}

// AdminHandler returns the operator's pages, for an address that nobody else
// reaches: status, usage, symbols and health, without a key.
func (h *Hub) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	for path, page := range map[string]func(http.ResponseWriter, *http.Request, *auth.Rights){
		"GET /v1/status": h.serveStatus, "GET /v1/usage": h.serveUsage,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { page(w, r, nil) })
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", h.serveReady)
	return bodyless(mux)
}

// OperatorOnly serves a page to the operator's keys only, where there are keys.
func (h *Hub) OperatorOnly(next http.Handler) http.Handler {
	return h.page(func(w http.ResponseWriter, r *http.Request, rights *auth.Rights) {
		if !h.operator(rights) {
			refuse(w, &wire.Error{Code: wire.CodeForbidden, Message: "this key is not the operator's"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (h *Hub) serveReady(w http.ResponseWriter, _ *http.Request) {
	err := error(nil)
	select {
	case <-h.stopped:
		err = ErrStopped
	default:
		if h.cfg.Ready != nil {
			err = h.cfg.Ready()
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ready")
}

func (h *Hub) serveSnapshot(w http.ResponseWriter, r *http.Request, rights *auth.Rights) {
	channel, _ := wire.ParseChannel(r.PathValue("channel"))
	if !served[channel] {
		replyError(w, http.StatusNotFound, wire.CodeUnknownChannel, "channels: "+servedNames())
		return
	}
	symbol := r.PathValue("symbol")
	id, known := h.cfg.Directory.Lookup(symbol)
	key := topicKey{instrument: id, channel: channel}
	var ok bool
	if name := r.URL.Query().Get("venue"); name != "" {
		if key.venue, ok = h.cfg.Directory.LookupVenue(name); !ok {
			replyError(w, http.StatusNotFound, wire.CodeBadRequest, "no such venue; /v1/symbols lists them")
			return
		}
		if key.venue != market.Consolidated && (channel == wire.ChannelTicker || channel == wire.ChannelBar) {
			replyError(w, http.StatusBadRequest, wire.CodeBadRequest, wholeVenue)
			return
		}
	}
	if channel == wire.ChannelBar {
		name := cmp.Or(r.URL.Query().Get("bar"), wire.DefaultBar)
		if key.bar, ok = orderbook.ParseInterval(name); !ok {
			replyError(w, http.StatusBadRequest, wire.CodeBadRequest, "bar: want 1s, 1m, 5m, 1h or 1d")
			return
		}
	}
	if channel == wire.ChannelBook {
		key.depth, key.checksum, key.venues = wire.DefaultDepth, true, key.venue == market.Consolidated && r.URL.Query().Get("venues") == "true"
		if text := r.URL.Query().Get("depth"); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 || n > wire.MaxDepth {
				replyError(w, http.StatusBadRequest, wire.CodeInvalidDepth, fmt.Sprintf("depth: want 0 (all) to %d", wire.MaxDepth))
				return
			}
			key.depth = n
		}
		if text := r.URL.Query().Get("group"); text != "" {
			step, decimals, err := wire.ParseGroup(text)
			if err != nil {
				replyError(w, http.StatusBadRequest, wire.CodeBadRequest, err.Error())
				return
			}
			key.group = orderbook.Group{Step: step, Decimals: decimals}
		}
	}
	// First, so that the answer does not tell whether there is such a symbol.
	if key, ok = h.permit(rights, key, symbol); !ok {
		refuse(w, &wire.Error{Code: wire.CodeForbidden, Message: noRight})
		return
	}
	if !known {
		replyError(w, http.StatusNotFound, wire.CodeUnknownSymbol, "no such symbol; /v1/symbols lists them")
		return
	}
	key.interval = 0 // a snapshot has none
	var f *frame
	l := h.lane(&key)
	err := h.call(l, func(now int64) { f = l.newTopic(key, now).encodeSnapshot(now) })
	if err != nil {
		status := http.StatusInternalServerError
		if errors.Is(err, ErrStopped) {
			status = http.StatusServiceUnavailable
		}
		replyError(w, status, wire.CodeServerShutdown, err.Error())
		return
	}
	tag := fmt.Sprintf(`"%x-%d"`, f.epoch, f.seq)
	w.Header().Set("ETag", tag)
	if sameTag(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(f.data)
}

// sameTag reports whether an If-None-Match names the tag (RFC 9110, section
// 13.1.2: by weak comparison).
func sameTag(lines []string, tag string) bool {
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			if part = strings.TrimSpace(part); part == "*" || strings.TrimPrefix(part, "W/") == tag {
				return true
			}
		}
	}
	return false
}

func replyJSON(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n'))
}

func replyError(w http.ResponseWriter, status int, code, message string) {
	reply(w, status, &wire.Error{Code: code, Message: message})
}

func reply(w http.ResponseWriter, status int, e *wire.Error) {
	b, err := wire.Append(nil, e)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}
