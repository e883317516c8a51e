package orderbook

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/quotewire/quotewire/market"
)

// What book scripts say of quotes and statuses beyond the books.

// quoteRules reads min_venues=2 min_size=0.5 settle=1s reference=512.3.
func quoteRules(words []string) QuoteRules {
	var r QuoteRules
	for _, x := range words {
		k, v, _ := strings.Cut(x, "=")
		var err error
		switch k {
		case "min_venues":
			r.MinVenues, err = strconv.Atoi(v)
		case "min_size":
			r.MinSize, r.MinSizeDecimals, err = market.ParseSize(v)
		case "settle":
			r.Settle, err = time.ParseDuration(v)
		case "reference":
			r.ReferencePrice, r.ReferenceDecimals, err = market.ParsePrice(v)
		default:
			bad("no rule %q", k)
		}
		if err != nil {
			bad("%s: %v", k, err)
		}
	}
	return r
}

// setConditions reads numbers joined by commas.
func setConditions(e *market.Event, text string) {
	for i, c := range strings.Split(text, ",") {
		if n, err := strconv.Atoi(c); err == nil {
			e.Conditions[i], e.NumConditions = market.Condition(n), uint8(i+1)
		}
	}
}

// out renders what the quote leaves out of live venues: V:why, or V:bid:why.
func (s *script) out(q *Quote) string {
	if len(q.Out) == 0 {
		return "none"
	}
	var parts []string
	for _, o := range q.Out {
		x := s.dir.VenueName(o.Venue)
		if o.Side != market.SideNone {
			x += ":" + o.Side.String()
		}
		parts = append(parts, x+":"+o.Why.String())
	}
	return strings.Join(parts, " ")
}

// expectQuote: name=value...
func (s *script) expectQuote(v *View, want []string) error {
	q := &v.Quote
	got := map[string]string{"mid": "-", "spread": "-", "micro": "-", "for": "-",
		"counted": fmt.Sprint(q.Counted), "thin": fmt.Sprint(q.Thin), "protected": "both"}
	if p, d, ok := q.Mid(v.Scale); ok {
		got["mid"] = market.Format(p, d)
	}
	if p, ok := q.Spread(); ok {
		got["spread"] = market.Format(p, v.Scale.Price)
	}
	if r, ok := q.Microprice(); ok {
		if p, d, ok := r.Round(v.Scale.Price); ok {
			got["micro"] = market.Format(p, d)
		}
	}
	if q.Inverted != 0 { // how long, by the time of the next message
		got["for"] = time.Duration(s.now - q.Inverted).String()
	}
	switch {
	case q.BidSlow && q.AskSlow:
		got["protected"] = "none"
	case q.BidSlow:
		got["protected"] = "ask"
	case q.AskSlow:
		got["protected"] = "bid"
	}
	return compare(got, want)
}

// expectStatus: name=value...
func (s *script) expectStatus(v *View, want []string) error {
	st := &v.Status
	i := &st.Imbalance
	got := map[string]string{
		"trading": st.Trading.String(), "reason": st.Reason.String(), "limit": st.Limit.String(), "session": st.Session.String(),
		"bands": "-", "imbalance": "-",
	}
	if st.BandHigh > 0 {
		got["bands"] = market.Format(st.BandLow, v.Scale.Price) + "-" + market.Format(st.BandHigh, v.Scale.Price)
	}
	if i.Venue != 0 {
		got["imbalance"] = i.Side.String() + ":" + side(Level{i.Price, i.Size}, v.Scale) + "@" + s.dir.VenueName(i.Venue)
	}
	return compare(got, want)
}
