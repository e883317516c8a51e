// Package normalizer turns providers' raw messages into [market.Event]s:
// symbols become canonical, numbers exact, times nanoseconds, sides the
// aggressor's. It has one [Decoder] a provider.
//
// Decoders read the bytes themselves, without reflection and without a float:
// the digits of a number in a message are the digits of its mantissa. They
// allocate nothing per event once a symbol has been seen, and they ask no
// clock, so that a replay gives the same events to the byte.
package normalizer
