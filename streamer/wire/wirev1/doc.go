// Package wirev1 holds the client protocol in Protocol Buffers, generated from
// quotewire.proto, for Go programs that read it on their own. Quotewire's server
// encodes market data by hand, without reflection or allocation; tests hold the
// two against each other.
package wirev1

//go:generate protoc -I ../../.. --go_out=../../.. --go_opt=paths=source_relative streamer/wire/wirev1/quotewire.proto
