package alpaca

import (
	"encoding/binary"
	"errors"
	"slices"
)

// What we send and what the server says of the connection are small maps of
// texts, numbers and lists of texts; this is all of MessagePack that they need
// (https://github.com/msgpack/msgpack/blob/master/spec.md). Market data is not
// read here.

var errPacked = errors.New("not the MessagePack of a control message")

// appendText appends a text of up to 65,535 bytes.
func appendText(b []byte, s string) []byte {
	switch n := len(s); {
	case n < 32:
		b = append(b, 0xa0|byte(n))
	default:
		b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(n))
	}
	return append(b, s...)
}

// appendTexts appends a list of texts.
func appendTexts(b []byte, list []string) []byte {
	b = binary.BigEndian.AppendUint32(append(b, 0xdd), uint32(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}

// packed reads control messages.
type packed struct {
	b   []byte
	err error
}

func (p *packed) take(n int) []byte {
	if p.err != nil || n > len(p.b) {
		p.err = errPacked
		return nil
	}
	b := p.b[:n]
	p.b = p.b[n:]
	return b
}

func (p *packed) number(n int) (v int) {
	for _, c := range p.take(n) {
		v = v<<8 | int(c)
	}
	return v
}

// length reads the header of a text, list or map, whose kinds begin at fix, with
// room for mask in the first byte, and at w8 (0 if there is none) and w16.
func (p *packed) length(fix, mask byte, w8, w16 byte) int {
	first := p.take(1)
	if first == nil {
		return 0
	}
	n := 0
	switch c := first[0]; {
	case c&^mask == fix:
		n = int(c & mask)
	case w8 != 0 && c == w8:
		n = p.number(1)
	case c == w16:
		n = p.number(2)
	case c == w16+1:
		n = p.number(4)
	default:
		p.err = errPacked
	}
	if n < 0 || n > len(p.b) {
		p.err = errPacked
		return 0
	}
	return n
}

func (p *packed) text() string { return string(p.take(p.length(0xa0, 0x1f, 0xd9, 0xda))) }

// control reads one control message: an array of one map.
func readPacked(b []byte) (m control, err error) {
	p := &packed{b: b}
	if p.length(0x90, 0x0f, 0, 0xdc) != 1 {
		return m, errPacked
	}
	m.Lists = make(map[string][]string)
	for range p.length(0x80, 0x0f, 0, 0xde) {
		name := p.text()
		if p.err != nil || len(p.b) == 0 {
			return m, errPacked
		}
		switch c := p.b[0]; {
		case c&^0x1f == 0xa0 || c >= 0xd9 && c <= 0xdb:
			switch value := p.text(); name {
			case "T":
				m.Type = value
			case "msg":
				m.Message = value
			}
		case c&^0x0f == 0x90 || c == 0xdc || c == 0xdd:
			var list []string
			for range p.length(0x90, 0x0f, 0, 0xdc) {
				list = append(list, p.text())
				if p.err != nil {
					return m, p.err
				}
			}
			m.Lists[name] = list
		case c == 0xc0: // none
			p.take(1)
		default:
			n := p.whole()
			if name == "code" {
				m.Code = n
			}
		}
	}
	if len(p.b) != 0 {
		p.err = errPacked
	}
	return m, p.err
}

// whole reads a whole number that is not negative.
func (p *packed) whole() int {
	first := p.take(1)
	if first == nil {
		return 0
	}
	switch c := first[0]; c {
	case 0xcc, 0xd0:
		return p.number(1)
	case 0xcd, 0xd1:
		return p.number(2)
	case 0xce, 0xd2:
		return p.number(4)
	case 0xcf, 0xd3:
		return p.number(8)
	default:
		if c >= 0x80 {
			p.err = errPacked
		}
		return int(c)
	}
}

// packRequest writes a request: its texts, then its lists, by name.
func packRequest(texts [][2]string, lists map[string][]string) []byte {
	b := []byte{0x80 | byte(len(texts)+len(lists))}
	for _, t := range texts {
		b = appendText(appendText(b, t[0]), t[1])
	}
	names := make([]string, 0, len(lists))
	for name := range lists {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b = appendTexts(appendText(b, name), lists[name])
	}
	return b
}
