package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/quotewire/quotewire/market"
)

// maxNesting is what the deepest request, one with resume, needs, and one more.
const maxNesting = 4

// field is one member of a JSON object, its value still as written.
type field struct {
	key string
	raw json.RawMessage
}

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

// ParseQuery reads a subscription from a query string, such as
// channel=quote&symbols=AAPL,MSFT&interval=250ms. It takes the fields of a
// subscribe except resume, and token; symbols are separated by commas.
func ParseQuery(q url.Values) (Request, *Error) {
	fields := []field{{"op", json.RawMessage(`"subscribe"`)}}
	keys := make([]string, 0, len(q))
	for k := range q {
		keys = append(keys, k)
	}
	sort.Strings(keys) // the same query gives the same error
	token := ""
	for _, k := range keys {
		f, ok := fieldByName(k)
		if !ok || (subscribeFields|FieldToken)&^FieldResume&f == 0 {
			return Request{}, bad("unknown query parameter %s; known are %s", quoteCut(k),
				names((subscribeFields|FieldToken)&^FieldResume)).error("")
		}
		if len(q[k]) != 1 {
			return Request{}, bad("query parameter %q is given %d times, want once; symbols are separated by commas",
				k, len(q[k])).error("")
		}
		v := q[k][0]
		if len(v) > MaxRequestBytes || !utf8.ValidString(v) {
			return Request{}, bad("query parameter %q is too long or not UTF-8", k).error("")
		}
		raw := json.RawMessage(v)
		switch f {
		case FieldToken:
			token = v
			continue
		case FieldSymbols:
			raw, _ = json.Marshal(strings.Split(v, ","))
		case FieldDepth, FieldWeight, FieldFrom, FieldUntil, FieldVenues, FieldChecksum:
			// Numbers and booleans are written the same in both forms.
		case FieldSpeed:
			if v == "max" {
				raw = json.RawMessage(`"max"`)
			}
		default:
			raw, _ = json.Marshal(v)
		}
		fields = append(fields, field{k, raw})
	}
	r, ref := fromFields(fields)
	if ref != nil {
		return r, ref.error("")
	}
	if token != "" {
		if len(token) > MaxToken {
			return r, bad("a token is at most %d bytes", MaxToken).error("")
		}
		r.Token, r.Given = token, r.Given|FieldToken
	}
	return r, nil
}

