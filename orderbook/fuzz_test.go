package orderbook

import (
	"encoding/binary"
	"testing"

	"github.com/quotewire/quotewire/market"
)

// FuzzShard makes events of any bytes: absurd numbers, decimals out of range,
// sides that are none, snapshots in parts, times that run backwards. Nothing
// panics, and the updates always lead to what the shard holds.
func FuzzShard(f *testing.F) {
	f.Add([]byte("\x02\x01\x01\x01\x01\x00\x10\x05\x01\x01\x01\x01\x01\x10\x20\x05\x01\x01\x01\x01\x02\x10\x21\x05"))
	f.Add([]byte("\x05\x01\x01\x01\x00\x22\x30\x40\x06\x01\x01\x01\x00\x22\x30\x40\x0c\x01\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x02\x01\x01\x01\x81\x00\x00\x00\x01\x01\x01\x01\x01\xff\xff\xff\x0a\x01\x01\x01\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		asked := 0
		r := newRig(t, Config{Resync: func(market.FeedID, market.InstrumentID, Cause) { asked++ }})
		messages := 0
		for len(data) > 8 && messages < 500 {
			events := fuzzMessage(&data)
			r.apply(events)
			messages++
			if r.err != nil {
				t.Fatalf("after %+v: %v", events, r.err)
			}
			for _, v := range r.views {
				checkDepth(t, v)
			}
		}
		if asked > 6*messages {
			t.Fatalf("%d resyncs asked for in %d messages", asked, messages)
		}
	})
}

func fuzzMessage(data *[]byte) []market.Event {
	b := *data
	head := market.Event{
		Kind: market.Kind(b[0] % 16), Feed: market.FeedID(b[1] % 3), Venue: market.VenueID(b[2] % 4), Instrument: market.InstrumentID(b[3] % 3),
		Received: int64(b[6]) << 30, Time: int64(b[7]) << 30,
	}
	count, part := 1+int(b[4]>>5&3), b[4]&0x80 != 0
	var events []market.Event
	for range count {
		if len(*data) < 8 {
			break
		}
		b, *data = *data, (*data)[8:]
		e := head
		if len(events) > 0 && head.Kind == market.KindClear {
			e.Kind = market.KindLevel
		}
		e.Side = market.Side(b[4] & 3)
		e.Flags = market.Flags(b[4]) << 1 & (market.FlagSnapshot | market.FlagNBBO | market.FlagPrior | market.FlagContiguous)
		if head.Kind == market.KindClear && part {
			e.Flags |= market.FlagSnapshot
		}
		e.PriceDecimals, e.SizeDecimals = market.Decimals(b[5]%20), market.Decimals(b[5]/20)
		e.Status, e.Depth = market.TradingStatus(b[6]%6), uint16(b[7]%4)
		e.Price, e.Size = market.Price(int8(b[6])), market.Size(b[7])
		e.Ask, e.AskSize = e.Price+market.Price(b[5]%4), e.Size/2
		e.TradeSequence, e.Sequence = uint64(b[7]), uint64(b[6])
		if b[4]&0x10 != 0 && len(*data) >= 16 { // numbers of any size
			e.Price = market.Price(binary.LittleEndian.Uint64((*data)[:8]))
			e.Size = market.Size(binary.LittleEndian.Uint64((*data)[8:16]))
			e.Ask, e.AskSize, e.Time, e.TradeSequence = e.Price, e.Size, int64(e.Price), uint64(e.Size)
			*data = (*data)[16:]
		}
		events = append(events, e)
	}
	// Only a snapshot may come in parts.
	if !part || head.Kind != market.KindClear {
		events[len(events)-1].Flags |= market.FlagLast
	}
	return events
}

func checkDepth(t *testing.T, v *View) {
	for _, side := range []market.Side{market.SideBid, market.SideAsk} {
		levels, splits := v.AppendDepth(nil, nil, side, 0)
		order := Ladder{side: side}
		for i, l := range levels {
			var sum market.Size
			for _, x := range splits[:l.Venues] {
				sum = addSize(sum, x.Size)
				if w := v.Venue(x.Venue); w == nil || w.State != StateLive || x.Size <= 0 {
					t.Fatalf("depth of %v from %+v", x, w)
				}
			}
			splits = splits[l.Venues:]
			if sum != l.Size || l.Venues == 0 || i > 0 && !order.better(levels[i-1].Price, l.Price) {
				t.Fatalf("depth %+v", levels)
			}
		}
		if len(splits) != 0 {
			t.Fatalf("%d splits left over", len(splits))
		}
		if q := &v.Quote; q.Source == SourceConsolidated && side == market.SideBid && (len(levels) > 0) != (q.BidSize > 0) {
			t.Fatalf("quote %+v, depth %+v", q, levels)
		}
	}
}
