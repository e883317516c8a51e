package normalizer

import (
	"encoding/binary"
	"math"
	"strconv"
)

// msgpack turns a MessagePack message into the JSON text of the same values, so
// that a provider that speaks both has one decoder. It allocates nothing once its
// buffer is large enough.
//
// A price that came as a float becomes the shortest decimal that is that float,
// which is the number that the provider had wherever that has up to 15 digits. A
// timestamp extension becomes a whole number of nanoseconds since the Unix epoch.
//
// Format: https://github.com/msgpack/msgpack/blob/master/spec.md
type msgpack struct {
	in   []byte
	i    int
	out  []byte
	deep bool // the fault is nesting beyond maxDepth
}

// convert returns the JSON of b, valid until the next call. Where b is not one
// whole message it reports false, and m.i is the place.
func (m *msgpack) convert(b []byte) ([]byte, bool) {
	m.in, m.i, m.out, m.deep = b, 0, m.out[:0], false
	ok := m.value(0) && m.i == len(b)
	m.in = nil
	return m.out, ok
}

// take returns the next n bytes, nil where there are not so many.
func (m *msgpack) take(n int) []byte {
	if n > len(m.in)-m.i {
		return nil
	}
	b := m.in[m.i : m.i+n]
	m.i += n
	return b
}

// uint reads a big-endian number of n bytes.
func (m *msgpack) uint(n int) (v uint64, ok bool) {
	b := m.take(n)
	if b == nil {
		return 0, false
	}
	switch n {
	case 1:
		return uint64(b[0]), true
	case 2:
		return uint64(binary.BigEndian.Uint16(b)), true
	case 4:
		return uint64(binary.BigEndian.Uint32(b)), true
	}
	return binary.BigEndian.Uint64(b), true
}

func (m *msgpack) value(depth int) bool {
	if depth > maxDepth {
		m.deep = true
		return false
	}
	if m.i >= len(m.in) {
		return false
	}
	c := m.in[m.i]
	at := m.i
	m.i++
	switch {
	case c < 0x80:
		m.out = strconv.AppendUint(m.out, uint64(c), 10)
		return true
	case c < 0x90:
		return m.object(int(c&0x0f), depth)
	case c < 0xa0:
		return m.array(int(c&0x0f), depth)
	case c < 0xc0:
		return m.text(int(c & 0x1f))
	case c >= 0xe0:
		m.out = strconv.AppendInt(m.out, int64(int8(c)), 10)
		return true
	}
	switch c {
	case 0xc0:
		m.out = append(m.out, "null"...)
		return true
	case 0xc2:
		m.out = append(m.out, "false"...)
		return true
	case 0xc3:
		m.out = append(m.out, "true"...)
		return true
	case 0xca:
		v, ok := m.uint(4)
		return ok && m.float(float64(math.Float32frombits(uint32(v))), 32)
	case 0xcb:
		v, ok := m.uint(8)
		return ok && m.float(math.Float64frombits(v), 64)
	case 0xcc, 0xcd, 0xce, 0xcf:
		v, ok := m.uint(1 << (c - 0xcc))
		m.out = strconv.AppendUint(m.out, v, 10)
		return ok
	case 0xd0, 0xd1, 0xd2, 0xd3:
		n := 1 << (c - 0xd0)
		v, ok := m.uint(n)
		shift := 64 - 8*n
		m.out = strconv.AppendInt(m.out, int64(v<<shift)>>shift, 10)
		return ok
	case 0xd6, 0xd7:
		return m.timestamp(4 << (c - 0xd6))
	case 0xc7:
		n, ok := m.uint(1)
		return ok && m.timestamp(int(n))
	case 0xd9, 0xda, 0xdb:
		n, ok := m.uint(1 << (c - 0xd9))
		return ok && n <= uint64(len(m.in)) && m.text(int(n))
	case 0xdc, 0xdd:
		n, ok := m.uint(2 << (c - 0xdc))
		return ok && n <= uint64(len(m.in)) && m.array(int(n), depth)
	case 0xde, 0xdf:
		n, ok := m.uint(2 << (c - 0xde))
		return ok && n <= uint64(len(m.in)) && m.object(int(n), depth)
	}
	m.i = at // binary data, other extensions, and the byte that is never used
	return false
}

func (m *msgpack) array(n, depth int) bool {
	m.out = append(m.out, '[')
	for i := range n {
		if i > 0 {
			m.out = append(m.out, ',')
		}
		if !m.value(depth + 1) {
			return false
		}
	}
	m.out = append(m.out, ']')
	return true
}

// object reads a map, whose keys must be texts.
func (m *msgpack) object(n, depth int) bool {
	m.out = append(m.out, '{')
	for i := range n {
		if i > 0 {
			m.out = append(m.out, ',')
		}
		if m.i >= len(m.in) {
			return false
		}
		if c := m.in[m.i]; c&0xe0 != 0xa0 && (c < 0xd9 || c > 0xdb) || !m.value(depth+1) {
			return false
		}
		m.out = append(m.out, ':')
		if !m.value(depth + 1) {
			return false
		}
	}
	m.out = append(m.out, '}')
	return true
}

func (m *msgpack) text(n int) bool {
	b := m.take(n)
	if b == nil && n > 0 {
		return false
	}
	m.out = append(m.out, '"')
	for _, c := range b {
		switch {
		case c == '"' || c == '\\':
			m.out = append(m.out, '\\', c)
		case c < ' ':
			const hex = "0123456789abcdef"
			m.out = append(m.out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			m.out = append(m.out, c)
		}
	}
	m.out = append(m.out, '"')
	return true
}

// float writes a float; what is no number is refused.
func (m *msgpack) float(f float64, bits int) bool {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return false
	}
	m.out = strconv.AppendFloat(m.out, f, 'g', -1, bits)
	return true
}

// timestamp reads an extension of n bytes, of which only the timestamp, type -1,
// is known.
func (m *msgpack) timestamp(n int) bool {
	b := m.take(1 + n)
	if b == nil || b[0] != 0xff {
		return false
	}
	b = b[1:]
	var seconds, ns uint64
	switch n {
	case 4:
		seconds = uint64(binary.BigEndian.Uint32(b))
	case 8:
		v := binary.BigEndian.Uint64(b)
		ns, seconds = v>>34, v&(1<<34-1)
	case 12:
		ns, seconds = uint64(binary.BigEndian.Uint32(b)), binary.BigEndian.Uint64(b[4:])
	default:
		return false
	}
	if ns > 999_999_999 || seconds > math.MaxInt64/1_000_000_000-1 {
		return false
	}
	m.out = strconv.AppendUint(m.out, seconds*1_000_000_000+ns, 10)
	return true
}
