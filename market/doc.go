// Package market holds the words that every other package speaks: prices and
// sizes as exact integers, instruments, venues, events, trades, quotes and
// levels.
//
// It does no I/O, starts no goroutine and knows no provider. Its only import
// outside the standard library is shopspring/decimal, the form in which people
// meet prices.
//
// # Numbers
//
// A [Price] or [Size] is a signed 64-bit mantissa. What it is worth depends on
// the [Decimals] that go with it: value = mantissa × 10^-decimals. An [Event]
// carries the decimals of its own numbers; the books of an instrument share one
// [Scale], which becomes finer when a finer number is seen and never coarser.
// A number that does not fit is refused with an error, never rounded.
package market
