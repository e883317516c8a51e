package normalizer_test

import (
	"errors"
	"fmt"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/normalizer"
)

func ExampleNew() {
	dir := market.NewDirectory()
	decoder, err := normalizer.New("polygon", normalizer.Config{Directory: dir, Feed: "us-stocks"})
	if err != nil {
		fmt.Println(err)
		return
	}
	frame := feeds.Frame{Payload: []byte(`[
		{"ev":"T","sym":"AAPL","x":12,"i":"77","p":187.23,"s":100,"c":[14,37],"t":1764599400123,"q":9},
		{"ev":"T","sym":"AAPL","x":12,"i":"78","p":"a lot","s":100,"t":1764599400124,"q":10}]`)}

	events, err := decoder.Decode(nil, frame)
	for _, e := range events {
		fmt.Println(dir.Symbol(e.Instrument), dir.VenueName(e.Venue), market.Format(e.Price, e.PriceDecimals),
			market.Format(e.Size, e.SizeDecimals), e.Conditions[:e.NumConditions])
	}
	if refusal := (*normalizer.Refusal)(nil); errors.As(err, &refusal) {
		fmt.Println(refusal.Count, refusal.Cause)
	}
	// Output:
	// AAPL XNAS 187.23 100 [intermarket_sweep odd_lot]
	// 1 bad_number
}
