package wire

import (
	"strconv"
	"unicode/utf8"

	"github.com/quotewire/quotewire/market"
)

// The functions here write the JSON format: they append to the caller's buffer and
// allocate nothing of their own. A message is begun with [AppendSnapshot],
// [AppendDelta] or [AppendTrade], its fields are appended, and a "}" ends it. A
// field is separated from the one before it, if there is one. What is to be
// written in either format goes through the methods of [Format].

// Head is what every message of a stream begins with. Times are nanoseconds
// here and microseconds on the wire.
type Head struct {
	SID        uint64
	Channel    Channel
	Symbol     string // canonical, needs no escaping
	Venue      string // "*" is left out
	Epoch      string
	Seq, Prev  uint64
	N          uint64 // changes folded into the message; left out if 0
	Span       int64  // ns over which they happened; left out if 0
	TS, RX, TX int64  // ns; TS is left out if 0
}

// AppendSnapshot begins a snapshot.
func AppendSnapshot(dst []byte, h *Head) []byte {
	dst = append(dst, `{"type":"snapshot"`...)
	if h.SID != 0 {
		dst = append(dst, `,"sid":`...)
		dst = strconv.AppendUint(dst, h.SID, 10)
	}
	dst = append(dst, `,"channel":"`...)
	dst = append(dst, h.Channel.String()...)
	dst = append(dst, `","symbol":"`...)
	dst = append(dst, h.Symbol...)
	dst = append(dst, '"')
	if h.Venue != "" && h.Venue != Consolidated {
		dst = append(dst, `,"venue":"`...)
		dst = append(dst, h.Venue...)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"epoch":"`...)
	dst = append(dst, h.Epoch...)
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendUint(dst, h.Seq, 10)
	return appendTimes(dst, h)
}

// AppendDelta begins a delta.
func AppendDelta(dst []byte, h *Head) []byte { return appendEvent(dst, `{"type":"delta","sid":`, h) }

// AppendTrade begins a message of prints.
func AppendTrade(dst []byte, h *Head) []byte { return appendEvent(dst, `{"type":"trade","sid":`, h) }

// AppendStatus begins a status.
func AppendStatus(dst []byte, h *Head) []byte { return appendEvent(dst, `{"type":"status","sid":`, h) }

// AppendBar begins a bar.
func AppendBar(dst []byte, h *Head) []byte {
	dst = appendEvent(dst, `{"type":"bar","sid":`, h)
	return AppendWord(dst, "symbol", h.Symbol)
}

func appendEvent(dst []byte, start string, h *Head) []byte {
	dst = append(dst, start...)
	dst = strconv.AppendUint(dst, h.SID, 10)
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendUint(dst, h.Seq, 10)
	dst = append(dst, `,"prev":`...)
	dst = strconv.AppendUint(dst, h.Prev, 10)
	if h.N != 0 {
		dst = append(dst, `,"n":`...)
		dst = strconv.AppendUint(dst, h.N, 10)
	}
	if h.Span > 0 {
		dst = append(dst, `,"span":`...)
		dst = appendMicros(dst, h.Span)
	}
	return appendTimes(dst, h)
}

func appendTimes(dst []byte, h *Head) []byte {
	if h.TS != 0 {
		dst = append(dst, `,"ts":`...)
		dst = appendMicros(dst, h.TS)
	}
	dst = append(dst, `,"rx":`...)
	dst = appendMicros(dst, h.RX)
	dst = append(dst, `,"tx":`...)
	return appendMicros(dst, h.TX)
}

func appendMicros(dst []byte, ns int64) []byte { return strconv.AppendInt(dst, ns/1000, 10) }

// AppendMicros appends a field with a time, given in ns.
func AppendMicros(dst []byte, name string, ns int64) []byte {
	return appendMicros(appendName(dst, name), ns)
}

func appendName(dst []byte, name string) []byte {
	dst = append(comma(dst), '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

// AppendNull appends a field that is null.
func AppendNull(dst []byte, name string) []byte { return append(appendName(dst, name), "null"...) }

// AppendNumber appends a field with a price or size as canonical text.
func AppendNumber[T ~int64](dst []byte, name string, m T, d market.Decimals) []byte {
	dst = append(appendName(dst, name), '"')
	dst = market.AppendNumber(dst, m, d)
	return append(dst, '"')
}

// AppendUint appends a field with a count.
func AppendUint(dst []byte, name string, n uint64) []byte {
	return strconv.AppendUint(appendName(dst, name), n, 10)
}

// AppendBool appends a field with a truth value.
func AppendBool(dst []byte, name string, v bool) []byte {
	return strconv.AppendBool(appendName(dst, name), v)
}

// AppendWord appends a field with a text that needs no escaping: a symbol, a
// venue's name, one of our own words.
func AppendWord(dst []byte, name, word string) []byte {
	dst = append(appendName(dst, name), '"')
	dst = append(dst, word...)
	return append(dst, '"')
}

// AppendText appends a field with any text.
func AppendText[T ~string | ~[]byte](dst []byte, name string, text T) []byte {
	return AppendQuoted(appendName(dst, name), text)
}

// AppendLevel appends one level as an array, with a comma before it if it is not
// the first. The closing bracket is left to [EndLevel], so that a split can come
// before it.
func AppendLevel(dst []byte, first bool, p market.Price, s market.Size, scale market.Scale) []byte {
	if !first {
		dst = append(dst, ',')
	}
	dst = append(dst, '[', '"')
	dst = market.AppendNumber(dst, p, scale.Price)
	dst = append(dst, '"', ',', '"')
	dst = market.AppendNumber(dst, s, scale.Size)
	return append(dst, '"')
}

// EndLevel ends a level.
func EndLevel(dst []byte) []byte { return append(dst, ']') }

// AppendVenueSize appends one entry of an object of sizes by venue.
func AppendVenueSize(dst []byte, first bool, venue string, s market.Size, d market.Decimals) []byte {
	if !first {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = append(dst, venue...)
	dst = append(dst, '"', ':', '"')
	dst = market.AppendNumber(dst, s, d)
	return append(dst, '"')
}

// AppendField begins a field whose value follows; start is "[" or "{" for arrays
// and objects.
func AppendField(dst []byte, name, start string) []byte {
	return append(appendName(dst, name), start...)
}

const hexDigits = "0123456789abcdef"

// AppendQuoted appends a text as a JSON string. Invalid UTF-8 becomes U+FFFD.
func AppendQuoted[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf {
			if c == '"' || c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
			i++
			continue
		}
		if c < ' ' {
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			i++
			continue
		}
		var tail [utf8.UTFMax]byte
		n := copy(tail[:], s[i:])
		r, size := utf8.DecodeRune(tail[:n])
		dst = utf8.AppendRune(dst, r)
		i += size
	}
	return append(dst, '"')
}

// AppendHeartbeat appends a whole heartbeat: the time in ns and how many
// milliseconds the client is behind.
func AppendHeartbeat(dst []byte, tx, lag int64) []byte {
	dst = append(dst, `{"type":"heartbeat"`...)
	dst = AppendMicros(dst, "tx", tx)
	dst = append(dst, `,"lag":`...)
	dst = strconv.AppendInt(dst, lag, 10)
	return append(dst, '}')
}

// AppendGap appends a whole gap message.
func AppendGap(dst []byte, sid, from, to uint64, reason string) []byte {
	dst = append(dst, `{"type":"gap","sid":`...)
	dst = strconv.AppendUint(dst, sid, 10)
	dst = AppendUint(dst, "from", from)
	dst = AppendUint(dst, "to", to)
	dst = AppendWord(dst, "reason", reason)
	return append(dst, '}')
}
