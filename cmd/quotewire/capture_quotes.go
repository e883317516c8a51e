package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// verifiedQuote is how a symbol's consolidated quote stood. Shares are of the
// time, from 0 to 1.
type verifiedQuote struct {
	Symbol   string       `json:"symbol"`
	Seconds  float64      `json:"seconds"`
	Changes  uint64       `json:"changes"`
	OneSided float64      `json:"one_sided"`
	Locked   invertedTime `json:"locked"`
	Crossed  invertedTime `json:"crossed"`
	// BidVenues and AskVenues are how many venues were at the best price, on
	// average.
	BidVenues float64         `json:"bid_venues"`
	AskVenues float64         `json:"ask_venues"`
	Venues    []verifiedVenue `json:"venues"`
}

// invertedTime is how long a quote was locked, or crossed.
type invertedTime struct {
	Share     float64 `json:"share"`
	Times     uint64  `json:"times"`
	LongestMS float64 `json:"longest_ms"`
}

// verifiedVenue is a venue's part in a quote.
type verifiedVenue struct {
	Venue   string             `json:"venue"`
	BestBid float64            `json:"best_bid"`
	BestAsk float64            `json:"best_ask"`
	Out     map[string]float64 `json:"out"`           // by reason
	Why     string             `json:"why,omitempty"` // it is left out at the end
}

func verifiedQuoteOf(dir *market.Directory, r *orderbook.QuoteReport) verifiedQuote {
	share := func(d time.Duration) float64 {
		if r.Total <= 0 {
			return 0
		}
		return float64(d) / float64(r.Total)
	}
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	q := verifiedQuote{
		Symbol: dir.Symbol(r.Instrument), Seconds: r.Total.Seconds(), Changes: r.Changes, OneSided: share(r.OneSided),
		Locked:  invertedTime{share(r.Locked), r.LockedTimes, ms(r.LongestLocked)},
		Crossed: invertedTime{share(r.Crossed), r.CrossedTimes, ms(r.LongestCrossed)},
		Venues:  []verifiedVenue{},
	}
	for _, v := range r.Venues {
		w := verifiedVenue{Venue: dir.VenueName(v.Venue), BestBid: share(v.BestBid), BestAsk: share(v.BestAsk),
			Out: make(map[string]float64), Why: v.Why.String()}
		for why, d := range v.Out {
			w.Out[why.String()] = share(d)
		}
		q.BidVenues += w.BestBid
		q.AskVenues += w.BestAsk
		q.Venues = append(q.Venues, w)
	}
	return q
}

func printQuotes(w io.Writer, quotes []verifiedQuote) {
	if len(quotes) == 0 {
		return
	}
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
	p("\nQUOTE\tSECONDS\tCHANGES\tONE SIDED\tLOCKED\tTIMES\tLONGEST\tCROSSED\tTIMES\tLONGEST\tVENUES AT BID, ASK\n")
	for _, q := range quotes {
		p("%s\t%.1f\t%d\t%.2f %%\t%.2f %%\t%d\t%.0f ms\t%.2f %%\t%d\t%.0f ms\t%.2f, %.2f\n", q.Symbol, q.Seconds, q.Changes, 100*q.OneSided,
			100*q.Locked.Share, q.Locked.Times, q.Locked.LongestMS, 100*q.Crossed.Share, q.Crossed.Times, q.Crossed.LongestMS,
			q.BidVenues, q.AskVenues)
	}
	p("\nQUOTE\tVENUE\tBEST BID\tBEST ASK\tLEFT OUT\tAT THE END\n")
	for _, q := range quotes {
		for _, v := range q.Venues {
			var out []string
			for _, why := range slices.Sorted(maps.Keys(v.Out)) {
				out = append(out, fmt.Sprintf("%s %.2f %%", why, 100*v.Out[why]))
			}
			end := "in"
			if v.Why != "" {
				end = "out: " + v.Why
			}
			p("%s\t%s\t%.2f %%\t%.2f %%\t%s\t%s\n", q.Symbol, v.Venue, 100*v.BestBid, 100*v.BestAsk, strings.Join(out, ", "), end)
		}
	}
}
