package streamer

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/streamer/wire"
)

// Handler returns the HTTP surface:
//
//	GET /v1/stream                      the protocol over a WebSocket
//	GET /v1/sse                         one subscription as Server-Sent Events
//	GET /v1/snapshot/{channel}/{symbol} a snapshot as plain JSON; ?venue= and ?depth=
//	GET /v1/symbols                     what can be subscribed
//	GET /v1/status                      health of feeds and venues
//	GET /healthz                        the process is alive
//	GET /readyz                         the process can serve
func (h *Hub) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/stream", h.serveStream(h.upgrader()))
	mux.HandleFunc("GET /v1/sse", h.serveEvents)
	mux.HandleFunc("GET /v1/snapshot/{channel}/{symbol...}", h.serveSnapshot)
	mux.HandleFunc("GET /v1/symbols", h.serveSymbols)
	mux.HandleFunc("GET /v1/status", h.serveStatus)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", h.serveReady)
	return mux
}

func (h *Hub) serveSymbols(w http.ResponseWriter, _ *http.Request) {
	list, err := h.Symbols()
	if err != nil {
		replyError(w, http.StatusServiceUnavailable, wire.CodeServerShutdown, err.Error())
		return
	}
	replyJSON(w, map[string]any{"symbols": list})
}

func (h *Hub) serveStatus(w http.ResponseWriter, _ *http.Request) {
	venues, err := h.Venues()
	if err != nil {
		replyError(w, http.StatusServiceUnavailable, wire.CodeServerShutdown, err.Error())
		return
	}
	h.mu.Lock()
	connections := len(h.sessions)
	h.mu.Unlock()
	body := map[string]any{"server": h.cfg.Server, "time": h.cfg.Now() / 1000, "connections": connections, "venues": venues}
	if h.cfg.Status != nil {
		maps.Copy(body, h.cfg.Status())
	}
	replyJSON(w, body)
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

func (h *Hub) serveSnapshot(w http.ResponseWriter, r *http.Request) {
	channel, _ := wire.ParseChannel(r.PathValue("channel"))
	if !served[channel] {
		replyError(w, http.StatusNotFound, wire.CodeUnknownChannel, "channels: "+servedNames())
		return
	}
	id, ok := h.cfg.Directory.Lookup(r.PathValue("symbol"))
	if !ok {
		replyError(w, http.StatusNotFound, wire.CodeUnknownSymbol, "no such symbol; /v1/symbols lists them")
		return
	}
	key := topicKey{instrument: id, channel: channel}
	if name := r.URL.Query().Get("venue"); name != "" {
		if key.venue, ok = h.cfg.Directory.LookupVenue(name); !ok {
			replyError(w, http.StatusNotFound, wire.CodeBadRequest, "no such venue; /v1/symbols lists them")
			return
		}
		if key.venue != market.Consolidated && channel == wire.ChannelTicker {
			replyError(w, http.StatusBadRequest, wire.CodeBadRequest, tickerVenue)
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
	}
	var f *frame
	l := h.lane(id)
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
	w.Header().Set("Cache-Control", "no-cache")
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
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(append(b, '\n'))
}

func replyError(w http.ResponseWriter, status int, code, message string) {
	b, err := wire.Append(nil, &wire.Error{Code: code, Message: message})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}
