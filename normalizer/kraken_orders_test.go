package normalizer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/market"
)

const (
	krakenL3Snapshot = `{"channel":"level3","type":"snapshot","data":[{"symbol":"MATIC/USD","checksum":281817320,"bids":[{"order_id":"O6ZQNQ-BXL4E-5WGINO","limit_price":0.5629,"order_qty":111.56125344,"timestamp":"2023-10-06T17:35:00.279389650Z"},{"order_id":"OEP26Y-YAFEF-OFR62B","limit_price":0.5625,"order_qty":6390.19338,"timestamp":"2023-10-06T18:19:55.056070105Z"},{"order_id":"OKNAY7-67JRK-AIZ4JO","limit_price":0.5625,"order_qty":14084.5,"timestamp":"2023-10-06T18:20:55.357467423Z"}],"asks":[{"order_id":"OLLSXO-HDMT3-BUOKEI","limit_price":0.563,"order_qty":4422.9978357,"timestamp":"2023-10-06T18:18:20.734897896Z"}]}]}`
	krakenL3Update   = `{"channel":"level3","type":"update","data":[{"checksum":2143854316,"symbol":"MATIC/USD","bids":[{"event":"delete","order_id":"O6ZQNQ-BXL4E-5WGINO","limit_price":0.5629,"order_qty":111.56125344,"timestamp":"2023-10-06T17:35:00.279389650Z"},{"event":"modify","order_id":"OEP26Y-YAFEF-OFR62B","limit_price":0.5625,"order_qty":6000,"timestamp":"2023-10-06T18:20:56.1Z"}],"asks":[{"event":"add","order_id":"O2CHOH-ZPCKF-ETMMHO","limit_price":0.563,"order_qty":10.5,"timestamp":"2023-10-06T18:20:56.507266986Z"}]}]}`
	krakenL3Ack      = `{"method":"subscribe","result":{"channel":"level3","symbol":"MATIC/USD","depth":100,"snapshot":true},"success":true,"time_in":"2026-01-05T10:00:00.123456Z","time_out":"2026-01-05T10:00:00.123480Z"}`
)

// The documentation's example, with its changes.
func TestKrakenOrders(t *testing.T) {
	r := newRig(t, "kraken")
	events := r.decode(krakenL3Ack, krakenL3Snapshot, krakenL3Update)
	r.want(events,
		"clear MATIC-USD @kraken depth=100 +snapshot",
		"order MATIC-USD @kraken add O6ZQNQ-BXL4E-5WGINO bid 0.5629x111.56125344 +snapshot",
		"order MATIC-USD @kraken add OEP26Y-YAFEF-OFR62B bid 0.5625x6390.19338 +snapshot",
		"order MATIC-USD @kraken add OKNAY7-67JRK-AIZ4JO bid 0.5625x14084.5 +snapshot",
		"order MATIC-USD @kraken add OLLSXO-HDMT3-BUOKEI ask 0.563x4422.9978357 +snapshot",
		"checksum MATIC-USD @kraken 281817320 +snapshot +last",
		"order MATIC-USD @kraken delete O6ZQNQ-BXL4E-5WGINO bid 0x0",
		"order MATIC-USD @kraken change OEP26Y-YAFEF-OFR62B bid 0.5625x6000",
		"order MATIC-USD @kraken add O2CHOH-ZPCKF-ETMMHO ask 0.563x10.5",
		"checksum MATIC-USD @kraken 2143854316 +last")
	for i, e := range events {
		want := "2023-10-06T18:20:55.357467423Z" // the newest order's
		if i > 5 {
			want = "2023-10-06T18:20:56.507266986Z"
		}
		if at, _ := parseTime([]byte(want)); e.Time != at {
			t.Errorf("event %d is of %d, want %s", i, e.Time, want)
		}
		if e.Kind == market.KindChecksum && e.Checksum != market.ChecksumOrders {
			t.Errorf("checksum of kind %d", e.Checksum)
		}
	}
}

// An order's own time may be from before the message: a book's time does not go
// back.
func TestKrakenOrdersTimeDoesNotGoBack(t *testing.T) {
	r := newRig(t, "kraken")
	newest := r.decode(krakenL3Ack, krakenL3Snapshot, krakenL3Update)[9].Time
	old := strings.NewReplacer("18:20:56.1Z", "18:19:00Z", "18:20:56.507266986Z", "18:19:01Z").Replace(krakenL3Update)
	for _, e := range r.decode(old) {
		if e.Time != newest {
			t.Errorf("%s is of %d, the message before of %d", e.Kind, e.Time, newest)
		}
	}
}

// What is wrong with orders makes a gap of their book.
func TestKrakenOrdersRefused(t *testing.T) {
	for cause, replace := range map[Cause][2]string{
		CauseMissingField: {`"event":"delete",`, ``},
		CauseBadValue:     {`"modify"`, `"amend"`},
		CauseBadNumber:    {`"limit_price":0.563,`, `"limit_price":-1,`},
	} {
		r := newRig(t, "kraken")
		r.decode(krakenL3Snapshot)
		events, _ := r.refuse(cause, strings.Replace(krakenL3Update, replace[0], replace[1], 1))
		r.want(events, "gap MATIC-USD @kraken +last")
	}
	r := newRig(t, "kraken")
	r.decode(krakenL3Snapshot)
	events, _ := r.refuse(CauseBadValue, strings.Replace(krakenL3Update, "O2CHOH-ZPCKF-ETMMHO", "lower case", 1))
	r.want(events, "gap MATIC-USD @kraken +last")
	// A second channel of the same book is left aside, and the first goes on.
	events, _ = r.refuse(CauseBadValue, strings.ReplaceAll(krakenSnapshot, "BTC/USD", "MATIC/USD"))
	r.want(events)
	if events = r.decode(krakenL3Update); len(events) != 4 {
		t.Errorf("%d events", len(events))
	}
	// A frame that breaks off takes the book with it.
	events, _ = r.refuse(CauseSyntax, krakenL3Update[:len(krakenL3Update)-9])
	r.want(events, "gap MATIC-USD @kraken +last")
}

// The depth of an image that came before its ack is guessed by its prices, not by
// its orders.
func TestKrakenOrdersDepth(t *testing.T) {
	var bids []string
	for i := range 36 {
		bids = append(bids, fmt.Sprintf(`{"order_id":"O%d","limit_price":%d,"order_qty":1,"timestamp":"2023-10-06T17:35:00Z"}`, i, 100-i/3))
	}
	image := `{"channel":"level3","type":"snapshot","data":[{"symbol":"A/USD","bids":[` + strings.Join(bids, ",") + `],"asks":[],"checksum":1}]}`
	r := newRig(t, "kraken")
	if e := r.decode(image)[0]; e.Depth != 100 {
		t.Errorf("12 prices of 36 orders: depth %d, want 100", e.Depth)
	}
}
