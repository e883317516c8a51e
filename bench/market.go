package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer"
	"github.com/quotewire/quotewire/streamer/wire"
)

// exchange is a simulated market: two venues, books of ten levels a side, in a real
// shard.
type exchange struct {
	dir   *market.Directory
	shard *orderbook.Shard
	ids   []market.InstrumentID
	turns []int
}

func newExchange(symbols int) *exchange {
	x := &exchange{dir: market.NewDirectory(), turns: make([]int, symbols)}
	for _, name := range []string{"coinbase", "kraken"} {
		must(x.dir.Venue(name))
	}
	for i := range symbols {
		x.ids = append(x.ids, must(x.dir.Instrument(symbol(i), market.ClassCrypto)))
	}
	return x
}

// open fills the books; updates go to the sink.
func (x *exchange) open(sink orderbook.Sink, now time.Time) {
	x.shard = orderbook.NewShard(orderbook.Config{Directory: x.dir, Epoch: 1, Sinks: []orderbook.Sink{sink}})
	for i := range x.ids {
		for v := market.VenueID(1); v <= 2; v++ {
			events := []market.Event{{Kind: market.KindClear, Flags: market.FlagSnapshot}}
			for k := range market.Price(10) {
				events = append(events,
					market.Event{Kind: market.KindLevel, Side: market.SideBid, Price: 6421000 - k*10, Size: 52_000_000 + market.Size(k)},
					market.Event{Kind: market.KindLevel, Side: market.SideAsk, Price: 6421010 + k*10, Size: 110_000_000 + market.Size(k)})
			}
			x.apply(i, v, now, events...)
		}
	}
}

func (x *exchange) apply(i int, venue market.VenueID, now time.Time, events ...market.Event) {
	for k := range events {
		e := &events[k]
		e.Feed, e.Venue, e.Instrument, e.Received, e.Time = market.FeedID(venue), venue, x.ids[i], now.UnixNano(), now.UnixNano()
		e.PriceDecimals, e.SizeDecimals = 2, 8
	}
	events[len(events)-1].Flags |= market.FlagLast
	x.shard.Apply(events)
}

// change moves the size of a symbol's best bid: the quote changes.
func (x *exchange) change(i int, now time.Time) {
	x.turns[i]++
	var e [1]market.Event
	e[0] = market.Event{Kind: market.KindLevel, Side: market.SideBid, Price: 6421000, Size: 52_000_000 + market.Size(x.turns[i]&63)}
	x.apply(i, market.VenueID(1+x.turns[i]&1), now, e[:]...)
}

// sample returns a message as clients of the hub get it.
func sample() []byte {
	x := newExchange(1)
	var out bytes.Buffer
	d := streamer.NewDirect(streamer.Config{Directory: x.dir}, &out)
	must(0, d.Subscribe(wire.Request{Channel: wire.ChannelQuote, Symbols: []string{symbol(0)}, Venue: wire.Consolidated}))
	now := time.Now()
	d.Advance(now.UnixNano())
	x.open(d, now)
	for range 2000 {
		x.change(0, now)
	}
	lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte{'\n'})
	return lines[len(lines)-1]
}

// mark returns a byte that a message has once and what the contenders put round it
// has not.
func mark(msg []byte) string {
	const round = `{"push":{"channel":"t","pub":{"data":` + "}}}\nMSG t 1 0123456789\r\n"
	for c := byte('a'); c <= 'z'; c++ {
		if bytes.Count(msg, []byte{c}) == 1 && bytes.IndexByte([]byte(round), c) < 0 {
			return string(c)
		}
	}
	panic("no byte stands in the message once: " + string(msg))
}

// hub is a running streamer.
type hub struct {
	*exchange
	hub  *streamer.Hub
	sink orderbook.Sink
	reg  *prometheus.Registry
	addr string
	stop func()
}

func startHub(symbols int, cfg streamer.Config) *hub {
	h := &hub{exchange: newExchange(symbols), reg: prometheus.NewRegistry()}
	cfg.Directory, cfg.Metrics = h.dir, h.reg
	h.hub = streamer.NewHub(cfg)
	h.sink = h.hub.Sink(0)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { defer close(ran); _ = h.hub.Run(ctx) }()
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	h.addr = l.Addr().String()
	srv := &http.Server{Handler: h.hub.Handler()}
	go func() { _ = srv.Serve(l) }()
	h.open(h.sink, time.Now())
	h.sink.Flush()
	h.stop = func() {
		cancel()
		<-ran
		_ = srv.Close()
	}
	return h
}

// counter returns a metric of the hub.
func (h *hub) counter(name string) float64 {
	families, _ := h.reg.Gather()
	sum := 0.0
	for _, f := range families {
		if f.GetName() == "quotewire_streamer_"+name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Errorf("bench: %w", err))
	}
	return v
}
