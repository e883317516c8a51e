package streamer

import (
	"sync"

	"github.com/quotewire/quotewire/streamer/wire"
	"github.com/quotewire/quotewire/streamer/wire/wiretest"
)

// schemas are those of docs/asyncapi.yaml, which every message that any test here
// sees is held against.
var schemas = sync.OnceValues(wiretest.Load)

// conforms holds a message of the server, or a request that is right, against its
// schema.
func conforms(t interface{ Fatal(...any) }, text []byte) {
	s, err := schemas()
	if err == nil {
		err = s.Check(text)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// requested holds a request against its schema, if the parser takes it.
func requested(t interface{ Fatal(...any) }, text []byte) {
	if r, bad := wire.ParseRequest(text); bad == nil && served[max(r.Channel, wire.ChannelQuote)] && !unservedRequest(&r) {
		conforms(t, text)
	}
}

// unservedRequest reports whether a request asks for what the protocol keeps a
// place for and this server does not have.
func unservedRequest(r *wire.Request) bool {
	switch r.Op {
	case wire.OpExplain:
		return true
	}
	return r.Op == wire.OpSubscribe && r.Given&(wire.FieldFrom|wire.FieldUntil|wire.FieldSpeed) != 0
}
