package client_test

import (
	"fmt"

	"github.com/shopspring/decimal"

	"github.com/quotewire/quotewire/client"
)

// Mid, spread and microprice are made of a quote's sides when they are asked for,
// exactly; the second value says whether they mean anything.
func ExampleQuote_Microprice() {
	side := func(price, total string) client.Side {
		return client.Side{Present: true, Price: decimal.RequireFromString(price), Total: decimal.RequireFromString(total)}
	}
	q := &client.Quote{Bid: side("64210.1", "3"), Ask: side("64210.2", "1")}
	mid, _ := q.Mid()
	spread, _ := q.Spread()
	micro, _ := q.Microprice()
	fmt.Println("mid", mid, "spread", spread, "microprice", micro)

	q.Crossed = true // by two venues that do not agree
	_, ok := q.Mid()
	fmt.Println("of a crossed quote:", ok)

	// Output:
	// mid 64210.15 spread 0.1 microprice 64210.175
	// of a crossed quote: false
}
