package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/quotewire/quotewire/market"
)

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
	texts := textsOf(raw)
	plain := texts != nil || json.Unmarshal(raw, &texts) == nil && !slices.Contains(texts, "")
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
		if !plain {
			var text string
			if !unmarshalString(elements[i], &text) {
				return bad(`field "symbols": want texts, got %s`, quoteCut(string(elements[i])))
			}
			texts = append(texts, text)
		}
		s := texts[i]
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

// textsOf reads a list of texts without escapes, as nearly all are, into one piece of
// memory: a server has many clients, and what each leaves behind lies between what is
// kept. nil where the list is another, or none.
func textsOf(raw json.RawMessage) []string {
	for _, c := range raw {
		if c < ' ' || c == '\\' || c >= utf8.RuneSelf {
			return nil
		}
	}
	s := string(raw)
	if len(s) < 2 || s[0] != '[' || s[len(s)-1] != ']' {
		return nil
	}
	s = s[1 : len(s)-1]
	out := make([]string, 0, strings.Count(s, ",")+1)
	for {
		if s = strings.TrimLeft(s, " "); s == "" || s[0] != '"' {
			return nil
		}
		text, rest, ok := strings.Cut(s[1:], `"`)
		if !ok || text == "" {
			return nil
		}
		out = append(out, text)
		if s = strings.TrimLeft(rest, " "); s == "" {
			return out
		}
		if s[0] != ',' {
			return nil
		}
		s = s[1:]
	}
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

// ParseGroup reads a price step that a book's levels are grouped by, above 0, with
// at most [MaxGroupDecimals].
func ParseGroup(text string) (market.Price, market.Decimals, error) {
	p, d, err := market.ParsePrice(text)
	if p, d = market.Trim(p, d, 0); err != nil || p <= 0 || d > MaxGroupDecimals {
		return 0, 0, fmt.Errorf("group: want a price step such as 0.5, with at most %d decimals", MaxGroupDecimals)
	}
	return p, d, nil
}
