package client

import (
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"github.com/quotewire/quotewire/streamer/wire"
)

// Status is whether and how an instrument trades, and how its venues are. Each is
// whole.
type Status struct {
	Meta
	State      string    // "trading", "halted", "closed", "restricted", "unknown"
	Reason     string    // the market's code: "T12", "LUDP"
	Since      time.Time // of a state that a SIP told; zero: unknown
	Session    string    // "pre", "regular", "post", "closed"; "continuous" in a market without hours
	SessionEnd time.Time // zero in a market that never closes
	Limit      string    // "up" or "down" while the quote sits at a LULD band
	LimitSince time.Time
	Bands      *Range     // LULD price bands; nil without any
	Imbalance  *Imbalance // of an auction to come; nil where none was told
	Venues     []VenueState
}

// Imbalance is what a market told last of an auction to come.
type Imbalance struct {
	Venue       string
	Side        string // that is too large: "bid", "ask", "" unknown
	Auction     string // its letter: "O" open, "M" close
	AuctionTime uint64 // New York's clock, 930 for 9:30; 0 unknown
	Price       decimal.Decimal
	Size        decimal.Decimal // that finds no counterpart
	Paired      decimal.Decimal // that does
	Time        time.Time
}

// VenueState is how far a venue's quotes can be trusted, and since when.
type VenueState struct {
	Venue, State, Cause string
	Since               time.Time
}

func readStatus(meta Meta, f *wire.StatusFields) (*Status, error) {
	s := &Status{Meta: meta, State: f.State, Reason: f.Reason, Since: micros(f.Since), Session: f.Session,
		SessionEnd: micros(f.SessionEnd), Limit: f.Limit, LimitSince: micros(f.LimitSince)}
	var err error
	number := func(text string) decimal.Decimal {
		d, e := parseDecimal(text)
		if err == nil && e != nil {
			err = fmt.Errorf("status: %w", e)
		}
		return d
	}
	if b := f.Bands; b != nil {
		s.Bands = &Range{number(b.Low), number(b.High)}
	}
	if i := f.Imbalance; i != nil {
		s.Imbalance = &Imbalance{Venue: i.Venue, Side: i.Side, Auction: i.Auction, AuctionTime: i.AuctionTime,
			Price: number(i.Price), Size: number(i.Size), Paired: number(i.Paired), Time: micros(i.TS)}
	}
	for _, v := range f.Venues {
		s.Venues = append(s.Venues, VenueState{v.Venue, v.State, v.Cause, micros(v.Since)})
	}
	return s, err
}
