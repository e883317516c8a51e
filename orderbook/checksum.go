package orderbook

import (
	"hash/crc32"
	"strconv"

	"github.com/quotewire/quotewire/market"
)

// checksumLevels is how many levels a side Kraken's checksum covers, whatever
// the depth subscribed.
const checksumLevels = 10

// krakenCRC computes Kraken's book checksum (WebSocket v2, "book checksum"):
// CRC-32 (IEEE) over the best ten asks from the lowest, then the best ten bids
// from the highest, for each level the price's digits then the quantity's,
// without the point and without leading zeros, both written with the pair's fixed
// decimals. A number written so is just its mantissa at those decimals.
//
// The buffer is the caller's, to be reused. It reports false if a level cannot
// be written with the venue's decimals, which no book that it sent can bring
// about.
func krakenCRC(buf []byte, asks, bids *Ladder, scale, digits market.Scale) (sum uint32, _ []byte, ok bool) {
	buf = buf[:0]
	for _, l := range [2]*Ladder{asks, bids} {
		for i := range min(checksumLevels, l.Len()) {
			lv := l.At(i)
			p, err := market.Rescale(lv.Price, scale.Price, digits.Price)
			if err != nil {
				return 0, buf, false
			}
			s, err := market.Rescale(lv.Size, scale.Size, digits.Size)
			if err != nil {
				return 0, buf, false
			}
			buf = strconv.AppendInt(buf, int64(p), 10)
			buf = strconv.AppendInt(buf, int64(s), 10)
		}
	}
	return crc32.ChecksumIEEE(buf), buf, true
}

// ordersCRC computes the checksum of Kraken's level3 (WebSocket v2, "L3 checksum"):
// as krakenCRC, with price and quantity of each single order in the order of its
// queue.
func ordersCRC(buf []byte, asks, bids *Ladder, o *orders, scale, digits market.Scale) (sum uint32, _ []byte, ok bool) {
	buf = buf[:0]
	if o == nil {
		return 0, buf, asks.Len() == 0 && bids.Len() == 0
	}
	for _, l := range [2]*Ladder{asks, bids} {
		for i := range min(checksumLevels, l.Len()) {
			p, err := market.Rescale(l.At(i).Price, scale.Price, digits.Price)
			if err != nil {
				return 0, buf, false
			}
			for n := l.queues[l.Len()-1-i].head; n != 0; n = o.nodes[n].next {
				s, err := market.Rescale(o.nodes[n].size, scale.Size, digits.Size)
				if err != nil {
					return 0, buf, false
				}
				buf = strconv.AppendInt(buf, int64(p), 10)
				buf = strconv.AppendInt(buf, int64(s), 10)
			}
		}
	}
	return crc32.ChecksumIEEE(buf), buf, true
}
