package sim

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// member is a key of an object with its value; objects keep their order, because
// clients of Alpaca rely on T coming first.
type member struct {
	name  string
	value any
}

// toMsgpack turns JSON text into MessagePack. Numbers become the smallest integer
// that holds them or a 64-bit float, texts under the key "t" that are times become
// timestamps, as Alpaca has them.
func toMsgpack(text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := readOrdered(d)
	if err != nil {
		return nil, err
	}
	return packValue(nil, v, "")
}

func readOrdered(d *json.Decoder) (any, error) {
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch tok {
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := readOrdered(d)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err
	case json.Delim('{'):
		object := []member{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := readOrdered(d)
			if err != nil {
				return nil, err
			}
			object = append(object, member{name.(string), v})
		}
		_, err = d.Token()
		return object, err
	}
	return tok, nil
}

func packValue(b []byte, v any, name string) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case nil:
		return append(b, 0xc0), nil
	case bool:
		if v {
			return append(b, 0xc3), nil
		}
		return append(b, 0xc2), nil
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			f, err := v.Float64()
			if err != nil {
				return nil, err
			}
			return binary.BigEndian.AppendUint64(append(b, 0xcb), math.Float64bits(f)), nil
		}
		switch {
		case n >= -32 && n <= 127:
			return append(b, byte(n)), nil
		case n >= 0 && n <= math.MaxUint16:
			return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(n)), nil
		case n >= 0 && n <= math.MaxUint32:
			return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(n)), nil
		}
		return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(n)), nil
	case string:
		if name == "t" {
			if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
				return binary.BigEndian.AppendUint64(append(b, 0xd7, 0xff), uint64(at.Nanosecond())<<34|uint64(at.Unix())), nil
			}
		}
		return append(packLength(b, len(v), 0xa0, 31, 0xda), v...), nil
	case []any:
		b = packLength(b, len(v), 0x90, 15, 0xdc)
		for _, e := range v {
			if b, err = packValue(b, e, ""); err != nil {
				return nil, err
			}
		}
		return b, nil
	case []member:
		b = packLength(b, len(v), 0x80, 15, 0xde)
		for _, e := range v {
			b = append(packLength(b, len(e.name), 0xa0, 31, 0xda), e.name...)
			if b, err = packValue(b, e.value, e.name); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return nil, fmt.Errorf("no MessagePack for %T", v)
}

// packLength writes the head of a text, array or map; w16 is its form with two
// bytes of length, the one with four follows it.
func packLength(b []byte, n int, fix byte, small int, w16 byte) []byte {
	switch {
	case n <= small:
		return append(b, fix|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, w16), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, w16+1), uint32(n))
}

var errMsgpack = errors.New("not a request in MessagePack")

// fromMsgpack turns a client's request, of texts, whole numbers, lists and maps,
// into JSON.
func fromMsgpack(b []byte) ([]byte, error) {
	v, rest, err := unpack(b, 0)
	if err != nil || len(rest) != 0 {
		return nil, errMsgpack
	}
	return json.Marshal(v)
}

func unpack(b []byte, depth int) (v any, rest []byte, err error) {
	if len(b) == 0 || depth > 8 {
		return nil, nil, errMsgpack
	}
	c := b[0]
	b = b[1:]
	length := func(bytes int) int {
		if len(b) < bytes {
			err = errMsgpack
			return 0
		}
		n := 0
		for _, x := range b[:bytes] {
			n = n<<8 | int(x)
		}
		b = b[bytes:]
		if n > len(b) {
			err = errMsgpack
			return 0
		}
		return n
	}
	switch {
	case c < 0x80:
		return int(c), b, nil
	case c&0xe0 == 0xa0 || c >= 0xd9 && c <= 0xdb:
		n := int(c & 0x1f)
		if c >= 0xd9 {
			n = length(1 << (c - 0xd9))
		}
		if err != nil || n > len(b) {
			return nil, nil, errMsgpack
		}
		return string(b[:n]), b[n:], nil
	case c&0xf0 == 0x90 || c == 0xdc || c == 0xdd:
		n := int(c & 0x0f)
		if c >= 0xdc {
			n = length(2 << (c - 0xdc))
		}
		list := []any{}
		for i := 0; i < n && err == nil; i++ {
			var e any
			e, b, err = unpack(b, depth+1)
			list = append(list, e)
		}
		return list, b, err
	case c&0xf0 == 0x80 || c == 0xde || c == 0xdf:
		n := int(c & 0x0f)
		if c >= 0xde {
			n = length(2 << (c - 0xde))
		}
		object := map[string]any{}
		for i := 0; i < n && err == nil; i++ {
			var k, e any
			if k, b, err = unpack(b, depth+1); err == nil {
				e, b, err = unpack(b, depth+1)
			}
			name, ok := k.(string)
			if err == nil && !ok {
				err = errMsgpack
			}
			object[name] = e
		}
		return object, b, err
	}
	return nil, nil, errMsgpack
}
