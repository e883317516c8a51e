package orderbook

import (
	"hash/crc32"
	"strconv"

	"github.com/quotewire/quotewire/market"
)

// textLevels is how many levels a side the checksums over texts cover (OKX and
// Bitfinex, "checksum": the best 25 of each side).
const textLevels = 25

// textCRC computes the checksum over the levels' texts as the venue wrote them
// (OKX API v5, "Order book channel", checksum): "bid price:bid size:ask
// price:ask size:…" from the best on, where a side that has ended is left out.
// Where a ladder does not remember how its levels were written, their shortest
// text is taken, which is how OKX writes. It reports false if a text cannot be
// made, which no book that was sent can bring about.
func textCRC(buf []byte, asks, bids *Ladder, scale market.Scale) (sum uint32, _ []byte, ok bool) {
	buf = buf[:0]
	for i := range textLevels {
		for _, l := range [2]*Ladder{bids, asks} {
			if i >= l.Len() {
				continue
			}
			lv := l.At(i)
			if l.texts == nil {
				buf = market.AppendNumber(buf, lv.Price, scale.Price)
				buf = append(buf, ':')
				buf = market.AppendNumber(buf, lv.Size, scale.Size)
				buf = append(buf, ':')
				continue
			}
			text := l.texts[len(l.texts)-1-i]
			p, err1 := market.Rescale(lv.Price, scale.Price, text.Price)
			s, err2 := market.Rescale(lv.Size, scale.Size, text.Size)
			if err1 != nil || err2 != nil {
				return 0, buf, false
			}
			buf = market.AppendFixed(buf, p, text.Price)
			buf = append(buf, ':')
			buf = market.AppendFixed(buf, s, text.Size)
			buf = append(buf, ':')
		}
	}
	return crc32.ChecksumIEEE(buf[:max(len(buf)-1, 0)]), buf, true
}

// numberCRC computes the checksum over the levels' numbers as JavaScript writes
// them (Bitfinex WebSocket v2, "checksum"), in the order of textCRC, the sizes
// of asks negative.
func numberCRC(buf []byte, asks, bids *Ladder, scale market.Scale) (sum uint32, _ []byte, ok bool) {
	buf = buf[:0]
	for i := range textLevels {
		if i < bids.Len() {
			lv := bids.At(i)
			buf = append(appendScript(buf, int64(lv.Price), scale.Price), ':')
			buf = append(appendScript(buf, int64(lv.Size), scale.Size), ':')
		}
		if i < asks.Len() {
			lv := asks.At(i)
			buf = append(appendScript(buf, int64(lv.Price), scale.Price), ':')
			buf = append(appendScript(buf, -int64(lv.Size), scale.Size), ':')
		}
	}
	return crc32.ChecksumIEEE(buf[:max(len(buf)-1, 0)]), buf, true
}

// appendScript appends a number as JavaScript's Number.prototype.toString does
// (ECMA-262, Number::toString): without trailing zeros, and below 0.000001 with
// an exponent, 1.7e-7.
func appendScript(buf []byte, m int64, d market.Decimals) []byte {
	m, d = market.Trim(m, d, 0)
	var digits [20]byte
	text := strconv.AppendInt(digits[:0], m, 10)
	if text[0] == '-' {
		buf = append(buf, '-')
		text = text[1:]
		m = -m
	}
	exp := len(text) - 1 - int(d) // of the first digit
	if m == 0 || exp >= -6 {
		return market.AppendFixed(buf, m, d)
	}
	buf = append(buf, text[0])
	if len(text) > 1 {
		buf = append(buf, '.')
		buf = append(buf, text[1:]...)
	}
	buf = append(buf, "e-"...)
	return strconv.AppendInt(buf, int64(-exp), 10)
}
