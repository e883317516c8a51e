package normalizer

import (
	"encoding/binary"
	"math"

	"github.com/quotewire/quotewire/market"
)

// memberGuess is the member that followed another one when that was last seen: its
// bytes from the comma to the colon, as eight bytes of a frame, and its field. A
// provider's software writes the fields of an event type in one order. So whether
// the next member is the same is one comparison, which also checks that these
// bytes are the JSON that they should be.
type memberGuess struct {
	word, mask uint64 // mask 0: none
	width      uint8
	field      uint8
}

// memberGuesses are the guesses for an event type, by the field before; the last
// one is of the first member.
type memberGuesses [maxFields]memberGuess

// guessTypes is how many event types have guesses of their own.
const guessTypes = 11

// guessType numbers an event type by the last byte of its name, before it is known
// 0. That tells apart those that come in turn on a connection: T, Q, A and AM, XT,
// XQ and XL2. Where two share a number it costs time alone.
func guessType(c byte) int { return int(c % guessTypes) }

// members reads the members of an object that was opened into d.f. Members that
// were guessed and whose values are plain are read here, in one pass; all else,
// and every fault, is left to the scanner.
func (d *polygon) members() {
	s, f := &d.s, &d.f
	f.have = 0
	b, i := s.b, s.i
	guesses, before := &d.guesses[0], numFields
	for {
		from, field := i, noField
		if i+8 <= len(b) {
			g := &guesses[before%maxFields]
			if binary.LittleEndian.Uint64(b[i:])&g.mask == g.word && g.mask != 0 {
				v := &f.at[g.field%maxFields]
				if end := v.plain(b, i+int(g.width)); end > 0 {
					i, field = end, int(g.field)
				}
			}
		}
		if field < 0 {
			s.i, s.opened = from, before == numFields
			var v span
			if !s.member(&v) {
				return
			}
			field = polygonField(s.name)
			f.at[field] = polygonValue{span: v, decimals: notPlain}
			guesses[before] = guessOf(b, from, int(v.from)-from, field)
			i = s.i
		}
		f.have |= 1 << field
		before = field
		if v := &f.at[fieldEv]; field == fieldEv && v.kind == text {
			guesses = &d.guesses[guessType(b[v.to-2])]
		}
		if i < len(b) && b[i] == '}' {
			s.i, s.opened = i+1, false
			return
		}
	}
}

// guessOf returns the guess that the same width bytes come again before a value:
// having led to one once, they do so wherever the member before was the same. None
// where they do not fit.
func guessOf(b []byte, from, width, field int) memberGuess {
	if width > 8 || from+8 > len(b) {
		return memberGuess{}
	}
	mask := ^uint64(0) >> (64 - 8*width)
	return memberGuess{binary.LittleEndian.Uint64(b[from:]) & mask, mask, uint8(width), uint8(field)}
}

// polygonValue is a field's place and, of a number that was read on the way, what
// it is.
type polygonValue struct {
	span
	decimals market.Decimals // notPlain: the number was not read
	mantissa int64
}

const notPlain market.Decimals = -1

// plain reads a value that is written plainly, from b[i] on: a text without
// escapes, a number that fits without sign and exponent. It returns the
// offset after it, 0 for anything else, faults included.
func (v *polygonValue) plain(b []byte, i int) int {
	if i >= len(b) {
		return 0
	}
	from := i
	c := b[i]
	i++
	if c == '"' {
		for i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' {
			i++
		}
		if i >= len(b) || b[i] != '"' {
			return 0
		}
		i++
		*v = polygonValue{span{uint32(from), uint32(i), text}, notPlain, 0}
		return i
	}
	if c == '[' {
		if i = plainNumbers(b, i); i > 0 {
			*v = polygonValue{span{uint32(from), uint32(i), array}, notPlain, 0}
		}
		return i
	}
	if c -= '0'; c > 9 {
		return 0
	}
	m := uint64(c)
	if c != 0 {
		if i+8 <= len(b) {
			if w := binary.LittleEndian.Uint64(b[i:]); eightDigits(w) {
				m = m*1e8 + eightDigitsValue(w)
				i += 8
			}
		}
		for i < len(b) && b[i]-'0' <= 9 {
			m = m*10 + uint64(b[i]-'0')
			i++
		}
	}
	point := i
	if i+1 < len(b) && b[i] == '.' && b[i+1]-'0' <= 9 {
		for i++; i < len(b) && b[i]-'0' <= 9; i++ {
			m = m*10 + uint64(b[i]-'0')
		}
		point++
	}
	if i >= len(b) || b[i] == '.' || b[i]|0x20 == 'e' || i-from > 19 || m > math.MaxInt64 { // 19 digits, or 18 and a point, always fit m
		return 0
	}
	*v = polygonValue{span{uint32(from), uint32(i), number}, market.Decimals(i - point), int64(m)}
	return i
}

// plainNumbers passes over an array of whole numbers whose bracket was read, and
// returns the offset after it, 0 where it is written otherwise.
func plainNumbers(b []byte, i int) int {
	for i+1 < len(b) && b[i]-'1' < 9 {
		for i++; i < len(b) && b[i]-'0' <= 9; i++ {
		}
		if i >= len(b) || b[i] != ',' {
			break
		}
		i++
	}
	if i >= len(b) || b[i] != ']' || b[i-1]-'0' > 9 {
		return 0
	}
	return i + 1
}

// eightDigits tells whether eight bytes are digits: a byte is one where its high
// half is 3 and is still after 6 was added.
func eightDigits(w uint64) bool {
	const high = 0xf0f0f0f0f0f0f0f0
	return w&high|(w+0x0606060606060606)&high>>4 == 0x3333333333333333
}

// eightDigitsValue returns the number that eight digits are, the first one lowest
// in memory: neighbours are joined to pairs, pairs to fours, these to the whole.
func eightDigitsValue(w uint64) uint64 {
	w -= 0x3030303030303030
	w = w*10 + w>>8
	const pairs = 0x000000ff000000ff
	return (w&pairs*(100+1e6<<32) + w>>16&pairs*(1+1e4<<32)) >> 32
}
