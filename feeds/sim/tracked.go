package sim

// tracked is a pair's book at a venue as servers follow it: what has happened to
// it since its next batch began.
type tracked struct {
	id     string // the provider's spelling
	v      *venue
	at     int64 // of the newest change
	dirty  bool
	trades []trade
	depths map[int]*depthView // by levels a side
}

// depthView is a book cut to some levels a side, as its subscribers hold it.
type depthView struct {
	bids, asks []level // best first
	number     int64   // of its newest message, counted as the provider does
}

// track follows the books that a venue has, spelt as spell has it.
func track(m *Market, name string, spell func(pair string) string) (list []*tracked, byVenue map[*venue]*tracked, byID map[string]*tracked) {
	byVenue, byID = map[*venue]*tracked{}, map[string]*tracked{}
	now := m.Now().UnixNano()
	for _, c := range m.cryptos {
		if v := c.at(name); v != nil {
			t := &tracked{id: spell(c.spec.Pair), v: v, at: now, depths: map[int]*depthView{}}
			list = append(list, t)
			byVenue[v], byID[t.id] = t, t
		}
	}
	return list, byVenue, byID
}

// note keeps what an event did for the next batch.
func (t *tracked) note(ch *change) {
	t.at, t.dirty = ch.time, true
	t.trades = append(t.trades, ch.trades...)
}

// view is the book cut to a depth, made when it is asked for first.
func (t *tracked) view(depth int) *depthView {
	w := t.depths[depth]
	if w == nil {
		w = &depthView{number: int64(t.v.hash>>40) + 2}
		t.depths[depth] = w
		w.bids, w.asks = appendTop(nil, &t.v.bids, depth), appendTop(nil, &t.v.asks, depth)
	}
	return w
}

// advance brings a view up to the book and appends what changed: levels that
// left the view, whether they are gone or fell off its end, have size 0.
func (t *tracked) advance(dst []levelChange, w *depthView, depth int) []levelChange {
	for _, bid := range []bool{true, false} {
		have, full := &w.asks, t.v.side(bid)
		if bid {
			have = &w.bids
		}
		want := appendTop(nil, full, depth)
		i, j := 0, 0
		for i < len(*have) || j < len(want) {
			switch {
			case j == len(want) || i < len(*have) && full.better((*have)[i].price, want[j].price):
				dst = append(dst, levelChange{bid, (*have)[i].price, 0})
				i++
			case i == len(*have) || full.better(want[j].price, (*have)[i].price):
				dst = append(dst, levelChange{bid, want[j].price, want[j].size})
				j++
			default:
				if (*have)[i].size != want[j].size {
					dst = append(dst, levelChange{bid, want[j].price, want[j].size})
				}
				i++
				j++
			}
		}
		*have = want
	}
	return dst
}

// image is everything that a view holds, as changes of an empty book.
func (w *depthView) image() (dst []levelChange) {
	for _, l := range w.bids {
		dst = append(dst, levelChange{true, l.price, l.size})
	}
	for _, l := range w.asks {
		dst = append(dst, levelChange{false, l.price, l.size})
	}
	return dst
}

// appendTexts appends the changes of one side, each as arrays of texts without
// trailing zeros and with what follows them: ["1.5","2",…].
func (t *tracked) appendTexts(b []byte, changes []levelChange, bid bool, rest string) []byte {
	b = append(b, '[')
	first := true
	for _, l := range changes {
		if l.bid != bid {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, `["`...)
		b = appendTrim(b, l.price, t.v.spec.PriceDecimals)
		b = append(b, `","`...)
		b = appendTrim(b, l.size, t.v.spec.SizeDecimals)
		b = append(b, '"')
		b = append(b, rest...)
		b = append(b, ']')
	}
	return append(b, ']')
}

// no stocks: what the crypto venues' protocols leave alone.
type noStocks struct{}

func (noStocks) onStockTrade(*stock, *print) {}
func (noStocks) onStockQuote(*stock)         {}
func (noStocks) onBar(*stock, bool, bar)     {}
