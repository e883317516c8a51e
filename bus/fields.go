package bus

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// errMalformed is what all errors of decoding wrap.
var errMalformed = errors.New("malformed message")

func malformed(what string) error { return fmt.Errorf("%w: %s", errMalformed, what) }

// fields walks over the fields of one protobuf message: all tells a field's number,
// then exactly one of the other methods takes its value. A method that meets a wrong
// type or value notes the error, with which all ends.
type fields struct {
	b     []byte
	field protowire.Number
	typ   protowire.Type
	err   error
}

var (
	errTag   = malformed("bad field tag")
	errType  = malformed("field of a wrong type")
	errShort = malformed("field is cut short")
)

// all yields the number of each field in turn, for the value to be taken, up to the
// end or the first error, which is in f.err then. It is for range: a loop's body
// costs no allocation.
func (f *fields) all(yield func(protowire.Number) bool) {
	for f.err == nil && len(f.b) > 0 {
		field, typ, n := protowire.ConsumeTag(f.b)
		if n < 0 {
			f.err = errTag
			return
		}
		f.b, f.field, f.typ = f.b[n:], field, typ
		if !yield(field) {
			return
		}
	}
}

// sub notes the error of a message inside.
func (f *fields) sub(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *fields) fail(what string) { f.sub(malformed(what)) }

// advance drops n bytes; a negative n is protowire's word for an error.
func (f *fields) advance(n int) bool {
	if n < 0 {
		f.sub(errShort)
		f.b = nil
		return false
	}
	f.b = f.b[n:]
	return true
}

func (f *fields) skip() { f.advance(protowire.ConsumeFieldValue(f.field, f.typ, f.b)) }

// is checks the field's type; a field of another type is skipped.
func (f *fields) is(t protowire.Type) bool {
	if f.typ == t {
		return true
	}
	f.sub(errType)
	f.skip()
	return false
}

func (f *fields) uint() uint64 {
	if !f.is(protowire.VarintType) {
		return 0
	}
	v, n := protowire.ConsumeVarint(f.b)
	f.advance(n)
	return v
}

func (f *fields) int() int64 { return protowire.DecodeZigZag(f.uint()) }

// enum returns an enum's number; one that does not fit a byte as 255, which no
// enum here has.
func (f *fields) enum() uint8 { return uint8(min(f.uint(), 255)) }

// count returns a number of things.
func (f *fields) count() int {
	v := f.uint()
	if v > math.MaxInt32 {
		f.fail("more than can be")
		v = 0
	}
	return int(v)
}

// state returns a state; one of a later version is none that may be shown.
func (f *fields) state() orderbook.State {
	s := orderbook.State(f.enum())
	if s > orderbook.StateSuspect {
		return orderbook.StateNone
	}
	return s
}

// cause returns a cause, none for one of a later version.
func (f *fields) cause() orderbook.Cause {
	c := orderbook.Cause(f.enum())
	if c > orderbook.CauseUnsubscribed {
		return orderbook.CauseNone
	}
	return c
}

func (f *fields) size() market.Size {
	v := f.int()
	if v < 0 {
		f.fail("negative size")
	}
	return market.Size(v)
}

func (f *fields) side() market.Side {
	v := f.uint()
	if v > uint64(market.SideAsk) {
		f.fail("unknown side")
		v = 0
	}
	return market.Side(v)
}

// firmness takes what this version does not know for the worst.
func (f *fields) firmness() market.Firmness {
	return market.Firmness(min(f.uint(), uint64(market.NotFirm)))
}

func (f *fields) decimals() market.Decimals {
	v := f.uint()
	if v > uint64(market.MaxDecimals) {
		f.fail("more than 18 decimals")
		v = 0
	}
	return market.Decimals(v)
}

// venue returns a number into the message's list of venues.
func (f *fields) venue() market.VenueID {
	v := f.uint()
	if v > 1<<16-1 {
		f.fail("venue beyond the list")
		v = 0
	}
	return market.VenueID(v)
}

func (f *fields) fixed() uint64 {
	if !f.is(protowire.Fixed64Type) {
		return 0
	}
	v, n := protowire.ConsumeFixed64(f.b)
	f.advance(n)
	return v
}

// bytes returns a part of the message, not a copy.
func (f *fields) bytes() []byte {
	if !f.is(protowire.BytesType) {
		return nil
	}
	v, n := protowire.ConsumeBytes(f.b)
	f.advance(n)
	return v
}

// ints appends a repeated sint64, packed or, as protobuf wants readers to take
// too, not.
func (f *fields) ints(dst []int64) []int64 {
	if f.typ == protowire.VarintType {
		return append(dst, f.int())
	}
	for b := f.bytes(); len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			f.sub(errShort)
			break
		}
		dst = append(dst, protowire.DecodeZigZag(v))
		b = b[n:]
	}
	return dst
}

func (f *fields) conditions(t *orderbook.Trade) {
	one := func(v uint64) {
		if int(t.NumConditions) == len(t.Conditions) || v > 1<<16-1 {
			f.fail("trade: too many or unknown conditions")
			return
		}
		t.Conditions[t.NumConditions] = market.Condition(v)
		t.NumConditions++
	}
	if f.typ == protowire.VarintType {
		one(f.uint())
		return
	}
	for b := f.bytes(); len(b) > 0 && f.err == nil; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			f.sub(errShort)
			break
		}
		one(v)
		b = b[n:]
	}
}
