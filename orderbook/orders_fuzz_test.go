package orderbook

import (
	"encoding/binary"
	"testing"

	"github.com/quotewire/quotewire/market"
)

// FuzzOrders makes messages of orders, and of levels between them, of any bytes:
// orders that are not there, sides that are none, numbers that do not fit, images in
// parts that break off. Nothing panics, every order is in one place, and the updates
// lead to what the shard holds.
func FuzzOrders(f *testing.F) {
	f.Add([]byte("\x01\x10\x05\x01\x22\x05\x00\x10\x06\x01\x23\x05\x00\x11\x05\x02\x22\x05\x00\x12\x05\x04\x22\x05"))
	f.Add([]byte("\x05\x10\x05\x01\x22\x05\x04\x50\x06\x01\x43\x05\x06\x11\x05\x02\x22\x05\x07\x12\x05\x05\x22\x05"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newRig(t, Config{})
		for messages := int64(1); len(data) >= 6 && messages < 500; messages++ {
			events := fuzzOrders(&data, messages<<28)
			r.apply(events)
			if r.err != nil {
				t.Fatalf("after %+v: %v", events, r.err)
			}
			for _, in := range r.shard.instruments[1:] {
				for _, b := range in.venues[0].books {
					if err := checkOrders(b); err != nil {
						t.Fatalf("after %+v: %v", events, err)
					}
				}
			}
			for _, v := range r.views {
				checkDepth(t, v)
			}
		}
	})
}

func fuzzOrders(data *[]byte, now int64) (events []market.Event) {
	head := (*data)[0]
	flags := market.Flags(0)
	if head&4 != 0 {
		flags |= market.FlagPiecemeal
	}
	base := market.Event{Feed: market.FeedID(1 + head>>6&1), Venue: 1, Instrument: 1, Time: now, Received: now}
	if head&1 != 0 {
		flags |= market.FlagSnapshot
		clear := base
		clear.Kind, clear.Flags, clear.Depth = market.KindClear, flags, uint16(head>>4&3)
		events = append(events, clear)
	}
	for range 1 + head>>3&7 {
		if len(*data) < 6 {
			break
		}
		b := *data
		*data = b[6:]
		e := base
		e.Kind, e.Flags = market.KindOrder, flags
		e.Side, e.Action = market.Side(b[1]>>4&3), market.OrderAction(b[3]%7)
		var id [2]byte
		id[0], id[1] = 'A'+b[4]%16, 'A'
		key, _ := market.ParseOrderID(id[:])
		e.SetOrder(key)
		e.Price, e.Size = market.Price(b[1]&15), market.Size(b[2]%8)
		e.PriceDecimals, e.SizeDecimals = market.Decimals(b[5]%3), market.Decimals(b[5]/16%20)
		switch b[3] >> 5 {
		case 6:
			e.Kind = market.KindLevel
		case 7:
			if len(*data) >= 8 {
				e.Size = market.Size(binary.LittleEndian.Uint64(*data))
				*data = (*data)[8:]
			}
		}
		events = append(events, e)
	}
	if head&2 == 0 || head&1 == 0 { // only a snapshot may come in parts
		events[len(events)-1].Flags |= market.FlagLast
	}
	return events
}
