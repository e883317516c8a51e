package normalizer_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/normalizer"
	"github.com/quotewire/quotewire/orderbook"
)

// syncVenue is a venue with one book whose image comes beside the stream. It
// remembers its book at every number.
type syncVenue struct {
	provider string
	now      uint64 // number of the newest update
	states   []syncState
	pending  []syncChange // since the last message
	lastSent uint64       // last number of the last message
	bids     map[int]int
	asks     map[int]int
}

type syncState struct {
	number uint64
	text   string
}

type syncChange struct {
	number      uint64
	bid         bool
	price, size int
}

// syncStart is where the numbers begin; bitstamp's are microseconds.
const syncStart = 1_764_599_400_000_000

// change lets one update happen; skip is how many numbers are other symbols'.
func (v *syncVenue) change(skip int, bid bool, price, size int) {
	v.now++
	if v.provider != "binance" {
		v.now += uint64(skip)
	}
	side := v.asks
	if bid {
		side = v.bids
	} else {
		price += 100
	}
	delete(side, price)
	if size > 0 {
		side[price] = size
	}
	v.pending = append(v.pending, syncChange{v.now, bid, price, size})
	v.states = append(v.states, syncState{v.now, v.text()})
}

func (v *syncVenue) text() string {
	var out strings.Builder
	for _, side := range []map[int]int{v.bids, v.asks} {
		var prices []int
		for p := range side {
			prices = append(prices, p)
		}
		slices.Sort(prices)
		for _, p := range prices {
			fmt.Fprintf(&out, " %dx%d", p, side[p])
		}
		out.WriteString(" |")
	}
	return out.String()
}

// at is the book at a number.
func (v *syncVenue) at(number uint64) string {
	text := " | |"
	for _, s := range v.states {
		if s.number <= number {
			text = s.text
		}
	}
	return text
}

// message is what the stream sends of all changes since the last, "" for none.
func (v *syncVenue) message() string {
	if len(v.pending) == 0 {
		return ""
	}
	var sides [2][]string
	for _, c := range v.pending {
		i := 1
		if c.bid {
			i = 0
		}
		sides[i] = append(sides[i], fmt.Sprintf(`["%d","%d.0"]`, c.price, c.size))
	}
	first, last := v.pending[0].number, v.pending[len(v.pending)-1].number
	bids, asks := strings.Join(sides[0], ","), strings.Join(sides[1], ",")
	prev := v.lastSent
	v.lastSent, v.pending = last, nil
	switch v.provider {
	case "bitstamp":
		return fmt.Sprintf(`{"event":"data","channel":"diff_order_book_ab","data":{"microtimestamp":"%d","bids":[%s],"asks":[%s]}}`, last, bids, asks)
	case "binance":
		return fmt.Sprintf(`{"stream":"ab@depth","data":{"e":"depthUpdate","E":%d,"s":"AB","U":%d,"u":%d,"b":[%s],"a":[%s]}}`, last/1000, first, last, bids, asks)
	}
	return fmt.Sprintf(`{"stream":"ab@depth","data":{"e":"depthUpdate","E":%d,"T":%[1]d,"s":"AB","U":%d,"u":%d,"pu":%d,"b":[%s],"a":[%s]}}`, last/1000, first, last, prev, bids, asks)
}

// image is the answer to a request for the book at a number.
func (v *syncVenue) image(number uint64) feeds.Frame {
	var sides [2][]string
	bids, asks, _ := strings.Cut(v.at(number), " |")
	for i, text := range []string{bids, strings.TrimSuffix(asks, " |")} {
		for _, l := range strings.Fields(text) {
			p, z, _ := strings.Cut(l, "x")
			sides[i] = append(sides[i], fmt.Sprintf(`["%s","%s.0"]`, p, z))
		}
	}
	f := feeds.Frame{Kind: feeds.Reply, URL: "https://x/api/v3/depth?symbol=AB"}
	format := `{"lastUpdateId":%d,"bids":[%s],"asks":[%s]}`
	if v.provider == "bitstamp" {
		f.URL = "https://x/api/v2/order_book/ab/"
		format = `{"microtimestamp":"%d","bids":[%s],"asks":[%s]}`
	}
	f.Payload = fmt.Appendf(nil, format, number, strings.Join(sides[0], ","), strings.Join(sides[1], ","))
	return f
}

