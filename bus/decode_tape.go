package bus

import (
	"math"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

func decodeTrade(b []byte, t *orderbook.Trade) error {
	f := fields{b: b}
	for n := range f.all {
		switch n {
		case 1:
			t.Venue = f.venue()
		case 2:
			t.Side = f.side()
		case 3:
			t.Flags = market.Flags(f.uint())
		case 4:
			f.conditions(t)
		case 5:
			t.Price = market.Price(f.int())
		case 6:
			t.Size = f.size()
		case 7:
			t.Time = int64(f.fixed())
		case 8:
			t.Received = int64(f.fixed())
		case 9:
			var fits bool
			if t.ID, fits = market.MakeTradeID(f.bytes()); !fits {
				f.fail("trade: identifier is too long")
			}
		case 10:
			if t.Kind = orderbook.TradeKind(f.enum()); t.Kind > orderbook.TradeCancel {
				f.fail("trade: unknown kind")
			}
		case 11:
			var fits bool
			if t.Of, fits = market.MakeTradeID(f.bytes()); !fits {
				f.fail("trade: identifier is too long")
			}
		default:
			f.skip()
		}
	}
	return f.err
}

func decodeTicker(b []byte, t *orderbook.Ticker) error {
	f := fields{b: b}
	for n := range f.all {
		switch n {
		case 1:
			t.HasLast = f.uint() != 0
		case 2:
			t.HasOpen = f.uint() != 0
		case 3:
			t.HasPrevClose = f.uint() != 0
		case 4:
			t.Last = market.Price(f.int())
		case 5:
			t.LastSize = f.size()
		case 6:
			t.LastVenue = f.venue()
		case 7:
			t.Open = market.Price(f.int())
		case 8:
			t.High = market.Price(f.int())
		case 9:
			t.Low = market.Price(f.int())
		case 10:
			t.PrevClose = market.Price(f.int())
		case 11:
			t.Volume = f.size()
		case 12:
			t.Notional.Hi = f.uint()
		case 13:
			t.Notional.Lo = f.uint()
		case 14:
			t.Trades = f.uint()
		case 15:
			t.Time = int64(f.fixed())
		case 16:
			t.Received = int64(f.fixed())
		case 17:
			t.HasRange = f.uint() != 0
		case 18:
			t.HasExt = f.uint() != 0
		case 19:
			t.ExtLast = market.Price(f.int())
		case 20:
			t.ExtTime = int64(f.fixed())
		case 21:
			t.Day = int64(f.fixed())
		default:
			f.skip()
		}
	}
	return f.err
}

func decodeBar(b []byte, w *orderbook.Bar) error {
	f := fields{b: b}
	for n := range f.all {
		switch n {
		case 1:
			if w.Interval = orderbook.Interval(f.enum()); w.Interval >= orderbook.NumIntervals {
				w.Interval = 0
				f.fail("bar: unknown interval")
			}
		case 2:
			w.HasOpen = f.uint() != 0
		case 3:
			w.HasRange = f.uint() != 0
		case 4:
			w.Rev = uint32(min(f.uint(), math.MaxUint32))
		case 5:
			w.Seq = f.uint()
		case 6:
			w.Start = int64(f.fixed())
		case 7:
			w.End = int64(f.fixed())
		case 8:
			w.DayEnd = int64(f.fixed())
		case 9:
			w.Open = market.Price(f.int())
		case 10:
			w.High = market.Price(f.int())
		case 11:
			w.Low = market.Price(f.int())
		case 12:
			w.Close = market.Price(f.int())
		case 13:
			w.Volume = f.size()
		case 14:
			w.Notional.Hi = f.uint()
		case 15:
			w.Notional.Lo = f.uint()
		case 16:
			w.Trades = f.uint()
		default:
			f.skip()
		}
	}
	return f.err
}
