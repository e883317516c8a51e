package market_test

import (
	"fmt"

	"github.com/quotewire/quotewire/market"
)

func ExampleParsePrice() {
	// A tick of PEPE-USD has ten decimals; its mantissa is exact.
	price, decimals, err := market.ParsePrice("0.0000123450")
	fmt.Println(int64(price), decimals, err)
	fmt.Println(market.Format(price, decimals), string(market.AppendFixed(nil, price, decimals)))
	fmt.Println(market.ToDecimal(price, decimals).Mul(market.ToDecimal(market.Size(2_000_000_000_000), 0)))
	// Output:
	// 123450 10 <nil>
	// 0.000012345 0.0000123450
	// 24690000
}

func ExampleRescale() {
	fine, err := market.Rescale(market.Price(18723), 2, 4)
	fmt.Println(fine, err)
	_, err = market.Rescale(market.Price(18723), 2, 1)
	fmt.Println(err)
	// Output:
	// 1872300 <nil>
	// market: number has more decimals than the scale
}

func ExampleEvent_Updates() {
	oddLot := market.Event{Kind: market.KindTrade, NumConditions: 2, Conditions: [market.MaxConditions]market.Condition{14, 37}}
	el := oddLot.Updates()
	fmt.Println(oddLot.Conditions[:2], el.Last, el.HighLow, el.Volume, el.OddLot)
	// Output: [intermarket_sweep odd_lot] false false true true
}