// objectFields returns the members of a JSON object in their order; what it read
// before a fault too.
func objectFields(b []byte, what string) ([]field, *refusal) {
	if i := invalidUTF8(b); i >= 0 {
		return nil, bad("%s is not UTF-8 at byte %d", what, i)
	}
	if nesting(b) > maxNesting {
		return nil, bad("%s is nested deeper than %d", what, maxNesting)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	t, err := dec.Token()
	if err != nil {
		return nil, bad("%s is not JSON: %s", what, syntax(err))
	}
	if t != json.Delim('{') {
		return nil, bad(`%s: want a JSON object such as {"op":"ping"}, got %s`, what, quoteCut(string(b)))
	}
	var fields []field
	seen := make(map[string]bool)
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return fields, bad("%s is not JSON: %s", what, syntax(err))
		}
		key, ok := t.(string)
		if !ok {
			return fields, bad("%s is not JSON: a key must be a text", what)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return fields, bad("%s is not JSON: %s", what, syntax(err))
		}
		if seen[key] {
			return fields, bad("%s has the field %s twice", what, quoteCut(key))
		}
		seen[key] = true
		fields = append(fields, field{key, raw})
	}
	if _, err := dec.Token(); err != nil {
		return fields, bad("%s is not JSON: %s", what, syntax(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fields, bad("%s goes on after its closing brace; send one request at a time", what)
	}
	return fields, nil
}

func syntax(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "it ends too early"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
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

// set reads one field.
func (r *Request) set(f Field, raw json.RawMessage) *refusal {
	switch f {
	case FieldChannel:
		var name string
		if !unmarshalString(raw, &name) {
			return bad(`field "channel": want a text, one of %s, got %s`, channelList(), quoteCut(string(raw)))
		}
		c, ok := ParseChannel(name)
		if !ok {
			return &refusal{code: CodeUnknownChannel,
				message: fmt.Sprintf("unknown channel %s: want one of %s", quoteCut(name), channelList())}
		}
		r.Channel = c
	case FieldSymbols:
		return r.setSymbols(raw)
	case FieldVenue:
		var v string
		if !unmarshalString(raw, &v) || (v != Consolidated && market.CheckSymbol(v) != nil) {
			return bad(`field "venue": want a venue's name, or "*" for the consolidated view, got %s`, quoteCut(string(raw)))
		}
		r.Venue = v
	case FieldDepth:
		n, ok := integer(raw, MaxDepth)
		if !ok {
			return &refusal{code: CodeInvalidDepth, message: fmt.Sprintf(
				`field "depth": want an integer from 0 (all levels) to %d, got %s`, MaxDepth, quoteCut(string(raw)))}
		}
		r.Depth = int(n)
	case FieldInterval:
		d, ok := duration(raw)
		if !ok {
			return &refusal{code: CodeInvalidInterval, message: fmt.Sprintf(
				`field "interval": want a text such as "250ms" or "1s", at most "1h", or "0" for every change, got %s`,
				quoteCut(string(raw)))}
		}
		r.Interval = d
	case FieldVenues, FieldChecksum, FieldPaused:
		var v bool
		switch string(raw) {
		case "true":
			v = true
		case "false":
		default:
			return bad("field %q: want true or false, got %s", names(f), quoteCut(string(raw)))
		}
		switch f {
		case FieldVenues:
			r.Venues = v
		case FieldPaused:
			r.Paused = v
		default:
			r.Checksum = v
		}
	case FieldBar:
		var v string
		if unmarshalString(raw, &v) {
			switch v {
			case "1s", "1m", "5m", "1h", "1d":
				r.Bar = v
				return nil
			}
		}
		return bad(`field "bar": want "1s", "1m", "5m", "1h" or "1d", got %s`, quoteCut(string(raw)))
	case FieldResume:
		return r.setResume(raw)
	case FieldWeight:
		n, ok := integer(raw, MaxWeight)
		if !ok || n == 0 {
			return bad(`field "weight": want an integer from 1 to %d, got %s`, MaxWeight, quoteCut(string(raw)))
		}
		r.Weight = int(n)
	case FieldMaxAge:
		d, ok := duration(raw)
		if !ok {
			return bad(`field "max_age": want a text such as "500ms" or "2s", at most "1h", got %s`, quoteCut(string(raw)))
		}
		r.MaxAge = d
	case FieldSID, FieldFrom, FieldTo, FieldUntil:
		n, ok := integer(raw, math.MaxUint64)
		if !ok {
			return bad("field %q: want an integer, 0 or more, got %s", names(f), quoteCut(string(raw)))
		}
		switch f {
		case FieldSID:
			r.SID = n
		case FieldFrom:
			r.From = n
		case FieldTo:
			r.To = n
		case FieldUntil:
			r.Until = n
		}
	case FieldToken:
		if !unmarshalString(raw, &r.Token) || r.Token == "" || len(r.Token) > MaxToken {
			r.Token = ""
			return bad(`field "token": want a text of 1 to %d bytes`, MaxToken) // never repeat a token
		}
	case FieldSpeed:
		if string(raw) == `"max"` {
			r.Speed = math.Inf(1)
			return nil
		}
		v, err := strconv.ParseFloat(string(raw), 64)
		if err != nil || !isNumber(raw) || v <= 0 || v > MaxSpeed {
			return bad(`field "speed": want a number above 0, at most %d, or "max", got %s`, MaxSpeed, quoteCut(string(raw)))
		}
		r.Speed = v
	case FieldGroup:
		var text string
		p, d, err := market.Price(0), market.Decimals(0), error(nil)
		if unmarshalString(raw, &text) {
			p, d, err = ParseGroup(text)
		}
		if p == 0 || err != nil {
			return bad(`field "group": want a price step such as "0.5", with at most %d decimals, got %s`, MaxGroupDecimals, quoteCut(string(raw)))
		}
		r.Group, r.GroupDecimals = p, d
	case FieldKbps:
		n, ok := integer(raw, math.MaxInt32)
		if !ok {
			return bad(`field "kbps": want an integer, 0 (no bound) to %d, got %s`, math.MaxInt32, quoteCut(string(raw)))
		}
		r.Kbps = int(n)
	}
	return nil
}

func (r *Request) setSymbols(raw json.RawMessage) *refusal {
	var texts []string
	plain := json.Unmarshal(raw, &texts) == nil && !slices.Contains(texts, "")
	var elements []json.RawMessage // to tell what is wrong
	if !plain {
		if texts = nil; json.Unmarshal(raw, &elements) != nil {
			elements = nil
		}
	}
	n := len(texts) + len(elements)
	if n == 0 {
		return bad(`field "symbols": want a list of at least one symbol such as ["BTC-USD","ETH-*"], got %s`, quoteCut(string(raw)))
	}
	if n > MaxSymbols {
		return bad(`field "symbols": want at most %d in one request, got %d; a pattern such as "*-USD" takes in many`, MaxSymbols, n)
	}
	symbols := make([]string, 0, n)
	seen := make(map[string]bool, n)
	for i := range n {
		var s string
		if plain {
			s = texts[i]
		} else if !unmarshalString(elements[i], &s) {
			return bad(`field "symbols": want texts, got %s`, quoteCut(string(elements[i])))
		}
		if err := CheckPattern(s); err != nil {
			return bad(`field "symbols": %s`, err)
		}
		if !seen[s] {
			seen[s] = true
			symbols = append(symbols, s)
		}
	}
	r.Symbols = symbols
	return nil
}

func (r *Request) setResume(raw json.RawMessage) *refusal {
	const want = `want {"SYMBOL":{"epoch":"9f2c","seq":1042}}`
	if len(raw) == 0 || raw[0] != '{' {
		return bad(`field "resume": %s, got %s`, want, quoteCut(string(raw)))
	}
	entries, ref := objectFields(raw, `field "resume"`)
	if ref != nil {
		return ref
	}
	if len(entries) > MaxSymbols {
		return bad(`field "resume": want at most %d symbols, got %d`, MaxSymbols, len(entries))
	}
	resume := make(map[string]Position, len(entries))
	for _, e := range entries {
		if err := market.CheckSymbol(e.key); err != nil {
			return bad(`field "resume": %s`, err)
		}
		what := fmt.Sprintf(`field "resume", symbol %q`, e.key)
		if e.raw[0] != '{' {
			return bad("%s: %s, got %s", what, want, quoteCut(string(e.raw)))
		}
		members, ref := objectFields(e.raw, what)
		if ref != nil {
			return ref
		}
		var p Position
		hasSeq := false
		for _, m := range members {
			switch m.key {
			case "epoch":
				if !unmarshalString(m.raw, &p.Epoch) || len(p.Epoch) > MaxEpoch {
					return bad("%s: epoch: want a text of 1 to %d bytes, as the snapshot gave it, got %s", what, MaxEpoch, quoteCut(string(m.raw)))
				}
			case "seq":
				if p.Seq, hasSeq = integer(m.raw, math.MaxUint64); !hasSeq {
					return bad("%s: seq: want an integer, 0 or more, got %s", what, quoteCut(string(m.raw)))
				}
			default:
				return bad("%s: unknown field %s: %s", what, quoteCut(m.key), want)
			}
		}
		if p.Epoch == "" || !hasSeq {
			return bad("%s: needs epoch and seq: %s", what, want)
		}
		resume[e.key] = p
	}
	r.Resume = resume
	return nil
}

func unmarshalString(raw json.RawMessage, dst *string) bool {
	return len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, dst) == nil
}

// integer reads an unsigned integer of at most limit, in plain digits.
func integer(raw json.RawMessage, limit uint64) (uint64, bool) {
	if len(raw) == 0 || (raw[0] == '0' && len(raw) > 1) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(raw), 10, 64)
	return n, err == nil && n <= limit
}

