package sim

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
)

// textBook rebuilds a book from a stream as a client would, with prices and
// sizes as the text that came. It knows nothing of the simulator's own types.
type textBook struct{ bids, asks []Level } // best first

// decimalLess compares plain decimals by value.
func decimalLess(a, b string) bool {
	norm := func(s string) (string, string) {
		w, f, _ := strings.Cut(s, ".")
		return strings.TrimLeft(w, "0"), strings.TrimRight(f, "0")
	}
	aw, af := norm(a)
	bw, bf := norm(b)
	if len(aw) != len(bw) {
		return len(aw) < len(bw)
	}
	if aw != bw {
		return aw < bw
	}
	return af < bf
}

func isZero(s string) bool { return strings.Trim(s, "0.") == "" }

func (b *textBook) set(bid bool, price, size string) {
	side := &b.asks
	if bid {
		side = &b.bids
	}
	i, found := slices.BinarySearchFunc(*side, price, func(l Level, p string) int {
		switch {
		case decimalLess(l.Price, p) != bid && l.Price != p && (decimalLess(l.Price, p) || decimalLess(p, l.Price)):
			return -1
		case !decimalLess(l.Price, p) && !decimalLess(p, l.Price):
			return 0
		}
		return 1
	})
	switch {
	case isZero(size) && found:
		*side = slices.Delete(*side, i, i+1)
	case isZero(size):
	case found:
		(*side)[i].Size = size
	default:
		*side = slices.Insert(*side, i, Level{price, size})
	}
}

func (b *textBook) cut(depth int) {
	b.bids, b.asks = b.bids[:min(depth, len(b.bids))], b.asks[:min(depth, len(b.asks))]
}

// checksum is Kraken's rule as the reference words it, on the text.
func (b *textBook) checksum() uint32 {
	var sb strings.Builder
	digits := func(s string) string { return strings.TrimLeft(strings.Replace(s, ".", "", 1), "0") }
	for _, side := range [][]Level{b.asks, b.bids} {
		for _, l := range side[:min(10, len(side))] {
			sb.WriteString(digits(l.Price) + digits(l.Size))
		}
	}
	return crc32.ChecksumIEEE([]byte(sb.String()))
}

// equal compares with the truth, as text: every decimal has to be there.
func (b *textBook) equal(t testing.TB, what string, bids, asks []Level) {
	t.Helper()
	for _, s := range []struct {
		name      string
		got, want []Level
	}{{"bids", b.bids, bids}, {"asks", b.asks, asks}} {
		if !slices.Equal(s.got, s.want) {
			for i := range max(len(s.got), len(s.want)) {
				if i >= len(s.got) || i >= len(s.want) || s.got[i] != s.want[i] {
					t.Fatalf("%s: %d %s, truly %d; first difference at %d: %v, truly %v", what, len(s.got), s.name, len(s.want), i, s.got[i:min(i+2, len(s.got))], s.want[i:min(i+2, len(s.want))])
				}
			}
		}
	}
}

// krakenBooks follows Kraken book messages of one depth.
type krakenBooks struct {
	depth               int
	books               map[string]*textBook
	matched, mismatched int
	snapshots, updates  int
	fellOff             int
	trades              map[string][]krakenTrade
	heartbeats          int
}

type krakenTrade struct {
	Symbol, Side string
	Price, Qty   json.Number
	TradeID      int64 `json:"trade_id"`
	Timestamp    string
}

func (k *krakenBooks) apply(t testing.TB, frame []byte) {
	t.Helper()
	var m struct {
		Channel, Type, Method string
		Data                  json.RawMessage
	}
	decode(t, frame, &m)
	switch m.Channel {
	case "heartbeat":
		k.heartbeats++
		return
	case "trade":
		var ts []krakenTrade
		decode(t, m.Data, &ts)
		if k.trades == nil {
			k.trades = map[string][]krakenTrade{}
		}
		for _, tr := range ts {
			k.trades[tr.Symbol] = append(k.trades[tr.Symbol], tr)
		}
		return
	case "book":
	default:
		return
	}
	var data []struct {
		Symbol     string
		Bids, Asks []struct{ Price, Qty json.Number }
		Checksum   uint32
	}
	decode(t, m.Data, &data)
	for _, d := range data {
		if m.Type == "snapshot" {
			k.snapshots++
			k.books[d.Symbol] = &textBook{}
		} else {
			k.updates++
		}
		b := k.books[d.Symbol]
		if b == nil {
			t.Fatalf("update of %s before its snapshot", d.Symbol)
		}
		for _, l := range d.Bids {
			b.set(true, l.Price.String(), l.Qty.String())
		}
		for _, l := range d.Asks {
			b.set(false, l.Price.String(), l.Qty.String())
		}
		if len(b.bids) > k.depth || len(b.asks) > k.depth {
			k.fellOff++
		}
		b.cut(k.depth)
		if b.checksum() == d.Checksum {
			k.matched++
		} else {
			k.mismatched++
		}
	}
}

func list(symbols []string, f func(string) string) string {
	var out []string
	for _, s := range symbols {
		out = append(out, fmt.Sprintf("%q", f(s)))
	}
	return strings.Join(out, ",")
}

func same(s string) string { return s }
