package bus

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/quotewire/quotewire/bus/busv1"
	"github.com/quotewire/quotewire/market"
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
