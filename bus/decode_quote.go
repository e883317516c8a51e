package bus

import (
	"math"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

func decodeTop(b []byte, t *orderbook.VenueQuote) error {
	f := fields{b: b}
	for n := range f.all {
		switch n {
		case 1:
			t.Venue = f.venue()
		case 2:
			t.Bid = market.Price(f.int())
		case 3:
			t.BidSize = f.size()
		case 4:
			t.Ask = market.Price(f.int())
		case 5:
			t.AskSize = f.size()
		case 6:
			t.BidVenue = f.venue()
		case 7:
			t.AskVenue = f.venue()
		case 8:
			t.BidFirmness = f.firmness()
		case 9:
			t.AskFirmness = f.firmness()
		default:
			f.skip()
		}
	}
	return f.err
}

func decodeQuote(b []byte, q *orderbook.Quote) error {
	f := fields{b: b}
	for n := range f.all {
		switch n {
		case 1:
			if q.Source = orderbook.QuoteSource(f.enum()); q.Source > orderbook.SourceNet {
				q.Source = orderbook.SourceNone
			}
		case 2:
			q.Bid = market.Price(f.int())
		case 3:
			q.BidSize = f.size()
		case 4:
			q.BidTotal = f.size()
		case 5:
			q.Ask = market.Price(f.int())
		case 6:
			q.AskSize = f.size()
		case 7:
			q.AskTotal = f.size()
		case 8:
			q.BidVenues = append(q.BidVenues, orderbook.VenueSize{})
			f.sub(decodeVenueSize(f.bytes(), &q.BidVenues[len(q.BidVenues)-1]))
		case 9:
			q.AskVenues = append(q.AskVenues, orderbook.VenueSize{})
			f.sub(decodeVenueSize(f.bytes(), &q.AskVenues[len(q.AskVenues)-1]))
		case 10:
			q.Time = int64(f.fixed())
		case 11:
			q.Received = int64(f.fixed())
		case 12:
			q.BidSlow = f.uint() != 0
		case 13:
			q.AskSlow = f.uint() != 0
		case 14:
			q.Thin = f.uint() != 0
		case 15:
			q.Counted = uint16(min(f.uint(), math.MaxUint16))
		case 16:
			q.Out = append(q.Out, orderbook.ExcludedVenue{})
			f.sub(decodeExcluded(f.bytes(), &q.Out[len(q.Out)-1]))
		case 17:
			q.Inverted = int64(f.fixed())
		default:
			f.skip()
		}
	}
	return f.err
}

func decodeVenueSize(b []byte, v *orderbook.VenueSize) error {
	f := fields{b: b}
	for n := range f.all {
		switch n {
		case 1:
			v.Venue = f.venue()
		case 2:
			v.Size = f.size()
		default:
			f.skip()
		}
	}
	return f.err
}

func decodeExcluded(b []byte, x *orderbook.ExcludedVenue) error {
	f := fields{b: b}
	for n := range f.all {
		switch n {
		case 1:
			x.Venue = f.venue()
		case 2:
			x.Side = f.side()
		case 3:
			if x.Why = orderbook.Exclusion(f.enum()); x.Why > orderbook.ExcludedSettling {
				x.Why = orderbook.ExcludedNone
			}
		default:
			f.skip()
		}
	}
	return f.err
}
