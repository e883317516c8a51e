package normalizer

import (
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep values may be nested in a frame. The deepest that a
// provider sends is six.
const maxDepth = 64

// kind is the kind of a JSON value.
type kind uint8

const (
	absent kind = iota
	null
	boolTrue
	boolFalse
	number
	text    // a string without an escape: its bytes are between the quotes
	escaped // a string with a backslash
	object
	array
)

// span is the place of a value in the frame being read, quotes included. It is
// how a value is kept until the fields that tell its meaning have been read:
// keys come in any order.
type span struct {
	from, to uint32
	kind     kind
}

// scanner reads JSON (RFC 8259) from a byte slice that it does not own, without
// reflection and without allocating. It checks all that it passes over: a frame
// of which every value was read and whose end was reached is valid JSON.
//
// After the first fault every call fails, so callers loop on key and elem and
// look at ok once, at the end.
type scanner struct {
	b       []byte
	i       int    // next byte; len(b) after a fault
	opened  bool   // the last token was an opening bracket: no comma before what follows
	bad     bool   // a fault was found
	deep    bool   // the fault is nesting beyond maxDepth
	badAt   int    // offset of the fault
	name    []byte // the key that key read, unescaped
	scratch []byte // room for unescaped text, reused
}

// reset starts over on b.
func (s *scanner) reset(b []byte) {
	s.b, s.i, s.opened, s.bad, s.deep, s.badAt = b, 0, false, false, false, 0
}

// fail records a fault at the present offset. It returns false for the callers
// to pass on.
func (s *scanner) fail() bool { return s.failAt(s.i) }

func (s *scanner) failAt(i int) bool {
	if !s.bad {
		s.bad, s.badAt = true, i
	}
	s.i = len(s.b)
	return false
}

// skipSpace moves to the next byte that is not white space.
func (s *scanner) skipSpace() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// peek returns the next byte that is not white space, 0 at the end.
func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		if c := s.b[s.i]; c > ' ' {
			return c
		}
		s.skipSpace()
		if s.i < len(s.b) {
			return s.b[s.i]
		}
	}
	return 0
}

// open reads an opening bracket, '{' or '['.
func (s *scanner) open(c byte) bool {
	if s.peek() != c {
		return s.fail()
	}
	s.i++
	s.opened = true
	return true
}

// key moves to the next member of an object that was opened, leaving its name in
// s.name, valid until the next key with an escape. It returns false after the
// closing bracket and on a fault.
func (s *scanner) key() bool {
	c := s.peek()
	if c == '}' {
		s.i++
		s.opened = false
		return false
	}
	if !s.opened {
		if c != ',' {
			return s.fail()
		}
		s.i++
		c = s.peek()
	}
	s.opened = false
	if c != '"' {
		return s.fail()
	}
	from := s.i + 1
	end, k := scanString(s.b, from)
	if end < 0 {
		return s.failAt(-end)
	}
	s.i = end
	if k == text {
		s.name = s.b[from : end-1]
	} else {
		s.scratch = unescape(s.scratch[:0], s.b[from:end-1])
		s.name = s.scratch
	}
	if s.peek() != ':' {
		return s.fail()
	}
	s.i++
	return true
}

// passKey is key for members that are passed over: it leaves s.name alone, which
// is still that of the member whose value they are in.
func (s *scanner) passKey() bool {
	c := s.peek()
	if c == '}' {
		s.i++
		s.opened = false
		return false
	}
	if !s.opened {
		if c != ',' {
			return s.fail()
		}
		s.i++
		c = s.peek()
	}
	s.opened = false
	if c != '"' {
		return s.fail()
	}
	end, _ := scanString(s.b, s.i+1)
	if end < 0 {
		return s.failAt(-end)
	}
	s.i = end
	if s.peek() != ':' {
		return s.fail()
	}
	s.i++
	return true
}

// elem moves to the next element of an array that was opened. It returns false
// after the closing bracket and on a fault.
func (s *scanner) elem() bool {
	c := s.peek()
	if c == ']' {
		s.i++
		s.opened = false
		return false
	}
	if !s.opened {
		if c != ',' {
			return s.fail()
		}
		s.i++
		s.peek()
	}
	s.opened = false
	return true
}

// value reads one value of any kind and returns its place. Its kind is absent
// on a fault.
func (s *scanner) value() span {
	c := s.peek()
	from := s.i
	switch {
	case c == '"':
		end, k := scanString(s.b, from+1)
		if end < 0 {
			s.failAt(-end)
			return span{}
		}
		s.i = end
		return span{uint32(from), uint32(end), k}
	case c-'0' <= 9 || c == '-':
		end := scanNumber(s.b, from)
		if end < 0 {
			s.failAt(-end)
			return span{}
		}
		s.i = end
		return span{uint32(from), uint32(end), number}
	}
	return s.otherValue(c, from)
}

