package normalizer

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/market"
)

// received is the receive time of every frame in the tests.
const received = 1_764_599_400_200_000_000

// rig is a decoder under test with its directory.
type rig struct {
	tb  testing.TB
	d   Decoder
	dir *market.Directory
}

func newRig(tb testing.TB, provider string) *rig {
	tb.Helper()
	return newRigWith(tb, provider, Config{})
}

func newRigWith(tb testing.TB, provider string, cfg Config) *rig {
	tb.Helper()
	cfg.Directory = market.NewDirectory()
	cfg.Feed = "test"
	d, err := New(provider, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return &rig{tb, d, cfg.Directory}
}

func frame(payload string) feeds.Frame {
	return feeds.Frame{Kind: feeds.Data, Feed: "test", Received: received, Payload: []byte(payload)}
}

// decode decodes frames that must not be refused.
func (r *rig) decode(payloads ...string) []market.Event {
	r.tb.Helper()
	var events []market.Event
	for _, p := range payloads {
		var err error
		if events, err = r.d.Decode(events, frame(p)); err != nil {
			r.tb.Fatalf("%v\nframe: %.200s", err, p)
		}
	}
	return events
}

// refuse decodes a frame that must be refused for the cause.
func (r *rig) refuse(want Cause, payload string) ([]market.Event, *Refusal) {
	r.tb.Helper()
	events, err := r.d.Decode(nil, frame(payload))
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		r.tb.Fatalf("got error %v, want a refusal for %s\nframe: %.200s", err, want, payload)
	}
	if refusal.Cause != want || refusal.Count < 1 {
		r.tb.Fatalf("got %v (count %d), want cause %s\nframe: %.200s", refusal, refusal.Count, want, payload)
	}
	return events, refusal
}

func (r *rig) control(k feeds.FrameKind) []market.Event {
	r.tb.Helper()
	events, err := r.d.Decode(nil, feeds.Frame{Kind: k, Feed: "test", Received: received, Payload: []byte("7")})
	if err != nil {
		r.tb.Fatal(err)
	}
	return events
}

// show writes an event as a line: what a table of a test is made of.
func (r *rig) show(e market.Event) string {
	var b strings.Builder
	b.WriteString(e.Kind.String())
	put := func(s string) {
		b.WriteByte(' ')
		b.WriteString(s)
	}
	if e.Instrument != 0 {
		put(r.dir.Symbol(e.Instrument))
	}
	if e.Venue != 0 {
		put("@" + r.dir.VenueName(e.Venue))
	}
	price := func(p market.Price) string { return string(market.AppendFixed(nil, p, e.PriceDecimals)) }
	size := func(z market.Size) string { return string(market.AppendFixed(nil, z, e.SizeDecimals)) }
	switch e.Kind {
	case market.KindLevel:
		put(e.Side.String() + " " + price(e.Price) + "x" + size(e.Size))
	case market.KindOrder:
		put(e.Action.String() + " " + e.Order().String() + " " + e.Side.String() + " " + price(e.Price) + "x" + size(e.Size))
	case market.KindClear:
		put("depth=" + market.Format(int64(e.Depth), 0))
	case market.KindChecksum:
		put(market.Format(int64(e.Sequence), 0))
	case market.KindQuote:
		put(price(e.Price) + "x" + size(e.Size) + "@" + r.dir.VenueName(e.BidVenue))
		put(price(e.Ask) + "x" + size(e.AskSize) + "@" + r.dir.VenueName(e.AskVenue))
		if bid, ask := e.Firmness(); bid != market.Firm || ask != market.Firm {
			put(bid.String() + "/" + ask.String())
		}
	case market.KindTrade:
		put(price(e.Price) + "x" + size(e.Size) + " " + e.Side.Aggressor() + " id=" + e.ID.String())
		for _, c := range e.Conditions[:e.NumConditions] {
			put(c.String())
		}
	case market.KindBar:
		put("o=" + price(e.Price) + " h=" + price(e.High) + " l=" + price(e.Low) + " c=" + price(e.Close) + " vw=" + price(e.VWAP))
		put("v=" + size(e.Size) + " day=" + size(e.DayVolume))
	case market.KindInstrument:
		put(market.Scale{Price: e.PriceDecimals, Size: e.SizeDecimals}.String() + " tick=" + price(e.Price) + " lot=" + size(e.Size))
	case market.KindStatus:
		put(e.Status.String())
		if !e.ID.IsZero() {
			put(e.ID.String())
		}
	case market.KindValue:
		put(e.Value.String() + " " + price(e.Price))
	case market.KindLULD:
		put("high=" + price(e.High) + " low=" + price(e.Low))
		for _, c := range e.Conditions[:e.NumConditions] {
			put(market.Format(int64(c), 0))
		}
	case market.KindImbalance:
		put(strings.TrimSpace(e.Side.String()+" "+size(e.Size)) + " paired=" + size(e.AskSize) + " price=" + price(e.Price))
		put("auction=" + string(e.Auction) + "@" + market.Format(int64(e.AuctionTime), 0))
	case market.KindCorrection:
		put(price(e.Ask) + "x" + size(e.AskSize) + " id=" + e.ID.String() + " to " + price(e.Price) + "x" + size(e.Size) + " id=" + market.Format(int64(e.TradeSequence), 0))
		for _, c := range e.Conditions[:e.NumConditions] {
			put(c.String())
		}
	case market.KindCancel:
		put(price(e.Price) + "x" + size(e.Size) + " id=" + e.ID.String())
	}
	for _, f := range []struct {
		flag market.Flags
		name string
	}{
		{market.FlagSnapshot, "snapshot"}, {market.FlagNBBO, "nbbo"}, {market.FlagPrior, "prior"},
		{market.FlagBarSecond, "second"}, {market.FlagBarMinute, "minute"},
		{market.FlagNoSize, "nosize"}, {market.FlagBarDay, "day"}, {market.FlagRevised, "revised"}, {market.FlagError, "error"},
		{market.FlagContiguous, "contiguous"}, {market.FlagLast, "last"},
	} {
		if e.Has(f.flag) {
			put("+" + f.name)
		}
	}
	return b.String()
}

// want compares events with their lines.
func (r *rig) want(events []market.Event, lines ...string) {
	r.tb.Helper()
	var got []string
	for _, e := range events {
		got = append(got, r.show(e))
	}
	if g, w := strings.Join(got, "\n"), strings.Join(lines, "\n"); g != w {
		r.tb.Errorf("got events\n%s\nwant\n%s", g, w)
	}
}

// recording returns the lines of a recording, and skips the test where the
// recordings are absent.
func recording(tb testing.TB, name string) [][]byte {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			tb.Fatal("no go.mod above the test's directory")
		}
		dir = filepath.Dir(dir)
	}
	f, err := os.Open(filepath.Join(dir, "..", "shared", "data", filepath.FromSlash(name)))
	if errors.Is(err, os.ErrNotExist) {
		tb.Skipf("recording %s is absent: put the recordings into ../shared/data beside the repository", name)
	}
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	if strings.HasSuffix(name, ".zst") {
		z, err := zstd.NewReader(f)
		if err != nil {
			tb.Fatal(err)
		}
		defer z.Close()
		in = bufio.NewScanner(z)
	}
	in.Buffer(nil, 16<<20)
	var lines [][]byte
	for in.Scan() {
		lines = append(lines, append([]byte(nil), in.Bytes()...))
	}
	if err := in.Err(); err != nil {
		tb.Fatal(err)
	}
	return lines
}
