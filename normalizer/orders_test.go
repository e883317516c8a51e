package normalizer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

func FuzzKrakenOrders(f *testing.F) {
	fuzzDecoder(f, "kraken", krakenL3Snapshot, krakenL3Update, krakenL3Ack, krakenSnapshot,
		`{"channel":"level3","type":"update","data":[{"asks":[{"event":"add","order_qty":1E-8,"limit_price":1,"order_id":"0"}],"symbol":"A\/B"}]}`)
}

func FuzzCoinbaseOrders(f *testing.F) {
	open := coinbaseFull("open", 12, `"order_id":"`+coinbaseA+`","price":"502.1","remaining_size":"1.00","side":"buy"`)
	fuzzBeside(f, "coinbase", []string{coinbaseBookURL}, coinbaseBook(11, `["502.1","1","`+coinbaseB+`"]`, ""), open,
		coinbaseFull("match", 13, `"trade_id":10,"maker_order_id":"`+coinbaseB+`","taker_order_id":"`+coinbaseC+`","size":"0.5","price":"503","side":"sell"`),
		coinbaseFull("change", 13, `"order_id":"`+coinbaseB+`","new_size":"3.00","old_size":"1","old_price":"503","new_price":"503","side":"sell","reason":"modify_order"`),
		coinbaseFull("done", 13, `"order_id":"`+coinbaseC+`","reason":"filled","side":"buy"`), coinbaseListing)
}

func FuzzBitstampOrders(f *testing.F) {
	fuzzBeside(f, "bitstamp", []string{bitstampOrderURL, bitstampBookURL}, bitstampOrderImage(0, `["79715.38","0.5","7"]`, ""), bitstampOrder,
		bitstampOrderAt(1, "order_changed", "7", 0, "79715.38", "0.5", "00065aad-a8b2-4f60-0000-000103000020", "b"),
		bitstampOrderAt(1, "order_deleted", "7", 0, "79715.38", "0.5", "x", "b"), bitstampOrderAt(0, "order_created", "7", 0, "0", "0.5", "", ""))
}

// orderCase is messages about orders that come again and again, with what must
// come before them.
type orderCase struct {
	provider   string
	prepare    []string
	url, image string
	messages   []*counting
	events     int // of all messages
}

func orderCases() map[string]orderCase {
	head := `{"type":"%s","time":"2026-07-07T23:00:03.977459Z","product_id":"BTC-USD","sequence":100000000001,"order_id":"` + coinbaseA + `","price":"63502.02","side":"buy",%s}`
	full := func(typ, rest string) *counting { return newCounting(fmt.Sprintf(head, typ, rest), 12, `"sequence":`) }
	stamp := func(event string) *counting {
		return newCounting(strings.Replace(strings.Replace(bitstampOrder[:strings.Index(bitstampOrder, `,"event_id"`)]+"}", "order_created", event, 1),
			"1788551766364000", "1788551766364001", 1), 16, `"microtimestamp":"`)
	}
	return map[string]orderCase{
		"coinbase": {"coinbase", []string{coinbaseListing}, coinbaseBookURL, coinbaseBook(100000000001, "", ""),
			[]*counting{full("received", `"size":"1.5","order_type":"limit"`), full("open", `"remaining_size":"1.50000000"`),
				full("match", `"trade_id":1,"size":"0.5","maker_order_id":"`+coinbaseA+`"`), full("done", `"reason":"canceled","remaining_size":"1.0"`)}, 4},
		"bitstamp": {"bitstamp", nil, bitstampOrderURL, bitstampOrderImage(0, "", ""),
			[]*counting{stamp("order_created"), stamp("order_changed"), stamp("order_deleted")}, 3},
	}
}

// round decodes one message of each kind, the numbers of all of them growing.
func (c *orderCase) round(tb testing.TB, d Decoder, dst []market.Event) []market.Event {
	for _, m := range c.messages {
		var payload []byte
		for range len(c.messages) {
			payload = m.next()
		}
		var err error
		if dst, err = d.Decode(dst, feeds.Frame{Received: received, Payload: payload}); err != nil {
			tb.Fatal(err)
		}
	}
	return dst
}

func (c *orderCase) begin(tb testing.TB) *rig {
	r := newRig(tb, c.provider)
	r.decode(c.prepare...)
	r.reply(c.url, c.image)
	// Each kind begins where the one before it stands.
	for i, m := range c.messages {
		for range i {
			m.next()
		}
		// So that the first round, which adds their number, begins at the next.
		for range len(c.messages) - 1 {
			m.previous()
		}
	}
	return r
}

// previous is next backwards.
func (c *counting) previous() {
	for _, at := range c.at {
		for i := at + c.digits - 1; ; i-- {
			if c.payload[i]--; c.payload[i] >= '0' {
				break
			}
			c.payload[i] = '9'
		}
	}
}

func TestNoAllocationsPerOrder(t *testing.T) {
	for name, c := range orderCases() {
		r := c.begin(t)
		dst := make([]market.Event, 0, 100)
		step := func() {
			if dst = c.round(t, r.d, dst[:0]); len(dst) != c.events {
				t.Fatalf("%s: %d events, want %d", name, len(dst), c.events)
			}
		}
		for range 1000 {
			step()
		}
		if n := testing.AllocsPerRun(1000, step); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	r := newRig(t, "kraken")
	dst := r.decode(krakenL3Ack, krakenL3Snapshot, krakenL3Update)
	f := frame(krakenL3Update)
	if n := testing.AllocsPerRun(100, func() { dst, _ = r.d.Decode(dst[:0], f) }); n != 0 {
		t.Errorf("kraken: %v allocations", n)
	}
}

// BenchmarkOrders decodes the life of an order as each venue tells it.
func BenchmarkOrders(b *testing.B) {
	for name := range orderCases() {
		b.Run(name, func(b *testing.B) {
			c := orderCases()[name] // its numbers grow
			r := c.begin(b)
			dst := make([]market.Event, 0, 100)
			events := 0
			b.ReportAllocs()
			for b.Loop() {
				dst = c.round(b, r.d, dst[:0])
				events += len(dst)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
		})
	}
	b.Run("kraken", func(b *testing.B) {
		benchmarkFrames(b, "kraken", []string{krakenL3Ack, krakenL3Snapshot}, []byte(krakenL3Update))
	})
}
