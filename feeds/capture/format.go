package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
)

// MaxPayload is the most bytes that the payload of one frame can have.
const MaxPayload = 64 << 20

const (
	version = 1

	frameMagic = 0x184D2A5C
	tagHeader  = "QWCAPT\r\n"
	tagBlock   = "QWCBLOCK"
	tagIndex   = "QWCINDEX"

	tagEnd     = 16 // bytes of a skippable frame up to the end of its tag
	headerFix  = 32 // bytes of the header before its metadata
	headSize   = 88 // bytes of a block's head
	indexFix   = 40 // bytes of the index before its entries
	indexEntry = 40
	indexEnd   = 12 // bytes of the index after its entries

	blockTarget = 256 << 10 // content at which a block is closed
	maxName     = 1 << 10
	maxURL      = 64 << 10
	maxMeta     = 1 << 20
	maxFeeds    = 1 << 16
	maxContent  = MaxPayload + 1<<20
	maxStored   = maxContent + maxContent>>8 + 1<<10 // zstd's worst case and some
	maxIndex    = 1 << 30                            // 26 million blocks, 6 TiB of records
	maxUnknown  = 64 << 20                           // skippable frames of a later time

	recordFeed  = 1
	recordFrame = 2

	flagBinary = 1 << 0
	flagURL    = 1 << 1
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	magicBytes = []byte{0x5C, 0x2A, 0x4D, 0x18}
	order      = binary.LittleEndian
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// sealed reports whether b, a whole skippable frame, ends with its CRC.
func sealed(b []byte) bool {
	return len(b) >= tagEnd+4 && order.Uint32(b[len(b)-4:]) == checksum(b[:len(b)-4])
}

// seal fills in the size of the skippable frame b and appends its CRC.
func seal(b []byte) []byte {
	order.PutUint32(b[4:], uint32(len(b)+4-8))
	return order.AppendUint32(b, checksum(b))
}

func appendTag(b []byte, tag string) []byte {
	b = order.AppendUint32(b, frameMagic)
	b = order.AppendUint32(b, 0) // the size, see seal
	return append(b, tag...)
}

// blockHead is what a block's head says.
type blockHead struct {
	number, firstFrame uint64
	first, min, max    int64
	frames             uint32
	raw, stored        uint32 // bytes of the content
	crcStored, crcRaw  uint32
}

func (h *blockHead) append(b []byte, salt uint32) []byte {
	at := len(b)
	b = appendTag(b, tagBlock)
	b = order.AppendUint32(b, salt)
	b = order.AppendUint32(b, 0)
	b = order.AppendUint64(b, h.number)
	b = order.AppendUint64(b, h.firstFrame)
	b = order.AppendUint64(b, uint64(h.first))
	b = order.AppendUint64(b, uint64(h.min))
	b = order.AppendUint64(b, uint64(h.max))
	b = order.AppendUint32(b, h.frames)
	b = order.AppendUint32(b, h.raw)
	b = order.AppendUint32(b, h.stored)
	b = order.AppendUint32(b, h.crcStored)
	b = order.AppendUint32(b, h.crcRaw)
	order.PutUint32(b[at+4:], headSize-8)
	return order.AppendUint32(b, checksum(b[at:]))
}

// parse reads a head of headSize bytes. The reason is empty where it is sound.
func (h *blockHead) parse(b []byte) (salt uint32, reason string) {
	switch {
	case order.Uint32(b[4:]) != headSize-8:
		return 0, "the head of a block has the wrong size"
	case !sealed(b[:headSize]):
		return 0, "the head of a block does not match its CRC"
	case order.Uint32(b[20:]) != 0:
		return 0, "a block has flags that this version does not know"
	}
	*h = blockHead{
		number: order.Uint64(b[24:]), firstFrame: order.Uint64(b[32:]),
		first: int64(order.Uint64(b[40:])), min: int64(order.Uint64(b[48:])), max: int64(order.Uint64(b[56:])),
		frames: order.Uint32(b[64:]), raw: order.Uint32(b[68:]), stored: order.Uint32(b[72:]),
		crcStored: order.Uint32(b[76:]), crcRaw: order.Uint32(b[80:]),
	}
	if h.raw > maxContent || h.stored > maxStored || h.frames == 0 || h.frames > h.raw {
		return 0, "the head of a block has impossible sizes"
	}
	return order.Uint32(b[16:]), ""
}

// entry is what the index says of one block.
type entry struct {
	offset     int64
	firstFrame uint64
	frames     uint32
	raw        uint32
	min, max   int64
}

func (e entry) append(b []byte) []byte {
	b = order.AppendUint64(b, uint64(e.offset))
	b = order.AppendUint64(b, e.firstFrame)
	b = order.AppendUint32(b, e.frames)
	b = order.AppendUint32(b, e.raw)
	b = order.AppendUint64(b, uint64(e.min))
	return order.AppendUint64(b, uint64(e.max))
}

func parseEntry(b []byte) entry {
	return entry{
		offset: int64(order.Uint64(b)), firstFrame: order.Uint64(b[8:]),
		frames: order.Uint32(b[16:]), raw: order.Uint32(b[20:]),
		min: int64(order.Uint64(b[24:])), max: int64(order.Uint64(b[32:])),
	}
}

// appendIndex appends the index that stands at offset. The entries are already
// in their stored form.
func appendIndex(b []byte, salt uint32, frames uint64, entries []byte, offset int64) []byte {
	b = appendTag(b, tagIndex)
	b = order.AppendUint32(b, salt)
	b = order.AppendUint32(b, 0)
	b = order.AppendUint64(b, uint64(len(entries)/indexEntry))
	b = order.AppendUint64(b, frames)
	b = append(b, entries...)
	b = order.AppendUint64(b, uint64(offset))
	return seal(b)
}

// indexSize reports whether the size of an index, whose first bytes are b, is
// that of the entries it tells of.
func indexSize(b []byte) bool {
	size, n := uint64(order.Uint32(b[4:]))+8, order.Uint64(b[24:])
	return n <= maxIndex/indexEntry && size == indexFix+n*indexEntry+indexEnd
}

// parseIndex checks b, a whole skippable frame, and returns its entries as
// stored. The reason is empty where it is sound.
func parseIndex(b []byte, salt uint32, offset int64) (frames uint64, entries []byte, reason string) {
	if len(b) < indexFix+indexEnd || !sealed(b) {
		return 0, nil, "the index does not match its CRC"
	}
	entries = b[indexFix : len(b)-indexEnd]
	switch {
	case !bytes.Equal(b[:4], magicBytes) || string(b[8:tagEnd]) != tagIndex || int(order.Uint32(b[4:])) != len(b)-8:
		return 0, nil, "there is no index"
	case order.Uint32(b[16:]) != salt:
		return 0, nil, "the index belongs to another capture"
	case order.Uint32(b[20:]) != 0:
		return 0, nil, "the index has flags that this version does not know"
	case int64(order.Uint64(b[len(b)-indexEnd:])) != offset:
		return 0, nil, "the index is not where it was written: bytes are missing or too many before it"
	case len(entries)%indexEntry != 0 || order.Uint64(b[24:]) != uint64(len(entries)/indexEntry):
		return 0, nil, "the index has the wrong size"
	}
	return order.Uint64(b[32:]), entries, ""
}

func uvarintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

func zigzag(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) }

// cutBytes cuts a uvarint length and as many bytes off b.
func cutBytes(b []byte, max int) (s, rest []byte, ok bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(max) || n > uint64(len(b)-k) {
		return nil, nil, false
	}
	return b[k : k+int(n)], b[k+int(n):], true
}

func corrupt(offset int64, format string, args ...any) *CorruptError {
	return &CorruptError{Offset: offset, Reason: fmt.Sprintf(format, args...)}
}
