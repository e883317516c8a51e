package streamer

import (
	"slices"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer/wire"
)

// statusState is a status as shown.
type statusState struct {
	orderbook.Status
	venues []orderbook.VenueStatus
}

// statusContent shows whether and how an instrument trades, and how its venues
// are. Each message is whole.
type statusContent struct {
	key        topicKey
	lane       *lane
	scale      market.Scale
	sent, next statusState
}

func (c *statusContent) concerns(u *orderbook.Update) bool {
	return u.Changed&(orderbook.ChangedStatus|orderbook.ChangedVenues|orderbook.ChangedSnapshot) != 0
}

func (c *statusContent) note(*orderbook.View, *orderbook.Update) {}

func (c *statusContent) rescale(to market.Scale) bool {
	var bad error
	from, st := c.scale, &c.sent.Status
	c.scale = to
	for _, p := range [3]*market.Price{&st.BandLow, &st.BandHigh, &st.Imbalance.Price} {
		rescale(p, from.Price, to.Price, &bad)
	}
	rescale(&st.Imbalance.Size, from.Size, to.Size, &bad)
	rescale(&st.Imbalance.Paired, from.Size, to.Size, &bad)
	return bad == nil
}

func (c *statusContent) read(v *orderbook.View) {
	n := &c.next
	n.Status, n.venues = v.Status, n.venues[:0]
	for _, w := range v.Venues {
		if w.State != orderbook.StateNone && (c.key.venue == market.Consolidated || c.key.venue == w.Venue) {
			n.venues = append(n.venues, w.VenueStatus)
		}
	}
	// Another venue's is nothing of this one's, and perhaps not for this client.
	if c.key.venue != market.Consolidated && n.Imbalance.Venue != c.key.venue {
		n.Imbalance = orderbook.Imbalance{}
	}
}

func (c *statusContent) load(v *orderbook.View) {
	c.scale = v.Scale
	c.read(v)
	c.sent, c.next = c.next, c.sent
}

func (c *statusContent) delta(dst []byte, v *orderbook.View) ([]byte, bool) {
	c.read(v)
	if c.next.Status == c.sent.Status && slices.Equal(c.next.venues, c.sent.venues) {
		return dst, false
	}
	c.sent, c.next = c.next, c.sent
	return c.snapshot(dst), true
}

// state returns whether it trades, in one word: as a SIP tells, else as its venues
// do.
func (s *statusState) state() market.TradingStatus {
	if s.Trading != market.StatusUnknown {
		return s.Trading
	}
	state := market.StatusUnknown
	for _, v := range s.venues {
		switch v.State {
		case orderbook.StateLive, orderbook.StateQuiet, orderbook.StateSuspect:
			return market.StatusTrading
		case orderbook.StateHalted:
			state = market.StatusHalted
		}
	}
	return state
}

func (c *statusContent) snapshot(dst []byte) []byte {
	s, f := &c.sent, c.key.format
	var at wire.Mark
	dst = f.Word(dst, wire.KeyStatusState, s.state().String())
	if s.Reason != (orderbook.Reason{}) {
		dst = f.Text(dst, wire.KeyReason, []byte(s.Reason.String()))
	}
	if s.Since != 0 {
		dst = f.Time(dst, wire.KeySince, s.Since)
	}
	dst = f.Word(dst, wire.KeySession, s.Session.String())
	if s.SessionEnd != 0 {
		dst = f.Time(dst, wire.KeySessionEnd, s.SessionEnd)
	}
	if s.Limit != orderbook.LimitNone {
		dst = f.Word(dst, wire.KeyLimit, s.Limit.String())
		dst = f.Time(dst, wire.KeyLimitSince, s.LimitSince)
	}
	if s.BandHigh != 0 {
		dst, at = f.Open(dst, wire.KeyBands, false)
		dst = f.Price(dst, wire.KeyBandLow, s.BandLow, c.scale)
		dst = f.Price(dst, wire.KeyBandHigh, s.BandHigh, c.scale)
		dst = f.Close(dst, at, false)
	}
	if s.Imbalance != (orderbook.Imbalance{}) {
		dst = c.appendImbalance(dst, &s.Imbalance)
	}
	dst = f.List(dst, wire.KeyVenues)
	for _, v := range s.venues {
		dst, at = f.Element(dst, wire.KeyVenues)
		dst = f.Word(dst, wire.KeyVenueName, c.lane.venueName(v.Venue))
		dst = f.Word(dst, wire.KeyVenueState, v.State.String())
		if v.Cause != orderbook.CauseNone {
			dst = f.Word(dst, wire.KeyVenueCause, v.Cause.String())
		}
		dst = f.Time(dst, wire.KeyVenueSince, v.Since)
		dst = f.Close(dst, at, false)
	}
	return f.EndList(dst)
}

func (c *statusContent) appendImbalance(dst []byte, i *orderbook.Imbalance) []byte {
	f := c.key.format
	dst, at := f.Open(dst, wire.KeyImbalance, false)
	dst = f.Word(dst, wire.KeyImbalanceVenue, c.lane.venueName(i.Venue))
	dst = f.Word(dst, wire.KeyImbalanceSide, i.Side.String())
	if i.Auction != 0 {
		dst = f.Text(dst, wire.KeyAuction, []byte{i.Auction})
	}
	if i.AuctionTime != 0 {
		dst = f.Uint(dst, wire.KeyAuctionTime, uint64(i.AuctionTime))
	}
	dst = f.Price(dst, wire.KeyImbalancePrice, i.Price, c.scale)
	dst = f.Size(dst, wire.KeyImbalanceSize, i.Size, c.scale)
	dst = f.Size(dst, wire.KeyPaired, i.Paired, c.scale)
	if i.Time != 0 {
		dst = f.Time(dst, wire.KeyImbalanceTS, i.Time)
	}
	return f.Close(dst, at, false)
}