// Whatever is lost, repeated, cut off, late or stale: a book that is live equals
// the venue's at the number it has come to, and has all that arrived.
func TestBooksBesideTheStreamAreRightOrNotTrusted(t *testing.T) {
	for _, provider := range []string{"binance", "binance-usdm", "bitstamp"} {
		t.Run(provider, func(t *testing.T) {
			wasLive := 0
			rapid.Check(t, func(t *rapid.T) {
				v := &syncVenue{provider: provider, now: syncStart, lastSent: syncStart, bids: map[int]int{}, asks: map[int]int{}}
				dir := market.NewDirectory()
				d, err := normalizer.New(provider, normalizer.Config{Directory: dir, Feed: "test"})
				if err != nil {
					t.Fatal(err)
				}
				shard := orderbook.NewShard(orderbook.Config{Directory: dir})
				var at uint64 // number that the book has come to
				take := func(f feeds.Frame) {
					// The clocks differ and the delay varies.
					f.Feed, f.Received = "test", int64(v.now)*1000+1e9+rapid.Int64Range(0, 3000).Draw(t, "delay")
					events, err := d.Decode(nil, f)
					var refusal *normalizer.Refusal
					if err != nil && (!errors.As(err, &refusal) || refusal.Cause != normalizer.CauseOldSnapshot && refusal.Cause != normalizer.CauseSyntax) {
						t.Fatalf("%v: %s", err, f.Payload)
					}
					for _, e := range events {
						if e.Kind == market.KindLevel || e.Kind == market.KindClear {
							at = e.Sequence
						}
					}
					shard.Apply(events)
				}
				live := func() bool {
					for _, b := range shard.Report(1000) {
						if b.State != orderbook.StateLive {
							continue
						}
						wasLive++
						var text strings.Builder
						slices.Reverse(b.TopBids)
						for _, side := range [][]orderbook.Level{b.TopBids, b.TopAsks} {
							for _, l := range side {
								fmt.Fprintf(&text, " %sx%s", market.Format(l.Price, b.Scale.Price), market.Format(l.Size, b.Scale.Size))
							}
							text.WriteString(" |")
						}
						if got, want := text.String(), v.at(at); got != want {
							t.Fatalf("at %d the book is\n%s, the venue's\n%s", at-syncStart, got, want)
						}
						return true
					}
					return false
				}
				arrived := uint64(0) // newest number of what came whole and in order
				take(feeds.Frame{Kind: feeds.Up})
				var sent []string
				var pictures []feeds.Frame
				changes := func(n int) {
					for range n {
						v.change(rapid.IntRange(0, 3).Draw(t, "skip"), rapid.Bool().Draw(t, "bid"), rapid.IntRange(1, 6).Draw(t, "price"), rapid.IntRange(0, 3).Draw(t, "size"))
					}
				}
				faults := []string{"", "", "", "", "", "", "drop", "twice", "cut", "swap", "picture", "picture", "show", "show", "old", "reconnect", "missing"}
				if provider == "bitstamp" { // cannot tell that a message is missing
					faults = slices.DeleteFunc(faults, func(s string) bool { return s == "drop" })
				}
				for range rapid.IntRange(20, 80).Draw(t, "steps") {
					what := rapid.SampledFrom(faults).Draw(t, "fault")
					changes(rapid.IntRange(0, 3).Draw(t, "changes"))
					switch what {
					case "picture": // asked for now, the answer comes later
						pictures = append(pictures, v.image(v.now))
						continue
					case "show":
						if len(pictures) > 0 {
							take(pictures[0])
							pictures = pictures[1:]
						}
						live()
						continue
					case "old":
						if len(v.states) > 0 && provider != "bitstamp" {
							take(v.image(rapid.SampledFrom(v.states).Draw(t, "when").number))
						}
						live()
						continue
					case "reconnect":
						take(feeds.Frame{Kind: feeds.Down})
						changes(rapid.IntRange(0, 3).Draw(t, "unheard"))
						v.message()
						take(feeds.Frame{Kind: feeds.Up})
						pictures, sent, arrived = nil, nil, 0
						if live() {
							t.Fatal("live after a reconnect")
						}
						continue
					case "missing":
						v.message()
						take(feeds.Frame{Kind: feeds.Lost, Payload: []byte("1")})
						arrived = 0
						if live() {
							t.Fatal("live though frames are missing")
						}
						continue
					}
					m := v.message()
					if m == "" {
						continue
					}
					switch what {
					case "drop":
						continue
					case "cut":
						m = m[:len(m)-rapid.IntRange(1, len(m)-1).Draw(t, "cut")]
						take(feeds.Frame{Payload: []byte(m)})
						arrived = 0
						live()
						continue
					case "twice":
						take(feeds.Frame{Payload: []byte(m)})
						if len(sent) > 0 {
							m = rapid.SampledFrom(sent).Draw(t, "again")
						}
					case "swap":
						changes(1)
						take(feeds.Frame{Payload: []byte(v.message())})
					}
					sent = append(sent, m)
					take(feeds.Frame{Payload: []byte(m)})
					if what == "" {
						arrived = v.lastSent
					}
					if live() && at < arrived {
						t.Fatalf("the book has come to %d, %d has arrived", at-syncStart, arrived-syncStart)
					}
				}
				// The faults are over: one image and the changes after it.
				changes(2)
				take(feeds.Frame{Payload: []byte(v.message())})
				changes(2)
				pic := v.image(v.now)
				changes(1)
				take(feeds.Frame{Payload: []byte(v.message())})
				take(pic)
				changes(1)
				take(feeds.Frame{Payload: []byte(v.message())})
				if !live() || at != v.now {
					t.Fatalf("not live in the end: %+v; at %d, the venue at %d", shard.Report(0), at-syncStart, v.now-syncStart)
				}
			})
			if wasLive < 110 { // each check ends live
				t.Errorf("live %d times only", wasLive)
			}
		})
	}
}