func duration(raw json.RawMessage) (time.Duration, bool) {
	var s string
	if !unmarshalString(raw, &s) {
		return 0, false
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0 && d <= MaxInterval && s[0] != '-'
}

// maxID bounds what is repeated in a reply.
const maxID = 32

func isNumber(raw []byte) bool {
	return len(raw) > 0 && len(raw) <= maxID && (raw[0] == '-' || raw[0]-'0' <= 9) && json.Valid(raw)
}

// findID looks for the id of a request that is no JSON object as a whole: a
// member "id" of the outermost object with a number that is complete.
func findID(b []byte) json.Number {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			end := skipString(b, i)
			if depth == 1 && string(b[i:min(end, len(b))]) == `"id"` {
				j := skipSpace(b, end)
				if j < len(b) && b[j] == ':' {
					j = skipSpace(b, j+1)
					k := j
					for k < len(b) && strings.IndexByte("+-.0123456789eE", b[k]) >= 0 {
						k++
					}
					if k < len(b) && isNumber(b[j:k]) {
						return json.Number(b[j:k])
					}
				}
			}
			i = end - 1
		}
	}
	return ""
}

// skipString returns the index after the string that opens at i, len(b) if it
// does not end.
func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// nesting returns how deep brackets nest outside strings, before a decoder that
// recurses sees them.
func nesting(b []byte) int {
	depth, most := 0, 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			depth++
			most = max(most, depth)
		case '}', ']':
			depth--
		case '"':
			i = skipString(b, i) - 1
		}
	}
	return most
}

func invalidUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
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

// ParseGroup reads a price step that a book's levels are grouped by, above 0, with
// at most [MaxGroupDecimals].
func ParseGroup(text string) (market.Price, market.Decimals, error) {
	p, d, err := market.ParsePrice(text)
	if p, d = market.Trim(p, d, 0); err != nil || p <= 0 || d > MaxGroupDecimals {
		return 0, 0, fmt.Errorf("group: want a price step such as 0.5, with at most %d decimals", MaxGroupDecimals)
	}
	return p, d, nil
}
