package wire

import (
	"hash/crc32"
	"strconv"
	"sync"

	"github.com/quotewire/quotewire/market"
)

// CRCLevels is how many levels a side the book checksum covers.
const CRCLevels = 10

// Level is one price level as mantissas at the book's scale.
type Level struct {
	Price market.Price
	Size  market.Size
}

// crcBuffers holds *[]byte for the text of a book. Why: crc32 calls through a
// function value, so that a buffer on the stack would be moved to the heap at
// every call.
var crcBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// BookCRC returns the checksum that book messages carry as "crc": CRC-32 (IEEE)
// over the best 10 levels a side, asks from the lowest, then bids from the
// highest; for each level the digits of the price then of the size, joined
// without separators. Both slices are best first.
//
// The digits of a number are its canonical text without the point and without
// leading zeros: "64210.1" gives 642101, "0.0520" gives 52, "0" gives nothing. A
// minus sign stays before them.
func BookCRC(bids, asks []Level, scale market.Scale) uint32 {
	p := crcBuffers.Get().(*[]byte)
	b := AppendCRCText((*p)[:0], bids, asks, scale)
	crc := crc32.ChecksumIEEE(b)
	*p = b
	crcBuffers.Put(p)
	return crc
}

// AppendCRCText appends the text that [BookCRC] is taken over.
func AppendCRCText(dst []byte, bids, asks []Level, scale market.Scale) []byte {
	for _, l := range asks[:min(len(asks), CRCLevels)] {
		dst = appendDigits(dst, int64(l.Price), scale.Price)
		dst = appendDigits(dst, int64(l.Size), scale.Size)
	}
	for _, l := range bids[:min(len(bids), CRCLevels)] {
		dst = appendDigits(dst, int64(l.Price), scale.Price)
		dst = appendDigits(dst, int64(l.Size), scale.Size)
	}
	return dst
}

func appendDigits(dst []byte, m int64, d market.Decimals) []byte {
	if m == 0 {
		return dst
	}
	for ; d > 0 && m%10 == 0; d-- {
		m /= 10
	}
	return strconv.AppendInt(dst, m, 10)
}

// TextCRC is [BookCRC] over levels as their texts. The texts need not be
// canonical; they are not checked.
func TextCRC(bids, asks []PriceLevel) uint32 {
	p := crcBuffers.Get().(*[]byte)
	b := (*p)[:0]
	for _, side := range [2][]PriceLevel{asks, bids} {
		for _, l := range side[:min(len(side), CRCLevels)] {
			b = appendTextDigits(b, l.Price)
			b = appendTextDigits(b, l.Size)
		}
	}
	crc := crc32.ChecksumIEEE(b)
	*p = b
	crcBuffers.Put(p)
	return crc
}

func appendTextDigits(dst []byte, s string) []byte {
	start := len(dst)
	if len(s) > 0 && s[0] == '-' {
		dst = append(dst, '-')
		s = s[1:]
	}
	digits := len(dst)
	for i := range len(s) {
		if s[i] != '.' {
			if len(dst) > digits || s[i] != '0' {
				dst = append(dst, s[i])
			}
			continue
		}
		end := len(s)
		for end > i+1 && s[end-1] == '0' {
			end--
		}
		for _, c := range []byte(s[i+1 : end]) {
			if len(dst) > digits || c != '0' {
				dst = append(dst, c)
			}
		}
		break
	}
	if len(dst) == digits {
		return dst[:start] // zero, whatever its sign
	}
	return dst
}
