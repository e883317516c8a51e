package normalizer

import (
	"testing"

	"github.com/shopspring/decimal"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

const (
	krakenFile   = "kraken/v2_BTC-ETH-USD_d10_2026-07-07.ndjson.zst"
	coinbaseFile = "coinbase/exchange_BTC-ETH-USD_2026-07-07.ndjson.zst"
)

// tally is what a recording comes to.
type tally struct {
	kinds     map[market.Kind]int
	messages  map[string]int             // book messages by symbol: their FlagLast
	snapshots map[string]int             // KindClear by symbol
	trades    map[string]int             // prints by symbol, without prior ones
	volume    map[string]decimal.Decimal // of these
	prior     int
}

// decodeAll decodes a recording of which no frame may be refused.
func decodeAll(t *testing.T, r *rig, lines [][]byte) tally {
	t.Helper()
	y := tally{map[market.Kind]int{}, map[string]int{}, map[string]int{}, map[string]int{}, map[string]decimal.Decimal{}, 0}
	var dst []market.Event
	lastTrade := map[market.InstrumentID]uint64{}
	for i, line := range lines {
		var err error
		dst, err = r.d.Decode(dst[:0], feeds.Frame{Received: received, Payload: line})
		if err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		for _, e := range dst {
			y.kinds[e.Kind]++
			checkEvent(t, r, &e)
			symbol := r.dir.Symbol(e.Instrument)
			switch e.Kind {
			case market.KindClear:
				y.snapshots[symbol]++
			case market.KindTrade:
				if last := lastTrade[e.Instrument]; last != 0 && e.TradeSequence != last+1 {
					t.Errorf("line %d: trade %d follows %d", i+1, e.TradeSequence, last)
				}
				lastTrade[e.Instrument] = e.TradeSequence
				if e.Has(market.FlagPrior) {
					y.prior++
					continue
				}
				y.trades[symbol]++
				y.volume[symbol] = y.volume[symbol].Add(market.ToDecimal(e.Size, e.SizeDecimals))
			}
			if e.Has(market.FlagLast) && (e.Kind == market.KindLevel || e.Kind == market.KindChecksum || e.Kind == market.KindClear) {
				y.messages[symbol]++
			}
		}
	}
	return y
}

func (y tally) check(t *testing.T, symbol string, messages, snapshots, trades int, volume string) {
	t.Helper()
	if y.messages[symbol] != messages || y.snapshots[symbol] != snapshots || y.trades[symbol] != trades {
		t.Errorf("%s: %d book messages, %d snapshots, %d trades; want %d, %d, %d", symbol,
			y.messages[symbol], y.snapshots[symbol], y.trades[symbol], messages, snapshots, trades)
	}
	if !y.volume[symbol].Equal(decimal.RequireFromString(volume)) {
		t.Errorf("%s: volume %s, want %s", symbol, y.volume[symbol], volume)
	}
}

func TestKrakenRecording(t *testing.T) {
	r := newRig(t, "kraken")
	y := decodeAll(t, r, recording(t, krakenFile))
	y.check(t, "BTC-USD", 562, 1, 12, "0.56773246")
	y.check(t, "ETH-USD", 2400, 1, 5, "1.14585035")
	if n := y.kinds[market.KindChecksum]; n != 2962 {
		t.Errorf("%d checksums, want 2962", n)
	}
	if n := y.kinds[market.KindHeartbeat]; n != 23 {
		t.Errorf("%d heartbeats, want 23", n)
	}
}

func TestCoinbaseRecording(t *testing.T) {
	r := newRig(t, "coinbase")
	y := decodeAll(t, r, recording(t, coinbaseFile))
	y.check(t, "BTC-USD", 980, 1, 344, "0.90047340")
	y.check(t, "ETH-USD", 920, 1, 91, "24.54380606")
	if y.prior != 2 {
		t.Errorf("%d prior prints, want 2", y.prior)
	}
	if n := y.kinds[market.KindHeartbeat]; n != 118 {
		t.Errorf("%d heartbeats, want 118", n)
	}
}

// checkEvent holds an event against what every consumer relies on.
func checkEvent(t testing.TB, r *rig, e *market.Event) {
	t.Helper()
	bad := func(what string) { t.Errorf("%s: %s", what, r.show(*e)) }
	if e.Kind == market.KindNone || e.Kind.String() == "unknown" {
		t.Fatalf("event without a kind: %+v", *e)
	}
	if e.PriceDecimals < 0 || e.PriceDecimals > market.MaxDecimals || e.SizeDecimals < 0 || e.SizeDecimals > market.MaxDecimals {
		t.Fatalf("decimals out of range: %+v", *e)
	}
	if e.Feed != 1 || e.Received != received {
		bad("feed or receive time is not the frame's")
	}
	if e.Instrument != 0 && r.dir.Symbol(e.Instrument) == "" {
		bad("instrument is not registered")
	}
	if e.Venue != 0 && r.dir.VenueName(e.Venue) == "" {
		bad("venue is not registered")
	}
	if e.Size < 0 || e.AskSize < 0 || e.DayVolume < 0 || e.Time < 0 {
		bad("negative")
	}
	signed := false // spreads of futures trade below zero
	if e.Instrument != 0 {
		signed = r.dir.InstrumentByID(e.Instrument).Class == market.ClassFuture
	}
	if (e.Price < 0 || e.Ask < 0) && !signed {
		bad("negative")
	}
	if e.NumConditions > market.MaxConditions {
		bad("too many conditions")
	}
	switch e.Kind {
	case market.KindLevel:
		if e.Side == market.SideNone || e.Price <= 0 || e.Instrument == 0 || e.Venue == 0 {
			bad("level without a side, price, instrument or venue")
		}
	case market.KindOrder:
		if e.Order().IsZero() || e.Action == market.OrderNone || e.Instrument == 0 || e.Venue == 0 ||
			e.Action == market.OrderAdd && (e.Side == market.SideNone || e.Price <= 0) {
			bad("order without an id, action, instrument, venue, side or price")
		}
	case market.KindTrade:
		if e.Price <= 0 && !signed || e.Instrument == 0 || e.Venue == 0 || !e.Has(market.FlagLast) || e.Time == 0 {
			bad("trade without a price, instrument, venue, time or FlagLast")
		}
	case market.KindQuote:
		if ((e.Size > 0) != (e.Price > 0) || (e.AskSize > 0) != (e.Ask > 0)) && !signed {
			bad("half a side")
		}
	case market.KindClear, market.KindChecksum, market.KindBar, market.KindInstrument, market.KindStatus,
		market.KindValue, market.KindLULD, market.KindImbalance, market.KindCorrection, market.KindCancel:
		if e.Instrument == 0 || e.Venue == 0 {
			bad("no instrument or venue")
		}
	}
	if id := e.Instrument; id != 0 {
		if _, ok := r.d.VenueSymbol(id); !ok {
			bad("no venue symbol")
		}
	}
}