// otherValue is value for all that is rare on the hot path.
func (s *scanner) otherValue(c byte, from int) span {
	k := absent
	ok := false
	switch c {
	case '{':
		k, ok = object, s.skip(c, 1)
	case '[':
		k, ok = array, s.skip(c, 1)
	case 't':
		k, ok = boolTrue, s.literal("true")
	case 'f':
		k, ok = boolFalse, s.literal("false")
	case 'n':
		k, ok = null, s.literal("null")
	default:
		s.fail()
	}
	if !ok {
		return span{}
	}
	s.opened = false
	return span{uint32(from), uint32(s.i), k}
}

func (s *scanner) literal(want string) bool {
	if len(s.b)-s.i < len(want) || string(s.b[s.i:s.i+len(want)]) != want {
		return s.fail()
	}
	s.i += len(want)
	return true
}

// skip reads a whole object or array.
func (s *scanner) skip(c byte, depth int) bool {
	if depth > maxDepth {
		s.deep = true
		return s.fail()
	}
	s.i++
	s.opened = true
	for {
		if c == '{' {
			if !s.passKey() {
				return !s.bad
			}
		} else if !s.elem() {
			return !s.bad
		}
		switch n := s.peek(); n {
		case '{', '[':
			if !s.skip(n, depth+1) {
				return false
			}
		default:
			if s.value().kind == absent {
				return false
			}
		}
	}
}

// end reports whether the frame was read to its end without a fault.
func (s *scanner) end() bool {
	if s.peek() != 0 || s.i < len(s.b) {
		s.fail()
	}
	return !s.bad
}

// at moves back to a container that value has passed over, to read it again,
// and returns what resume needs.
func (s *scanner) at(v span) int {
	back := s.i
	s.i = int(v.from)
	return back
}

// resume ends what at began.
func (s *scanner) resume(back int) {
	s.i = back
	s.opened = false
}

// raw returns the bytes of a value as they are in the frame, without the quotes
// of a string.
func (s *scanner) raw(v span) []byte {
	if v.kind == text || v.kind == escaped {
		return s.b[v.from+1 : v.to-1]
	}
	return s.b[v.from:v.to]
}

// str returns the text of a string, and whether the value is one. What it
// returns is valid until the next escaped text or name is read.
func (s *scanner) str(v span) ([]byte, bool) {
	switch v.kind {
	case text:
		return s.b[v.from+1 : v.to-1], true
	case escaped:
		s.scratch = unescape(s.scratch[:0], s.b[v.from+1:v.to-1])
		return s.scratch, true
	}
	return nil, false
}

// scanString reads a string whose first byte after the quote is at i. It returns
// the offset after the closing quote, or minus the offset of a fault.
func scanString(b []byte, i int) (end int, k kind) {
	k = text
	for i < len(b) {
		c := b[i]
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		switch c {
		case '"':
			return i + 1, k
		case '\\':
			k = escaped
			if i+1 >= len(b) {
				return -i, k
			}
			switch b[i+1] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
				i += 2
			case 'u':
				if i+6 > len(b) {
					return -i, k
				}
				if _, ok := hex4(b[i+2 : i+6]); !ok {
					return -i, k
				}
				i += 6
			default:
				return -i, k
			}
		default: // a control character
			return -i, k
		}
	}
	return -len(b), k
}

// scanNumber reads a number that begins at i with a digit or '-'. It returns the
// offset after it, or minus the offset of a fault.
func scanNumber(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	if i >= len(b) || b[i]-'0' > 9 {
		return -i
	}
	if b[i] == '0' {
		i++
	} else {
		i = digits(b, i)
	}
	if i < len(b) && b[i] == '.' {
		n := digits(b, i+1)
		if n == i+1 {
			return -n
		}
		i = n
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		n := digits(b, i)
		if n == i {
			return -n
		}
		i = n
	}
	return i
}

// digits returns the offset after a run of digits.
func digits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// unescape appends the text of a string that scanString has accepted. A lone
// half of a surrogate pair becomes U+FFFD, as encoding/json has it.
func unescape(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		c := b[i]
		if c != '\\' {
			dst = append(dst, c)
			i++
			continue
		}
		c = b[i+1]
		i += 2
		switch c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, _ := hex4(b[i : i+4])
			i += 4
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if len(b)-i >= 6 && b[i] == '\\' && b[i+1] == 'u' {
					low, _ = hex4(b[i+2 : i+6])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

func hex4(b []byte) (r rune, ok bool) {
	for _, c := range b[:4] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
