package wire

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/quotewire/quotewire/market"
)

// requestField describes one field of wirev1.Request: what it is in JSON and how
// it is written.
type requestField struct {
	name string
	kind requestKind
}

type requestKind uint8

const (
	kindText     requestKind = iota // string
	kindTexts                       // repeated string
	kindCount                       // uint64
	kindDuration                    // int64, ns
	kindBool
	kindSpeed  // double
	kindResume // map<string, Position>
)

// requestFields are the fields of wirev1.Request by number.
var requestFields = [...]requestField{
	1: {"op", kindText}, 2: {"id", kindCount}, 3: {"channel", kindText}, 4: {"symbols", kindTexts},
	5: {"venue", kindText}, 6: {"depth", kindCount}, 7: {"interval", kindDuration}, 8: {"venues", kindBool},
	9: {"bar", kindText}, 10: {"resume", kindResume}, 11: {"checksum", kindBool}, 12: {"weight", kindCount},
	13: {"max_age", kindDuration}, 14: {"sid", kindCount}, 15: {"token", kindText}, 16: {"from", kindCount},
	17: {"to", kindCount}, 18: {"until", kindCount}, 19: {"speed", kindSpeed}, 20: {"kbps", kindCount},
	21: {"paused", kindBool}, 22: {"group", kindText},
}

func (k requestKind) wireType() protowire.Type {
	switch k {
	case kindCount, kindDuration, kindBool:
		return protowire.VarintType
	case kindSpeed:
		return protowire.Fixed64Type
	}
	return protowire.BytesType
}

// ParseProtoRequest reads one request in Protocol Buffers, a wirev1.Request. It is
// as strict as [ParseRequest] and refuses the same with the same words: it hands
// the fields on as JSON values.
func ParseProtoRequest(b []byte) (Request, *Error) {
	if len(b) > MaxRequestBytes {
		return Request{}, bad("a request is at most %d bytes, this one has %d", MaxRequestBytes, len(b)).error("")
	}
	fields, id, ref := protoFields(b)
	if ref != nil {
		return Request{ID: id}, ref.error(id)
	}
	r, ref := fromFields(fields)
	r.ID = id
	if ref != nil {
		return r, ref.error(id)
	}
	return r, nil
}

// protoFields returns the fields of a request and, also where it finds a fault,
// the id.
func protoFields(b []byte) (fields []field, id json.Number, ref *refusal) {
	refuse := func(format string, args ...any) {
		if ref == nil {
			ref = bad(format, args...)
		}
	}
	var seen [len(requestFields)]bool
	var symbols []string
	var resume []byte
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			refuse("the request is no Protocol Buffers message: %s", protowire.ParseError(size))
			return nil, id, ref
		}
		length := protowire.ConsumeFieldValue(n, kind, b[size:])
		if length < 0 {
			refuse("the request is no Protocol Buffers message: %s", protowire.ParseError(length))
			return nil, id, ref
		}
		v := b[size : size+length]
		b = b[size+length:]
		if int(n) >= len(requestFields) {
			refuse("the request has an unknown field, number %d", n)
			continue
		}
		f := requestFields[n]
		if kind != f.kind.wireType() {
			refuse("field %q is written in a wrong wire type, %d: want %d", f.name, kind, f.kind.wireType())
			continue
		}
		if seen[n] && f.kind != kindTexts && f.kind != kindResume {
			refuse("the request has the field %q twice", f.name)
			continue
		}
		seen[n] = true
		var raw json.RawMessage
		switch f.kind {
		case kindText, kindTexts:
			text, _ := protowire.ConsumeString(v)
			if !utf8.ValidString(text) {
				refuse("field %q is not UTF-8", f.name)
				continue
			}
			if f.kind == kindTexts {
				symbols = append(symbols, text)
				continue
			}
			raw = appendString(nil, text)
		case kindCount:
			u, _ := protowire.ConsumeVarint(v)
			raw = strconv.AppendUint(nil, u, 10)
			if f.name == "id" {
				id = json.Number(raw)
			}
		case kindDuration:
			u, _ := protowire.ConsumeVarint(v)
			raw = appendString(nil, time.Duration(u).String())
		case kindBool:
			u, _ := protowire.ConsumeVarint(v)
			raw = strconv.AppendBool(nil, protowire.DecodeBool(u))
		case kindSpeed:
			u, _ := protowire.ConsumeFixed64(v)
			if x := math.Float64frombits(u); math.IsInf(x, 1) {
				raw = json.RawMessage(`"max"`)
			} else {
				raw = strconv.AppendFloat(nil, x, 'g', -1, 64)
			}
		case kindResume:
			entry, _ := protowire.ConsumeBytes(v)
			var bad *refusal
			if resume, bad = appendPosition(resume, entry); bad != nil {
				refuse("%s", bad.message)
			}
			continue
		}
		fields = append(fields, field{f.name, raw})
	}
	if len(symbols) > 0 {
		raw, _ := json.Marshal(symbols) // texts cannot fail
		fields = append(fields, field{"symbols", raw})
	}
	if len(resume) > 0 {
		fields = append(fields, field{"resume", append(resume, '}')})
	}
	return fields, id, ref
}

