package sim

import (
	"bytes"
	"strconv"
	"time"
)

// Skew lets the venue's clock run ahead of the market's by d, behind if d is
// negative, in all that is sent from now on, answers over HTTP included. 0 ends
// that. Times of a sequence that is numbered by them move with it.
func (s *Server) Skew(d time.Duration) { s.locked(func() { s.faults.skew = int64(d) }) }

// skewWindow is how far from the market's time a number may be to be a time: no
// price, size or number of a message is as close to it at the lengths below.
// Identifiers, which are drawn at random, may be: see identifier.
const skewWindow = int64(48 * time.Hour)

// timeUnits are the units of times on the wire, by their number of digits. Those
// of before September 2001, where the clock of testing/synctest begins, have one
// fewer.
var timeUnits = map[int]int64{9: 1e9, 10: 1e9, 12: 1e6, 13: 1e6, 15: 1e3, 16: 1e3, 18: 1, 19: 1}

// skewed returns a message with the times in it moved by d. Times are told by
// what they are on the wire: a text as of RFC 3339 in UTC, or a number of s, ms,
// µs or ns near the market's time that is not named an identifier, nor a text in a
// list: such are prices, sizes and, in Bitstamp's order_book, identifiers. So no
// protocol has to know of it, and none forgets one. b is left as it is.
func skewed(b []byte, now, d int64) []byte {
	out := make([]byte, 0, len(b)+8)
	for i := 0; i < len(b); {
		if b[i] < '0' || b[i] > '9' {
			out = append(out, b[i])
			i++
			continue
		}
		end := i
		for end < len(b) && b[end] >= '0' && b[end] <= '9' {
			end++
		}
		var before byte
		if i > 0 {
			before = b[i-1]
		}
		switch {
		case part(before), identifier(b[:i]):
			out = append(out, b[i:end]...)
		case end-i == 4 && end < len(b) && b[end] == '-':
			end += max(bytes.IndexByte(b[end:min(len(b), i+len(time.RFC3339Nano))], 'Z')+1, 0)
			out = appendSkewedText(out, b[i:end], now, d)
		case element(b[:i]):
			out = append(out, b[i:end]...)
		default:
			out = appendSkewedNumber(out, b[i:end], now, d)
		}
		i = end
	}
	return out
}

// part reports whether a digit after c is part of something that began before.
func part(c byte) bool {
	return c == '.' || c == '-' || c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// identifier reports whether the value that follows b belongs to a name such as
// id, id_str, buy_order_id or lastUpdateId.
func identifier(b []byte) bool {
	b = bytes.TrimRight(b, `" `)
	b, ok := bytes.CutSuffix(b, []byte(":"))
	if b = bytes.TrimRight(b, " "); !ok || !bytes.HasSuffix(b, []byte{'"'}) {
		return false
	}
	b = bytes.TrimSuffix(b[:len(b)-1], []byte("_str"))
	return len(b) >= 2 && bytes.EqualFold(b[len(b)-2:], []byte("id"))
}

// element reports whether the digits after b begin a text in a list, or a name.
func element(b []byte) bool {
	b, ok := bytes.CutSuffix(b, []byte{'"'})
	b = bytes.TrimRight(b, " ")
	return ok && (bytes.HasSuffix(b, []byte{','}) || bytes.HasSuffix(b, []byte{'['}))
}

func near(at, now int64) bool { return at > now-skewWindow && at < now+skewWindow }

func appendSkewedText(out, text []byte, now, d int64) []byte {
	at, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil || !near(at.UnixNano(), now) {
		return append(out, text...)
	}
	layout := []byte("2006-01-02T15:04:05Z")
	if point := bytes.IndexByte(text, '.'); point >= 0 { // as many digits as there were
		layout = append(layout[:len(layout)-1], '.')
		layout = append(append(layout, bytes.Repeat([]byte("0"), len(text)-point-2)...), 'Z')
	}
	return at.Add(time.Duration(d)).AppendFormat(out, string(layout))
}

func appendSkewedNumber(out, text []byte, now, d int64) []byte {
	unit := timeUnits[len(text)]
	n, err := strconv.ParseInt(string(text), 10, 64)
	if unit == 0 || err != nil || !near(n*unit, now) {
		return append(out, text...)
	}
	return strconv.AppendInt(out, n+d/unit, 10)
}
