package bus

import (
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/market/calendar"
	"github.com/quotewire/quotewire/orderbook"
)

func decodeStatus(b []byte, s *orderbook.VenueStatus) error {
	f := fields{b: b}
	for n := range f.all {
		switch n {
		case 1:
			s.Venue = f.venue()
		case 2:
			s.State = f.state()
		case 3:
			s.Cause = f.cause()
		case 4:
			s.Since = int64(f.fixed())
		default:
			f.skip()
		}
	}
	return f.err
}

func decodeInstrumentStatus(b []byte, st *orderbook.Status) error {
	f := fields{b: b}
	for n := range f.all {
		switch n {
		case 1:
			if st.Trading = market.TradingStatus(f.enum()); st.Trading > market.StatusRestricted {
				st.Trading = market.StatusUnknown
			}
		case 2:
			if st.Limit = orderbook.LimitState(f.enum()); st.Limit > orderbook.LimitDown {
				st.Limit = orderbook.LimitNone
			}
		case 3:
			if st.Session = calendar.Kind(f.enum()); st.Session > calendar.Continuous {
				st.Session = calendar.Closed
			}
		case 4:
			text := f.bytes()
			if len(text) > len(st.Reason) {
				f.fail("status: reason is too long")
			}
			copy(st.Reason[:], text)
		case 5:
			st.Since = int64(f.fixed())
		case 6:
			st.LimitSince = int64(f.fixed())
		case 7:
			st.SessionEnd = int64(f.fixed())
		case 8:
			st.BandLow = market.Price(f.int())
		case 9:
			st.BandHigh = market.Price(f.int())
		case 10:
			f.sub(decodeImbalance(f.bytes(), &st.Imbalance))
		default:
			f.skip()
		}
	}
	return f.err
}

func decodeImbalance(b []byte, i *orderbook.Imbalance) error {
	f := fields{b: b}
	for n := range f.all {
		switch n {
		case 1:
			i.Venue = f.venue()
		case 2:
			i.Side = f.side()
		case 3:
			i.Auction = byte(f.uint())
		case 4:
			i.AuctionTime = uint16(f.uint())
		case 5:
			i.Price = market.Price(f.int())
		case 6:
			i.Size = f.size()
		case 7:
			i.Paired = f.size()
		case 8:
			i.Time = int64(f.fixed())
		default:
			f.skip()
		}
	}
	return f.err
}
