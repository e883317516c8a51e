package streamer

import (
	"time"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/auth"
	"github.com/quotewire/quotewire/streamer/wire"
)

// VenueHealth is a venue's state over all instruments, for /v1/status.
type VenueHealth struct {
	Venue string `json:"venue"`
	// Instruments by state: "live", "quiet", "suspect", "resyncing", "stale", "down",
	// "halted".
	Instruments map[string]int `json:"instruments"`
}

// SymbolInfo is one instrument of /v1/symbols.
type SymbolInfo struct {
	Symbol        string   `json:"symbol"`
	Class         string   `json:"class"`
	Venues        []string `json:"venues"`
	PriceDecimals int      `json:"price_decimals"`
	SizeDecimals  int      `json:"size_decimals"`
	State         string   `json:"state"`           // best state of any venue; "none" if nothing was heard yet
	Delay         string   `json:"delay,omitempty"` // how late this is; absent: real time
}

// Symbols returns all instruments, in the order in which they became known.
func (h *Hub) Symbols() ([]SymbolInfo, error) { return h.symbols(nil) }

// Venues returns the health of every venue that was heard of.
func (h *Hub) Venues() ([]VenueHealth, error) { return h.venues(nil) }

// seen is an instrument that rights cover, as late as they say.
type seen struct {
	market.Instrument
	delay time.Duration
}

// sees returns the instruments that the rights cover.
func (h *Hub) sees(r *auth.Rights) []seen {
	var out []seen
	for _, in := range h.cfg.Directory.Instruments(0) {
		if d, ok := r.Sees(in.Symbol); ok {
			if d, ok = h.grantDelay(d); ok {
				out = append(out, seen{in, d})
			}
		}
	}
	return out
}

// eachView calls fn with the view of every instrument, in the goroutine of its
// lane; nil where nothing was heard of it.
func (h *Hub) eachView(list []seen, fn func(i int, l *lane, v *orderbook.View)) error {
	byLane := make(map[*lane][]int)
	var lanes []*lane
	for i := range list {
		l := h.lane(&topicKey{instrument: list[i].ID, delay: list[i].delay})
		if byLane[l] == nil {
			lanes = append(lanes, l)
		}
		byLane[l] = append(byLane[l], i)
	}
	for _, l := range lanes {
		err := h.call(l, func(int64) {
			for _, i := range byLane[l] {
				var v *orderbook.View
				if id := list[i].ID; int(id) < len(l.instruments) && l.instruments[id] != nil {
					v = &l.instruments[id].view
				}
				fn(i, l, v)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// symbols returns the instruments that the rights cover.
func (h *Hub) symbols(r *auth.Rights) ([]SymbolInfo, error) {
	list := h.sees(r)
	out := make([]SymbolInfo, len(list))
	err := h.eachView(list, func(i int, l *lane, v *orderbook.View) {
		in, o := &list[i], &out[i]
		*o = SymbolInfo{Symbol: in.Symbol, Class: in.Class.String(), Venues: []string{}, State: orderbook.StateNone.String()}
		if in.delay > 0 {
			o.Delay = wire.FormatInterval(in.delay)
		}
		if v == nil {
			return
		}
		o.PriceDecimals, o.SizeDecimals = int(v.Scale.Price), int(v.Scale.Size)
		state := orderbook.StateNone
		for _, w := range v.Venues {
			name := l.venueName(w.Venue)
			if !r.SeesVenue(in.Symbol, name) {
				continue
			}
			o.Venues = append(o.Venues, name)
			if w.State.Better(state) {
				state = w.State
			}
		}
		o.State = state.String()
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// venues returns the health of the venues that the rights cover, counted over the
// instruments that they cover.
func (h *Hub) venues(r *auth.Rights) ([]VenueHealth, error) {
	list := h.sees(r)
	byVenue := make(map[market.VenueID]map[string]int)
	last := market.VenueID(0)
	err := h.eachView(list, func(i int, l *lane, v *orderbook.View) {
		if v == nil {
			return
		}
		for _, w := range v.Venues {
			if w.State == orderbook.StateNone || !r.SeesVenue(list[i].Symbol, l.venueName(w.Venue)) {
				continue
			}
			if byVenue[w.Venue] == nil {
				byVenue[w.Venue] = make(map[string]int)
				last = max(last, w.Venue)
			}
			byVenue[w.Venue][w.State.String()]++
		}
	})
	if err != nil {
		return nil, err
	}
	out := []VenueHealth{}
	for id := market.VenueID(1); id <= last; id++ {
		if byVenue[id] != nil {
			out = append(out, VenueHealth{h.cfg.Directory.VenueName(id), byVenue[id]})
		}
	}
	return out, nil
}
