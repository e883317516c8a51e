package normalizer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// A script is of lines in the order in which things come, all times in ms:
//
//	clock A D       from A on the venue's clock is off by D
//	change A        the book changes, and nothing comes of it
//	diff A B word   the book changes at A, which comes at B
//	image A B word  an image as of A comes at B
//	other A B word  another book changes at A, which comes at B
//	broken B word   a message comes at B that is cut off
//
// and then the book is live or dark. Changes take turns at three prices, so that an
// image which is joined in the wrong place shows what the venue never had.
func TestBitstampClock(t *testing.T) {
	const begin = `
		diff 1000 1050 dark
		image 1100 1200 live
		diff 2000 2050 live
		diff 3000 3050 live
		diff 4000 4050 live
		`
	for name, script := range map[string]string{
		"set back": begin + `clock 5000 -3600000
			diff 5100 5150 dark
			diff 5200 5250 dark
			image 5300 5400 live
			diff 5500 5550 live`,
		"set back, and nobody knows yet": begin + `clock 5000 -3600000
			diff 5100 5150 dark
			image 5160 5300 dark
			diff 5400 5450 dark
			image 5500 5600 live
			diff 5700 5750 live`,
		"set forward": begin + `clock 5000 3600000
			diff 5100 5150 live
			image 5160 5260 live
			diff 5300 5350 live
			diff 5400 5450 live
			image 5350 5500 live
			diff 5600 5650 live`,
		"set forward while dark": begin + `broken 4500 dark
			clock 5000 3600000
			image 5050 5100 dark
			diff 5150 5200 dark
			image 5250 5300 live
			diff 5400 5450 live`,
		"set forward, then a loss that an image does not have": begin + `clock 5000 3600000
			change 5200
			broken 5250 dark
			image 5100 5300 dark
			diff 5400 5450 dark
			image 5500 5600 live`,
		"set back, an image under way": begin + `clock 5000 -60000
			diff 5100 5150 dark
			diff 5200 5250 dark
			image 4900 5300 dark
			diff 5400 5450 dark
			image 5500 5600 live
			diff 5700 5750 live`,
		"set back, an image under way comes at once": begin + `clock 5000 -60000
			diff 5100 5150 dark
			image 4900 5160 dark
			diff 5200 5250 dark
			image 5300 5400 live`,
		"set back, an image under way comes first": begin + `broken 4500 dark
			clock 5000 -60000
			image 4900 5100 live
			diff 5200 5250 dark
			image 5300 5400 live
			diff 5500 5550 live`,
		"set back by little, an image under way comes first": begin + `broken 4500 dark
			clock 5000 -15000
			image 4950 5100 live
			diff 12000 12050 dark
			image 12100 12200 live`,
		"set forward, an image under way": begin + `clock 5000 60000
			diff 5100 5150 live
			diff 5200 5250 live
			image 4900 5300 live
			diff 5400 5450 live`,
		// The diffs of when it was ahead are not after an image of when it no longer was.
		"to and fro, and the stream is late": begin + `clock 5000 715000
			diff 5100 5150 live
			clock 13000 0
			change 14000
			change 14100
			change 14200
			change 14300
			image 16000 16200 live`,
		"to and fro, and the stream has shown it": begin + `clock 5000 60000
			diff 5100 5150 live
			diff 5200 5250 live
			clock 6000 0
			diff 6100 6150 dark
			diff 6200 6250 dark
			image 5900 6300 dark
			image 6400 6500 live
			diff 6600 6650 live`,
		"to and fro while an image was made": begin + `clock 5000 60000
			diff 5100 5150 live
			clock 6000 0
			image 5900 6300 live
			diff 6400 6450 dark
			diff 6500 6550 dark
			image 6600 6700 live`,
		"fro and to, an image from before under way": begin + `clock 5000 -4380000
			diff 5100 5150 dark
			diff 5200 5250 dark
			clock 6000 0
			diff 6100 6150 dark
			image 4900 6300 dark
			image 6400 6500 live
			diff 6600 6650 live`,
		"fro and to, which another book shows": begin + `clock 5000 -4380000
			diff 5100 5150 dark
			diff 5200 5250 dark
			clock 6000 0
			other 6010 6020 dark
			image 4900 6030 dark
			diff 6100 6150 dark
			image 6200 6300 live
			diff 6400 6450 live`,
		"back while the book is quiet": begin + `clock 5000 -60000
			change 70000
			image 70050 70080 live
			diff 70100 70150 live`,
		// No clock was set.
		"one message comes too late": begin + `broken 4500 dark
			image 5000 5100 live
			diff 5200 5250 live`,
		"an image that was kept for ten seconds": begin + `broken 4500 dark
			diff 5000 5050 dark
			image 5060 16000 live
			diff 16100 16150 live`,
		"a stream that is late": begin + `diff 5000 14000 live
			image 14100 14200 live
			diff 14300 23000 live`,
	} {
		t.Run(name, func(t *testing.T) {
			// The second line is to the same venue, through a server whose clock is right.
			runClock(t, script, true)
			runClock(t, script, false)
		})
	}
}

