package normalizer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

const (
	// As the venue sends it.
	bitstampOrder    = `{"data":{"id":2046839978831872,"id_str":"2046839978831872","order_type":1,"order_subtype":5,"datetime":"1788551766","microtimestamp":"1788551766364000","amount":0.18816587,"amount_str":"0.18816587","amount_traded":"0","amount_at_create":"0.18816587","price":79728.11,"price_str":"79728.11","is_liquidation":false},"channel":"live_orders_btcusd","event":"order_created","event_id":"00065aad-a8b2-4f60-0000-000103000020","pre_event_id":"00065aad-a8b2-3408-0000-000102000020","order_source":"orderbook"}`
	bitstampOrderURL = "https://www.bitstamp.net/api/v2/order_book/btcusd/?group=2"
)

// bitstampOrderAt is a message so many microseconds after the one above; from and
// to are the identifiers of the message before and its own, "" for none.
func bitstampOrderAt(micros int, event, id string, side int, price, amount, before, own string) string {
	chain := ""
	if own != "" {
		chain = fmt.Sprintf(`,"event_id":"%s","pre_event_id":"%s"`, own, before)
	}
	return fmt.Sprintf(`{"data":{"id":%s,"id_str":"%[1]s","order_type":%d,"microtimestamp":"1788551766%06d","amount_str":"%s","price_str":"%s"},"channel":"live_orders_btcusd","event":"%s"%s}`,
		id, side, 364000+micros, amount, price, event, chain)
}

func bitstampOrderImage(micros int, bids, asks string) string {
	return fmt.Sprintf(`{"timestamp":"1788551766","microtimestamp":"1788551766%06d","bids":[%s],"asks":[%s]}`, 364000+micros, bids, asks)
}

func TestBitstampOrdersBegin(t *testing.T) {
	r := newRig(t, "bitstamp")
	r.control(feeds.Up)
	r.want(r.decode(bitstampOrder), "order BTCUSD @bitstamp add 2046839978831872 ask 79728.11x0.18816587 +last")
	r.want(r.decode(
		bitstampOrderAt(500, "order_created", "7", 0, "79715.38", "1.50000000", "00065aad-a8b2-4f60-0000-000103000020", "a"),
		bitstampOrderAt(4000, "order_changed", "7", 0, "79715.38", "0.50000000", "a", "b"),
		bitstampOrderAt(5000, "order_created", "8", 0, "0", "2.00000000", "b", "c"))) // a market order
	events := r.reply(bitstampOrderURL, bitstampOrderImage(4500, `["79715.38","0.50000000","7"],["79715.38","0.25","6"],["0","1","5"]`, `["79728.11","0.18816587","2046839978831872"]`))
	r.want(events,
		"clear BTCUSD @bitstamp depth=0 +snapshot",
		"order BTCUSD @bitstamp add 7 bid 79715.38x0.5 +snapshot",
		"order BTCUSD @bitstamp add 6 bid 79715.38x0.25 +snapshot",
		"order BTCUSD @bitstamp add 2046839978831872 ask 79728.11x0.18816587 +snapshot",
		// Within the last millisecond before the image, so that it is told again.
		"order BTCUSD @bitstamp change 7 bid 79715.38x0.5 +snapshot +last")
	for _, e := range events {
		if !e.Has(market.FlagPiecemeal) {
			t.Error(r.show(e))
		}
	}
	r.want(r.decode(bitstampOrderAt(6000, "order_deleted", "7", 0, "79715.38", "0", "c", "d")),
		"order BTCUSD @bitstamp delete 7 bid 0x0 +last")
	r.want(r.decode(bitstampOrderAt(6000, "order_deleted", "7", 0, "79715.38", "0", "c", "d"))) // once more
	// A message is missing; what came is where the stream begins anew.
	r.want(r.decode(bitstampOrderAt(8000, "order_created", "9", 0, "79715.38", "1", "e", "f")), "gap BTCUSD @bitstamp +last")
	r.want(r.decode(bitstampOrderAt(9000, "order_created", "10", 0, "79715.38", "1", "f", "g")))
	r.want(r.reply(bitstampOrderURL, bitstampOrderImage(9100, `["79715.38","1","9"]`, "")),
		"clear BTCUSD @bitstamp depth=0 +snapshot",
		"order BTCUSD @bitstamp add 9 bid 79715.38x1 +snapshot",
		"order BTCUSD @bitstamp add 10 bid 79715.38x1 +snapshot +last")
	// Changes of levels are of another channel.
	r.want(r.decode(strings.ReplaceAll(bitstampDiffAt(1, "90119"), "17645994", "17885519")))
	r.want(r.reply(bitstampBookURL, bitstampSnapshot))
}

// A loss between the image and the first message shows by the time of the one
// before that.
func TestBitstampOrdersMissed(t *testing.T) {
	for before, want := range map[string]string{
		"00065aad-a8b2-5348-0000-000100000020": "order BTCUSD @bitstamp add 9 bid 79715.38x1 +last", // at 1 ms
		"00065aad-a8b2-5b18-0000-000100000020": "gap BTCUSD @bitstamp +last",                        // at 3 ms
	} {
		r := newRig(t, "bitstamp")
		r.control(feeds.Up)
		r.reply(bitstampOrderURL, bitstampOrderImage(1500, `["79715.38","1","7"]`, ""))
		r.want(r.decode(bitstampOrderAt(4000, "order_created", "9", 0, "79715.38", "1", before, "00065aad-a8b2-5f00-0000-000100000020")), want)
	}
}

// Without identifiers of messages only a time that goes back is a loss.
func TestBitstampOrdersWithoutChain(t *testing.T) {
	r := newRig(t, "bitstamp")
	r.control(feeds.Up)
	r.decode(bitstampOrderAt(0, "order_created", "7", 0, "79715.38", "1", "", ""))
	r.reply(bitstampOrderURL, bitstampOrderImage(2000, `["79715.38","1","7"]`, ""))
	r.want(r.decode(bitstampOrderAt(3000, "order_changed", "7", 0, "79715.38", "0.5", "", "")), "order BTCUSD @bitstamp change 7 bid 79715.38x0.5 +last")
	r.want(r.decode(bitstampOrderAt(2999, "order_deleted", "7", 0, "79715.38", "0.5", "", "")), "gap BTCUSD @bitstamp +last")
}

func TestBitstampOrdersRefused(t *testing.T) {
	for cause, replace := range map[Cause][2]string{
		CauseMissingField: {`"order_type":1,`, ``},
		CauseBadSide:      {`"order_type":1,`, `"order_type":2,`},
		CauseBadNumber:    {`"79728.11","is`, `"much","is`},
		CauseBadValue:     {`"id_str":"2046839978831872"`, `"id_str":"2_0"`},
		CauseUnknownType:  {`order_created`, `trade`},
		CauseSyntax:       {`"orderbook"}`, `"orderbook"`},
	} {
		r := newRig(t, "bitstamp")
		events, _ := r.refuse(cause, strings.Replace(bitstampOrder, replace[0], replace[1], 1))
		if cause == CauseUnknownType {
			r.want(events)
		} else {
			r.want(events, "gap BTCUSD @bitstamp +last")
		}
	}
}
