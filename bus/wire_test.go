package bus

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/quotewire/quotewire/bus/busv1"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// What the documentation promises to those who write their own client, checked
// with nothing but NATS and the schema.
func TestForeignClient(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	f := startFeed(t, srv.URL(), 7, nil)
	nc := connect(t, srv.URL(), "foreign")
	updates, err := nc.SubscribeSync("quotewire.v1.update.BRK%2EA")
	if err != nil {
		t.Fatal(err)
	}
	beats, err := nc.SubscribeSync("quotewire.v1.node.feed-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	id := mustLookup(t, f.dir, "BRK.A")
	for range 50 {
		f.message(id)
	}
	var seq uint64
	for range 50 {
		var u busv1.Update
		read(t, updates, &u)
		if u.Symbol != "BRK.A" || u.Node != "feed-1" || u.Epoch != 7 || u.Seq != seq+1 || u.Class != busv1.Class_CLASS_CRYPTO {
			t.Fatalf("update %v after %d", &u, seq)
		}
		seq = u.Seq
		if pendingUpdates, _, _ := updates.Pending(); pendingUpdates == 0 && seq == f.views.views[id].Seq {
			break
		}
	}
	var b busv1.Beat
	read(t, beats, &b)
	if b.Node != "feed-1" || b.Epoch != 7 || b.IntervalMs != uint32(testBeat.Milliseconds()) || !b.Healthy {
		t.Errorf("heartbeat %v", &b)
	}

	reply, err := nc.Request("quotewire.v1.snapshot.BRK%2EA", nil, patience)
	if err != nil {
		t.Fatal(err)
	}
	var u busv1.Update
	if err := proto.Unmarshal(reply.Data, &u); err != nil {
		t.Fatal(err)
	}
	if u.Changed&uint32(busv1.Changed_CHANGED_SNAPSHOT) == 0 || u.Seq != f.views.views[id].Seq {
		t.Errorf("snapshot %v", &u)
	}
	reply, err = nc.Request("quotewire.v1.instruments", nil, patience)
	if err != nil {
		t.Fatal(err)
	}
	var l busv1.Instruments
	if err := proto.Unmarshal(reply.Data, &l); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, in := range l.Instruments {
		found = found || in.Symbol == "BRK.A" && in.Seq == f.views.views[id].Seq && in.Epoch == 7
	}
	if !l.Complete || !found || len(l.Instruments) != len(testSymbols) {
		t.Errorf("list %v", &l)
	}
	f.stop()
	for b.Kind != busv1.Beat_KIND_GOODBYE {
		read(t, beats, &b)
	}
}

func read(t *testing.T, sub *nats.Subscription, into proto.Message) {
	t.Helper()
	m, err := sub.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(m.Data, into); err != nil {
		t.Fatal(err)
	}
}

// Requests that make no sense are counted and harm nothing.
func TestBadRequests(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	f := startFeed(t, srv.URL(), 7, nil)
	f.step(50)
	startGateway(t, srv.URL(), nil).waitEqual(t, f) // so it listens
	nc := connect(t, srv.URL(), "foreign")
	for _, subject := range []string{"quotewire.v1.snapshot.%zz", "quotewire.v1.snapshot.UNKNOWN"} {
		if m, err := nc.Request(subject, []byte("junk"), 50*time.Millisecond); err == nil {
			t.Errorf("%s: answered with %d bytes", subject, len(m.Data))
		}
	}
	if err := nc.Publish("quotewire.v1.snapshot.BRK%2EA", nil); err != nil { // no reply subject
		t.Fatal(err)
	}
	if _, err := nc.Request("quotewire.v1.instruments", nil, patience); err != nil {
		t.Fatal(err)
	}
	if st := f.pub.Status(); st.BadRequests != 2 {
		t.Errorf("status %+v", st)
	}
}

// A snapshot may be older than what came while it was waited for, if another than
// the publisher answers: what was held then follows it.
func TestHeldUpdatesFollowSnapshot(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	dir := market.NewDirectory()
	enc := encoder{dir: dir, node: "feed-9"}
	u := typical(dir)
	at := func(seq uint64, changed orderbook.Changed) []byte {
		u.Epoch, u.Seq, u.Changed = 5, seq, orderbook.ChangedLevels|orderbook.ChangedQuote|changed
		u.Levels[0].Size = market.Size(seq)
		return enc.update(nil, "BTC-USD", market.ClassCrypto, u)
	}
	nc := connect(t, srv.URL(), "feed-9")
	requests, err := nc.SubscribeSync("quotewire.v1.snapshot.*")
	if err != nil {
		t.Fatal(err)
	}
	publish := func(subject string, data []byte) {
		t.Helper()
		if err := nc.Publish(subject, data); err != nil {
			t.Fatal(err)
		}
	}
	g := startGateway(t, srv.URL(), func(c *SubscriberConfig) { c.RequestTimeout = time.Hour })
	g.wait(t, "connection", func() bool { return g.sub.Status().Connected })
	if err := g.nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	const subject = "quotewire.v1.update.BTC-USD"
	for _, seq := range []uint64{1, 2, 5, 6, 7} {
		publish(subject, at(seq, 0))
	}
	m, err := requests.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	publish(m.Reply, at(4, orderbook.ChangedSnapshot))
	seqIs := func(want uint64) func() bool {
		return func() bool {
			id, _ := g.dir.Lookup("BTC-USD")
			v := g.views.views[id]
			return v != nil && v.Epoch == 5 && v.Seq == want && v.Venues[0].Bids.Len() == 1 && v.Venues[0].Bids.At(0).Size == market.Size(want)
		}
	}
	g.wait(t, "what was held", seqIs(7))
	// The other order: the snapshot is newer than some of what was held.
	for _, seq := range []uint64{9, 10, 11} {
		publish(subject, at(seq, 0))
	}
	if m, err = requests.NextMsg(patience); err != nil {
		t.Fatal(err)
	}
	publish(m.Reply, at(10, orderbook.ChangedSnapshot))
	g.wait(t, "the rest of what was held", seqIs(11))
	// Nobody answers: after three heartbeats the book is shown as what it is. The node
	// beats much more often than it says, so that a busy machine does not give it up.
	publish(subject, at(20, 0))
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(patience); ; <-again.C {
		publish("quotewire.v1.node.feed-9", marshal(t, &busv1.Beat{Node: "feed-9", Epoch: 5, IntervalMs: 500}))
		g.mu.Lock()
		id, _ := g.dir.Lookup("BTC-USD")
		v := g.views.views[id]
		w := v.Venues[0]
		is := v.Quote.BidSize == 0 && w.State == orderbook.StateResyncing && w.Cause == orderbook.CauseGap
		g.mu.Unlock()
		if is {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it is shown as %v, %v", w.State, w.Cause)
		}
	}
}

// Junk on every subject: counted, and what it concerns is asked for again.
func TestMalformedMessages(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	f := startFeed(t, srv.URL(), 7, nil)
	g := startGateway(t, srv.URL(), nil)
	f.step(300)
	g.waitEqual(t, f)
	nc := connect(t, srv.URL(), "vandal")
	part := nats.NewMsg("quotewire.v1.update.BRK%2EA")
	part.Header.Set(PartHeader, "x 2/1")
	other := &busv1.Update{Symbol: "BTC-USD", Node: "feed-1", Epoch: 7, Seq: 1 << 40}
	coarse := &busv1.Update{Symbol: "EUR/USD", Node: "feed-1", Epoch: 7, Seq: f.views.views[mustLookup(t, f.dir, "EUR/USD")].Seq + 1,
		Changed: uint32(busv1.Changed_CHANGED_SCALE)}
	for _, m := range []*nats.Msg{
		{Subject: "quotewire.v1.update.BTC-USD", Data: []byte("junk")},
		{Subject: "quotewire.v1.update.BRK%2EA", Data: marshal(t, other)},
		{Subject: "quotewire.v1.update.EUR%2FUSD", Data: marshal(t, coarse)},
		{Subject: "quotewire.v1.node.feed-1", Data: []byte("junk")},
		{Subject: "quotewire.v1.node.feed-1", Data: marshal(t, &busv1.Beat{})},
		{Subject: "quotewire.v1.announce.feed-1", Data: []byte("junk")},
		part,
	} {
		if err := nc.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	g.wait(t, "seven malformed", func() bool { return g.sub.Status().Malformed == 7 })
	f.step(300)
	g.waitEqual(t, f)
	if _, ok := g.dir.Lookup("junk"); ok {
		t.Error("junk was registered")
	}
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAssembler(t *testing.T) {
	msg := func(header, data string) *nats.Msg {
		m := nats.NewMsg("s")
		if header != "" {
			m.Header.Set(PartHeader, header)
		}
		m.Data = []byte(data)
		return m
	}
	tests := []struct {
		name string
		in   []string // "header|data"
		want []string
		lost uint64
		bad  int
	}{
		{"whole", []string{"|a", "|b"}, []string{"a", "b"}, 0, 0},
		{"three", []string{"1 1/3|a", "1 2/3|b", "1 3/3|c"}, []string{"abc"}, 0, 0},
		{"first missing", []string{"1 2/3|b", "1 3/3|c", "|d"}, []string{"d"}, 2, 0},
		{"middle missing", []string{"1 1/3|a", "1 3/3|c"}, nil, 2, 0},
		{"last missing", []string{"1 1/2|a", "2 1/2|b", "2 2/2|c"}, []string{"bc"}, 1, 0},
		{"interrupted", []string{"1 1/2|a", "|x", "1 2/2|b"}, []string{"x"}, 2, 0},
		{"two senders mixed", []string{"1 1/2|a", "2 2/2|b"}, nil, 2, 0},
		{"nonsense", []string{"1|a", "1 0/1|a", "1 2/1|a", "1 1/9999|a", " 1/|a"}, nil, 0, 5},
	}
	for _, tt := range tests {
		var a assembler
		var got []string
		bad := 0
		for _, s := range tt.in {
			header, data, _ := strings.Cut(s, "|")
			whole, ok, err := a.add(msg(header, data))
			if err != nil {
				bad++
			}
			if ok {
				got = append(got, string(whole))
			}
		}
		if strings.Join(got, ",") != strings.Join(tt.want, ",") || a.lost != tt.lost || bad != tt.bad || len(a.partials) > 0 && tt.name != "x" {
			t.Errorf("%s: got %q, lost %d, bad %d, kept %d", tt.name, got, a.lost, bad, len(a.partials))
		}
	}
	var a assembler
	if _, _, err := a.add(msg("1 1/1024", strings.Repeat("x", maxWhole/1000))); err == nil {
		t.Error("took more than the bound")
	}
}

// The path from the shard to the network must not allocate per update.
func TestPublishAllocates(t *testing.T) {
	srv := startServer(t, ServerConfig{})
	dir := market.NewDirectory()
	id, err := dir.Instrument("BTC-USD", market.ClassCrypto)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPublisher(PublisherConfig{Conn: connect(t, srv.URL(), "feed"), Directory: dir, Node: "n", Epoch: 1, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	u := typical(dir)
	u.Instrument, u.Epoch, u.Seq = id, 1, 0
	sink := p.Sink()
	var o outgoing
	if n := testing.AllocsPerRun(1000, func() {
		u.Seq++
		sink.Update(u)
		sink.Flush()
		p.batch(<-p.in)
		o, _ = p.out.take(o)
		o.reset()
	}); n != 0 {
		t.Errorf("%v allocations per update", n)
	}
}

func BenchmarkPublish(b *testing.B) {
	srv := startServer(b, ServerConfig{})
	f := startFeed(b, srv.URL(), 7, nil)
	u := typical(f.dir)
	u.Instrument, u.Epoch, u.Seq = 1, 7, 0
	sink := f.pub.Sink()
	b.ReportAllocs()
	for b.Loop() {
		u.Seq++
		sink.Update(u)
		sink.Flush()
	}
	b.StopTimer()
	st := f.pub.Status()
	b.ReportMetric(float64(st.Skipped)/float64(b.N), "skipped/op")
}

// nothing is a sink that ignores everything.
type nothing struct{}

func (nothing) Update(*orderbook.Update) {}
func (nothing) Flush()                   {}

// followed returns a subscriber and a function that makes it take the next
// update of one instrument.
func followed(t testing.TB) (*Subscriber, func() error) {
	srv := startServer(t, ServerConfig{})
	dir := market.NewDirectory()
	s, err := NewSubscriber(SubscriberConfig{Conn: connect(t, srv.URL(), "gateway"), Directory: market.NewDirectory(),
		Sinks: []orderbook.Sink{nothing{}}, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	enc := encoder{dir: dir, node: "feed-1"}
	u := typical(dir)
	u.Seq = 0
	var buf []byte
	return s, func() error {
		u.Seq++
		buf = enc.update(buf[:0], "BTC-USD", market.ClassCrypto, u)
		return s.update(buf, "quotewire.v1.update.BTC-USD")
	}
}

func TestFollowAllocates(t *testing.T) {
	s, next := followed(t)
	const n = 1000
	if allocs := testing.AllocsPerRun(n, func() {
		if err := next(); err != nil {
			t.Fatal(err)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations per update", allocs)
	}
	if s.count.Updates != n+1 || s.count.Gaps != 0 {
		t.Errorf("%+v", s.count)
	}
}

func BenchmarkFollow(b *testing.B) {
	_, next := followed(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := next(); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzParts(f *testing.F) {
	f.Add("1 1/2", "1 2/2", []byte("data"))
	f.Add("1 1/1024", "", []byte("x"))
	f.Fuzz(func(t *testing.T, first, second string, data []byte) {
		var a assembler
		for _, header := range []string{first, second} {
			m := nats.NewMsg("s")
			if header != "" {
				m.Header.Set(PartHeader, header)
			}
			m.Data = data
			whole, ok, err := a.add(m)
			if ok && (err != nil || len(whole)%max(len(data), 1) != 0 || len(whole) > 2*len(data)) {
				t.Fatalf("%d bytes, %v", len(whole), err)
			}
		}
		if len(a.partials) > 1 {
			t.Fatal("kept more than one message of a subject")
		}
	})
}

func FuzzParseToken(f *testing.F) {
	f.Add("BRK%2EA")
	f.Add("%")
	f.Fuzz(func(t *testing.T, token string) {
		if text, err := ParseToken(token); err == nil && Token(text) != token {
			t.Fatalf("%q parses to %q, whose token is %q", token, text, Token(text))
		}
	})
}
