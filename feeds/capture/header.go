package capture

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"
)

// Header stands at the start of a capture and says where it comes from.
type Header struct {
	// Created is when the capture was begun, kept to the nanosecond. Zero means
	// now to [Create] and [NewWriter].
	Created time.Time
	// Meta is free: the program and its version, a digest of the config, the
	// host. Keys and values are UTF-8; together at most 1 MiB.
	Meta map[string]string
}

func (h Header) append(b []byte) ([]byte, error) {
	at := len(b)
	b = appendTag(b, tagHeader)
	b = order.AppendUint16(b, version)
	b = order.AppendUint16(b, 0)
	b = order.AppendUint64(b, uint64(h.Created.UnixNano()))
	b = order.AppendUint32(b, uint32(len(h.Meta)))
	for _, k := range slices.Sorted(maps.Keys(h.Meta)) {
		v := h.Meta[k]
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return nil, fmt.Errorf("capture metadata %q is not UTF-8", k)
		}
		b = binary.AppendUvarint(b, uint64(len(k)))
		b = append(b, k...)
		b = binary.AppendUvarint(b, uint64(len(v)))
		b = append(b, v...)
	}
	if n := len(b) - at - headerFix; n > maxMeta {
		return nil, fmt.Errorf("capture metadata has %d bytes, at most %d fit", n, maxMeta)
	}
	return seal(b[at:]), nil
}

// parseHeader reads b, a whole header whose CRC is right. The reason is empty
// where it is sound.
func parseHeader(b []byte) (h Header, reason string) {
	if order.Uint16(b[18:]) != 0 {
		return h, "the header has flags that this version does not know"
	}
	h.Created = time.Unix(0, int64(order.Uint64(b[20:]))).UTC()
	n, rest := order.Uint32(b[28:]), b[headerFix:len(b)-4]
	h.Meta = make(map[string]string)
	for range n {
		var k, v []byte
		var ok bool
		if k, rest, ok = cutBytes(rest, maxMeta); ok {
			v, rest, ok = cutBytes(rest, maxMeta)
		}
		if !ok {
			return Header{}, "the metadata ends early"
		}
		h.Meta[string(k)] = string(v)
	}
	return h, ""
}
