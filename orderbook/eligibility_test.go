package orderbook

import (
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/market"
)

// publishedRules are what a print under a condition updates, as the plans'
// tables have it: high and low, last, volume. 1 is "only if it is the first or
// only qualifying last". https://polygon.io/glossary/us/stocks/conditions-indicators,
// read by hand and not from our own tables.
var publishedRules = map[market.Condition]string{
	0: "YYY", 2: "NNY", 4: "YYY", 5: "Y1Y", 7: "NNY", 8: "YYY", 9: "YYY", 10: "Y1Y", 12: "NNY", 13: "NNY", 14: "YYY",
	15: "NNN", 16: "NNN", 20: "NNY", 21: "NNY", 22: "Y1Y", 25: "YYY", 29: "NNY", 30: "YYY", 33: "Y1Y", 37: "NNY",
	38: "YYN", 41: "YYY", 52: "NNY", 53: "NNY", 58: "YYY", // 58 is in no table: nothing is thrown away for it
}

// eligibleTape is the day's figures by a plain reading of those rules, in
// decimals.
type eligibleTape struct {
	last, high, low  decimal.NullDecimal
	volume, notional decimal.Decimal
	prints           int
}

func (m *eligibleTape) print(price, size decimal.Decimal, conditions []market.Condition) {
	highLow, last, volume := true, true, true
	for _, c := range conditions {
		rule := publishedRules[c]
		if rule[0] == 'N' {
			highLow = false
		}
		if rule[1] == 'N' || rule[1] == '1' && m.last.Valid {
			last = false
		}
		if rule[2] == 'N' {
			volume = false
		}
	}
	if last {
		m.last = decimal.NewNullDecimal(price)
	}
	if highLow {
		if !m.high.Valid || price.GreaterThan(m.high.Decimal) {
			m.high = decimal.NewNullDecimal(price)
		}
		if !m.low.Valid || price.LessThan(m.low.Decimal) {
			m.low = decimal.NewNullDecimal(price)
		}
	}
	if volume {
		m.volume, m.notional = m.volume.Add(size), m.notional.Add(price.Mul(size))
		m.prints++
	}
}

func (m *eligibleTape) String() string {
	var b strings.Builder
	for _, f := range []struct {
		name  string
		value decimal.NullDecimal
	}{{"last", m.last}, {"high", m.high}, {"low", m.low}} {
		if f.value.Valid {
			fmt.Fprintf(&b, "%s %v ", f.name, f.value.Decimal)
		}
	}
	fmt.Fprintf(&b, "volume %v notional %v prints %d", m.volume, m.notional, m.prints)
	return b.String()
}

// tickerTape reads the same figures off a ticker; those that the model has no
// value of are not looked at, but for last.
func tickerTape(t *Ticker, s market.Scale, m *eligibleTape) *eligibleTape {
	got := &eligibleTape{volume: market.ToDecimal(t.Volume, s.Size), prints: int(t.Trades)}
	if t.HasLast {
		got.last = decimal.NewNullDecimal(market.ToDecimal(t.Last, s.Price))
	}
	if m.high.Valid {
		got.high = decimal.NewNullDecimal(market.ToDecimal(t.High, s.Price))
		got.low = decimal.NewNullDecimal(market.ToDecimal(t.Low, s.Price))
	}
	n := new(big.Int).Lsh(new(big.Int).SetUint64(t.Notional.Hi), 64)
	n.Add(n, new(big.Int).SetUint64(t.Notional.Lo))
	got.notional = decimal.NewFromBigInt(n, -int32(s.Price)-int32(s.Size))
	return got
}

// TestTickerGoesByConditions: whatever prints come under whatever conditions, the
// ticker's last, high, low, volume, sum and count are those of the plain reading.
func TestTickerGoesByConditions(t *testing.T) {
	var ids []market.Condition
	for c := market.Condition(0); c < 100; c++ {
		if publishedRules[c] != "" {
			ids = append(ids, c)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		dir := market.NewDirectory()
		in, err := dir.Instrument("AAPL", market.ClassStock)
		if err != nil {
			t.Fatal(err)
		}
		venue, _ := dir.Venue("XNYS")
		feed, _ := dir.Feed("sip")
		view := &View{}
		shard := NewShard(Config{Directory: dir, Epoch: 1, Sinks: []Sink{viewSink{t, view}}})
		model := &eligibleTape{}
		at := time.Date(2026, time.November, 24, 15, 0, 0, 0, time.UTC).UnixNano() // a Tuesday, in the regular session
		for range rapid.IntRange(1, 30).Draw(t, "prints") {
			at += rapid.Int64Range(1, int64(time.Minute)).Draw(t, "after")
			e := market.Event{Kind: market.KindTrade, Flags: market.FlagLast, Feed: feed, Venue: venue, Instrument: in, Time: at, Received: at}
			e.PriceDecimals = market.Decimals(rapid.IntRange(0, 4).Draw(t, "price decimals"))
			e.SizeDecimals = market.Decimals(rapid.IntRange(0, 3).Draw(t, "size decimals"))
			e.Price = market.Price(rapid.Int64Range(1, 1e6).Draw(t, "price"))
			e.Size = market.Size(rapid.Int64Range(1, 1e6).Draw(t, "size"))
			conditions := rapid.SliceOfN(rapid.SampledFrom(ids), 0, 4).Draw(t, "conditions")
			e.NumConditions = uint8(copy(e.Conditions[:], conditions))
			shard.Apply([]market.Event{e})
			model.print(market.ToDecimal(e.Price, e.PriceDecimals), market.ToDecimal(e.Size, e.SizeDecimals), conditions)
			if got := tickerTape(&view.Ticker, view.Scale, model); got.String() != model.String() {
				t.Fatalf("ticker %v\nwant %v", got, model)
			}
		}
	})
}

// viewSink keeps a view.
type viewSink struct {
	t *rapid.T
	v *View
}

// Update implements Sink.
func (s viewSink) Update(u *Update) {
	if err := s.v.Apply(u); err != nil {
		s.t.Fatal(err)
	}
}

// Flush implements Sink.
func (s viewSink) Flush() {}
