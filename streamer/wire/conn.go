package wire

import "time"

// Conn is one connection over which the protocol is spoken, whatever carries it.
// One goroutine reads; any may write, and close.
type Conn interface {
	// ReadFrame waits for the next frame of the server: one or more messages of the
	// connection's format. It is valid until the next call. An error ends the
	// connection; one that is due to the deadline has a method Timeout that is true.
	ReadFrame() ([]byte, error)
	// WriteFrame sends one request. The bytes are the caller's again when it returns.
	WriteFrame(request []byte) error
	// SetReadDeadline bounds the wait of the next ReadFrame; the zero time does not.
	SetReadDeadline(t time.Time) error
	// Close ends the connection. Whoever waits in it gets an error.
	Close() error
}