// clockBook is a venue's book as of its changes: the i-th makes i+1 of the size at
// one of three prices.
type clockBook []int64

// at is the book after n changes.
func (b clockBook) at(n int) (sizes [3]int) {
	for i := range n {
		sizes[i%3] = i + 1
	}
	return sizes
}

// until is how many changes there were by a time.
func (b clockBook) until(at int64) (n int) {
	for n < len(b) && b[n] <= at {
		n++
	}
	return n
}

func runClock(t *testing.T, script string, skewed bool) {
	t.Helper()
	const epoch = 1_764_599_400_000
	var truth clockBook
	var clocks [][2]int64
	lines := strings.Split(strings.TrimSpace(script), "\n")
	for _, line := range lines {
		var a, d int64
		switch f := strings.Fields(line); f[0] {
		case "clock":
			fmt.Sscan(f[1]+" "+f[2], &a, &d)
			clocks = append(clocks, [2]int64{a, d})
		case "change", "diff":
			fmt.Sscan(f[1], &a)
			truth = append(truth, a)
		}
	}
	micros := func(at int64) int64 {
		by := int64(0)
		for _, c := range clocks {
			if skewed && c[0] <= at {
				by = c[1]
			}
		}
		return (epoch + at + by) * 1000
	}
	r := newRig(t, "bitstamp")
	r.control(feeds.Up)
	live, shown, was := false, [3]int{}, 0
	for _, line := range lines {
		f := strings.Fields(line)
		if f[0] == "clock" || f[0] == "change" {
			continue
		}
		var made, came int64
		fmt.Sscan(f[1], &made)
		fmt.Sscan(f[len(f)-2], &came)
		frame := feeds.Frame{Kind: feeds.Data, Feed: "test", Received: (epoch + came) * 1e6, Payload: []byte(`{"data":{`)}
		switch n := truth.until(made); f[0] {
		case "other":
			frame.Payload = fmt.Appendf(nil, `{"data":{"microtimestamp":"%d","bids":[],"asks":[]},"channel":"diff_order_book_ethusd","event":"data"}`, micros(made))
		case "diff":
			frame.Payload = fmt.Appendf(nil, `{"data":{"microtimestamp":"%d","bids":[["%d","%d"]],"asks":[]},"channel":"diff_order_book_btcusd","event":"data"}`,
				micros(made), (n-1)%3+1, n)
		case "image":
			var rows []string
			for i, size := range truth.at(n) {
				if size > 0 {
					rows = append(rows, fmt.Sprintf(`["%d","%d"]`, i+1, size))
				}
			}
			frame.Kind, frame.URL = feeds.Reply, bitstampBookURL
			frame.Payload = fmt.Appendf(nil, `{"microtimestamp":"%d","bids":[%s],"asks":[]}`, micros(made), strings.Join(rows, ","))
		}
		events, _ := r.d.Decode(nil, frame)
		for _, e := range events {
			switch e.Kind {
			case market.KindGap:
				live = false
			case market.KindClear:
				live, shown = true, [3]int{}
			case market.KindLevel:
				shown[e.Price-1] = int(e.Size)
			}
		}
		if want := f[len(f)-1] == "live"; skewed && live != want {
			t.Fatalf("%s: live is %t", line, live)
		}
		if !live {
			continue
		}
		n := was
		for n <= len(truth) && truth.at(n) != shown {
			n++
		}
		if n > truth.until(came) {
			t.Fatalf("%s: shows %v, was at change %d", line, shown, was)
		}
		was = n
	}
	if !live {
		t.Errorf("dark at the end, skewed is %t", skewed)
	}
}
