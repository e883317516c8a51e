package streamer

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/auth"
	"github.com/quotewire/quotewire/streamer/wire"
)

// orderJSON is one resting order of /v1/orders.
type orderJSON struct {
	ID    string `json:"id"`
	Side  string `json:"side"`
	Price string `json:"price"`
	Size  string `json:"size"`
	// Level is how many better prices its side has, Position how many orders stand
	// before it at its price, and Ahead their size.
	Level    int    `json:"level"`
	Position int    `json:"position"`
	Ahead    string `json:"ahead"`
}

// ordersJSON is the answer of /v1/orders.
type ordersJSON struct {
	Symbol string      `json:"symbol"`
	Venue  string      `json:"venue"`
	Feed   string      `json:"feed"`
	State  string      `json:"state"`
	Cause  string      `json:"cause,omitempty"`
	Time   int64       `json:"time"`  // of the venue, µs
	Total  int         `json:"total"` // orders held
	Orders []orderJSON `json:"orders"`
}

// ErrTooManyOrders means that there are more orders than one answer holds.
var ErrTooManyOrders = errors.New("more orders than one answer holds: ask for fewer levels, or one side")

// serveOrders tells the resting orders of a venue that shows them: ?venue= is
// required; ?side=, ?levels= (10) and ?order= narrow the answer. Who may see the
// book, in real time and as deep, may see this.
func (h *Hub) serveOrders(w http.ResponseWriter, r *http.Request, rights *auth.Rights) {
	if h.cfg.Orders == nil {
		replyError(w, http.StatusNotFound, wire.CodeBadRequest, "this server knows of no single orders; ask one that keeps books")
		return
	}
	symbol, query := r.PathValue("symbol"), r.URL.Query()
	q := orderbook.OrderQuery{Levels: wire.DefaultDepth}
	var known, ok bool
	q.Instrument, known = h.cfg.Directory.Lookup(symbol)
	if q.Venue, ok = h.cfg.Directory.LookupVenue(query.Get("venue")); !ok || q.Venue == market.Consolidated {
		replyError(w, http.StatusNotFound, wire.CodeBadRequest, "venue: want one; /v1/symbols lists them")
		return
	}
	switch side := query.Get("side"); side {
	case "":
	case market.SideBid.String():
		q.Side = market.SideBid
	case market.SideAsk.String():
		q.Side = market.SideAsk
	default:
		replyError(w, http.StatusBadRequest, wire.CodeBadRequest, "side: want bid or ask")
		return
	}
	if text := query.Get("levels"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > wire.MaxDepth {
			replyError(w, http.StatusBadRequest, wire.CodeInvalidDepth, fmt.Sprintf("levels: want 0 (all) to %d", wire.MaxDepth))
			return
		}
		q.Levels = n
	}
	if text := query.Get("order"); text != "" {
		if q.Order, ok = market.ParseOrderID(text); !ok {
			replyError(w, http.StatusBadRequest, wire.CodeBadRequest, "order: no venue names an order like this")
			return
		}
		q.Levels = 0 // wherever it stands
	}
	// First, so that the answer does not tell whether there is such a symbol.
	key, ok := h.permit(rights, topicKey{instrument: q.Instrument, channel: wire.ChannelBook, venue: q.Venue, depth: q.Levels}, symbol)
	if !ok || key.delay > 0 {
		refuse(w, &wire.Error{Code: wire.CodeForbidden, Message: noRight})
		return
	}
	q.Levels = key.depth
	if !known {
		replyError(w, http.StatusNotFound, wire.CodeUnknownSymbol, "no such symbol; /v1/symbols lists them")
		return
	}
	report, err := h.cfg.Orders(r.Context(), q)
	switch {
	case errors.Is(err, orderbook.ErrNoOrders):
		replyError(w, http.StatusNotFound, wire.CodeBadRequest, "no feed tells the single orders of this venue's book")
	case errors.Is(err, ErrTooManyOrders):
		replyError(w, http.StatusBadRequest, wire.CodeInvalidDepth, ErrTooManyOrders.Error())
	case errors.Is(err, orderbook.ErrStopped) || err != nil && h.stops():
		replyError(w, http.StatusServiceUnavailable, wire.CodeServerShutdown, err.Error())
	case err != nil:
		// Who keeps the book does not answer now: of what may be repeated, the code says
		// to do it later, and not, as that of a stop, to connect anew.
		w.Header().Set("Retry-After", "1")
		reply(w, http.StatusServiceUnavailable, &wire.Error{Code: wire.CodeRateLimited, Message: err.Error(), RetryAfter: 1000})
	default:
		replyJSON(w, h.ordersPage(symbol, q, key.depth, &report))
	}
}

// stops reports whether the hub takes in nobody any longer.
func (h *Hub) stops() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closing
}

// ordersPage writes a report; depth is how many prices may be seen, 0 all.
func (h *Hub) ordersPage(symbol string, q orderbook.OrderQuery, depth int, r *orderbook.OrdersReport) ordersJSON {
	page := ordersJSON{Symbol: symbol, Venue: h.venueName(q.Venue), Feed: h.cfg.Directory.FeedName(r.Feed),
		State: r.State.String(), Cause: r.Cause.String(), Time: r.Time / 1000, Total: r.Total, Orders: []orderJSON{}}
	for _, o := range r.Orders {
		if depth > 0 && o.Level >= depth {
			continue // asked for by name, and deeper than may be seen
		}
		page.Orders = append(page.Orders, orderJSON{
			ID: o.ID.String(), Side: o.Side.String(), Price: market.Format(o.Price, r.Scale.Price), Size: market.Format(o.Size, r.Scale.Size),
			Level: o.Level, Position: o.Position, Ahead: market.Format(o.Ahead, r.Scale.Size)})
	}
	return page
}