// appendPosition appends an entry of resume to a JSON object that is not closed
// yet.
func appendPosition(dst, entry []byte) ([]byte, *refusal) {
	var symbol string
	var epoch, seq []byte
	bad := bad(`field "resume": want entries of a symbol and a position with epoch and seq`)
	walk := func(b []byte, f func(n protowire.Number, kind protowire.Type, v []byte) bool) bool {
		for len(b) > 0 {
			n, kind, size := protowire.ConsumeTag(b)
			if size < 0 {
				return false
			}
			length := protowire.ConsumeFieldValue(n, kind, b[size:])
			if length < 0 || !f(n, kind, b[size:size+length]) {
				return false
			}
			b = b[size+length:]
		}
		return true
	}
	ok := walk(entry, func(n protowire.Number, kind protowire.Type, v []byte) bool {
		if kind != protowire.BytesType {
			return false
		}
		text, _ := protowire.ConsumeBytes(v)
		switch n {
		case 1:
			symbol = string(text)
			return utf8.Valid(text)
		case 2:
			return walk(text, func(n protowire.Number, kind protowire.Type, v []byte) bool {
				switch {
				case n == 1 && kind == protowire.BytesType:
					text, _ := protowire.ConsumeBytes(v)
					epoch = appendString(nil, string(text))
					return utf8.Valid(text)
				case n == 2 && kind == protowire.VarintType:
					u, _ := protowire.ConsumeVarint(v)
					seq = strconv.AppendUint(nil, u, 10)
					return true
				}
				return false
			})
		}
		return false
	})
	if !ok || epoch == nil || seq == nil {
		return dst, bad
	}
	if len(dst) == 0 {
		dst = append(dst, '{')
	}
	dst = appendString(comma(dst), symbol)
	dst = append(dst, `:{"epoch":`...)
	dst = append(append(append(dst, epoch...), `,"seq":`...), seq...)
	return append(dst, '}'), nil
}

// AppendProto appends the request as a wirev1.Request: op, id and the fields in
// Given. An id that is no integer from 0 on is left out.
func (r *Request) AppendProto(dst []byte) []byte {
	text := func(n protowire.Number, s string) {
		dst = protowire.AppendString(protowire.AppendTag(dst, n, protowire.BytesType), s)
	}
	count := func(n protowire.Number, v uint64) {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, n, protowire.VarintType), v)
	}
	text(1, string(r.Op))
	if id, err := strconv.ParseUint(string(r.ID), 10, 64); err == nil {
		count(2, id)
	}
	for n := 3; n < len(requestFields); n++ {
		f, _ := fieldByName(requestFields[n].name)
		if r.Given&f == 0 {
			continue
		}
		n := protowire.Number(n)
		switch f {
		case FieldChannel:
			text(n, r.Channel.String())
		case FieldSymbols:
			for _, s := range r.Symbols {
				text(n, s)
			}
		case FieldVenue:
			text(n, r.Venue)
		case FieldDepth:
			count(n, uint64(r.Depth))
		case FieldInterval:
			count(n, uint64(r.Interval))
		case FieldVenues:
			count(n, protowire.EncodeBool(r.Venues))
		case FieldBar:
			text(n, r.Bar)
		case FieldResume:
			for symbol, p := range r.Resume {
				var entry, at int
				dst, entry = openProto(dst, n)
				dst = protowire.AppendString(protowire.AppendTag(dst, 1, protowire.BytesType), symbol)
				dst, at = openProto(dst, 2)
				dst = protowire.AppendString(protowire.AppendTag(dst, 1, protowire.BytesType), p.Epoch)
				dst = protowire.AppendVarint(protowire.AppendTag(dst, 2, protowire.VarintType), p.Seq)
				dst = closeProto(closeProto(dst, at), entry)
			}
		case FieldChecksum:
			count(n, protowire.EncodeBool(r.Checksum))
		case FieldPaused:
			count(n, protowire.EncodeBool(r.Paused))
		case FieldWeight:
			count(n, uint64(r.Weight))
		case FieldMaxAge:
			count(n, uint64(r.MaxAge))
		case FieldSID:
			count(n, r.SID)
		case FieldToken:
			text(n, r.Token)
		case FieldFrom:
			count(n, r.From)
		case FieldTo:
			count(n, r.To)
		case FieldUntil:
			count(n, r.Until)
		case FieldSpeed:
			dst = protowire.AppendFixed64(protowire.AppendTag(dst, n, protowire.Fixed64Type), math.Float64bits(r.Speed))
		case FieldGroup:
			text(n, market.Format(r.Group, r.GroupDecimals))
		case FieldKbps:
			count(n, uint64(r.Kbps))
		}
	}
	return dst
}
