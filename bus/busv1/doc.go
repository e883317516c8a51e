// Package busv1 holds the messages of the bus, generated from update.proto, for
// Go programs that read the bus on their own. Quotewire itself encodes and
// decodes them by hand, without reflection or allocation; tests hold the two
// against each other.
package busv1

//go:generate protoc -I ../.. --go_out=../.. --go_opt=paths=source_relative bus/busv1/update.proto
