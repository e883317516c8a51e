package wire

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// refusal is why a field was refused; it becomes an [Error] once the id is known.
type refusal struct {
	code, message string
	symbols       []string
}

func bad(format string, args ...any) *refusal {
	return &refusal{code: CodeBadRequest, message: fmt.Sprintf(format, args...)}
}

func (r *refusal) error(id json.Number) *Error {
	return &Error{ID: id, Code: r.code, Message: r.message, Symbols: r.symbols}
}

// ParseRequest reads one request. It is strict: an unknown or repeated field, a
// field that the operation does not take, a wrong type or a value out of bounds is
// refused with what would be right. The error repeats the request's id wherever
// that can be read, even where the rest is no JSON.
func ParseRequest(b []byte) (Request, *Error) {
	if len(b) > MaxRequestBytes {
		return Request{}, bad("a request is at most %d bytes, this one has %d", MaxRequestBytes, len(b)).error("")
	}
	fields, ref := objectFields(b, "the request")
	id := json.Number("")
	for _, f := range fields {
		if f.key == "id" && isNumber(f.raw) {
			id = json.Number(f.raw)
			break
		}
	}
	if ref != nil {
		if id == "" {
			id = findID(b)
		}
		return Request{ID: id}, ref.error(id)
	}
	r, ref := fromFields(fields)
	r.ID = id
	if ref != nil {
		return r, ref.error(id)
	}
	return r, nil
}

func fromFields(fields []field) (Request, *refusal) {
	var r Request
	for _, f := range fields {
		if f.key == "op" {
			var op string
			if !unmarshalString(f.raw, &op) {
				return r, bad(`field "op": want a text, one of %s, got %s`, opNames(), quoteCut(string(f.raw)))
			}
			r.Op = Op(op)
		}
	}
	if r.Op == "" {
		return r, bad(`field "op" is missing: want one of %s`, opNames())
	}
	rule, ok := ruleOf(r.Op)
	if !ok {
		op := r.Op
		r.Op = ""
		return r, bad("unknown op %s: want one of %s", quoteCut(string(op)), opNames())
	}
	for _, f := range fields {
		switch f.key {
		case "op":
			continue
		case "id":
			if !isNumber(f.raw) {
				return r, bad(`field "id": want a number of at most %d characters, got %s`, maxID, quoteCut(string(f.raw)))
			}
			continue
		}
		bit, ok := fieldByName(f.key)
		if !ok {
			return r, bad("unknown field %s: op %q takes %s", quoteCut(f.key), r.Op, names(rule.takes))
		}
		if rule.takes&bit == 0 {
			return r, bad("field %q is not for op %q, which takes %s", f.key, r.Op, names(rule.takes))
		}
		if ref := r.set(bit, f.raw); ref != nil {
			return r, ref
		}
		r.Given |= bit
	}
	if missing := rule.need &^ r.Given; missing != 0 && (!rule.orSID || r.Given&FieldSID == 0) {
		if rule.orSID {
			return r, bad("op %q needs %s, or sid", r.Op, names(rule.need))
		}
		return r, bad("op %q needs %s", r.Op, names(missing))
	}
	if r.Op == OpFetch && r.From > r.To {
		return r, bad(`field "from": want at most "to", %d, got %d`, r.To, r.From)
	}
	if r.Op == OpSubscribe {
		if r.Has(FieldFrom|FieldUntil) && r.From > r.Until {
			return r, bad(`field "from": want at most "until", %d, got %d`, r.Until, r.From)
		}
		if !r.Has(FieldFrom) && r.Given&(FieldUntil|FieldSpeed) != 0 {
			return r, bad(`fields "until" and "speed" are for the recorded past: "from" is missing`)
		}
		r.Resolve()
	}
	return r, nil
}

// quoteCut quotes a client's text for an error message, cut to a bound.
func quoteCut(s string) string {
	const limit = 40
	if len(s) <= limit {
		return strconv.Quote(s)
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "…"
}

func names(f Field) string {
	var list []string
	for i, n := range fieldNames {
		if f&(1<<i) != 0 {
			list = append(list, n)
		}
	}
	if len(list) == 0 {
		return "only id"
	}
	return strings.Join(list, ", ")
}

func opNames() string {
	var list []string
	for _, r := range opRules {
		list = append(list, string(r.op))
	}
	return strings.Join(list, ", ")
}

func channelList() string { return strings.Join(channelNames[1:], ", ") }
