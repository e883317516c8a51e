package client_test

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quotewire/quotewire/client"
	"github.com/quotewire/quotewire/streamer/wire"
)

// Bars come as they are so far, final once the server's watermark has passed them,
// and again with the next Rev where a late print or a correction changed them.
func ExampleClient_Subscribe_bars() {
	server := exampleServer("bar",
		`{"type":"snapshot","sid":7,"channel":"bar","symbol":"BTC-USD","epoch":"9f2c","seq":4,"bar":"1m","start":1764000000000000,"state":"provisional","rev":0,"open":"10","high":"12","low":"10","close":"11","volume":"7","trades":3}`,
		`{"type":"bar","sid":7,"prev":4,"seq":5,"bar":"1m","start":1764000000000000,"state":"final","rev":0,"open":"10","high":"12","low":"9","close":"9.5","volume":"9","trades":4}`,
		`{"type":"watermark","bar":"1m","until":1764000060000000}`,
	)
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, server.URL, client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	bars, err := c.Subscribe(ctx, client.Subscription{Channel: wire.ChannelBar, Symbols: []string{"BTC-USD"}, Bar: "1m"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for u, err := range bars.All(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		switch u := u.(type) {
		case *client.Bar:
			fmt.Println(u.Start.Format("15:04"), u.State, u.Open.Decimal, u.High.Decimal, u.Low.Decimal, u.Close.Decimal, u.Volume.Decimal)
		case *client.Watermark:
			fmt.Println("all bars that end by", u.Until.Format("15:04"), "are here")
			bars.Close()
		}
	}
	// Output:
	// 16:00 provisional 10 12 10 11 7
	// 16:00 final 10 12 9 9.5 9
	// all bars that end by 16:01 are here
}

// A strategy that must see every change: none is conflated, each book is proved by
// its checksum, and what would make it wrong is said.
func ExampleClient_Subscribe_everyChange() {
	server := exampleServer("book",
		`{"type":"snapshot","sid":7,"channel":"book","symbol":"BTC-USD","epoch":"9f2c","seq":1042,"bids":[["64210.1","0.52"]],"asks":[["64210.2","1.1"]],"crc":938731014}`,
		`{"type":"gap","sid":7,"from":1043,"to":1055,"reason":"slow_consumer"}`,
		`{"type":"snapshot","sid":7,"channel":"book","symbol":"BTC-USD","epoch":"9f2c","seq":1055,"bids":[["64210.1","0.52"]],"asks":[["64210.2","1.1"]],"crc":938731014}`,
	)
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, server.URL, client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	books, err := c.Subscribe(ctx, client.Subscription{Channel: wire.ChannelBook, Symbols: []string{"BTC-USD"}, Interval: client.EveryChange, Backlog: 1000})
	if err != nil {
		fmt.Println(err)
		return
	}
	for u, err := range books.All(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		switch u := u.(type) {
		case *client.BookUpdate:
			fmt.Println(u.Seq, u.Bids[0].Price, u.Asks[0].Price)
			if u.Seq == 1055 {
				books.Close()
			}
		case *client.Gap:
			fmt.Println("missed", u.From, "to", u.To, u.Reason)
		case *client.Resync, *client.Disconnected:
			fmt.Printf("stop trading: %+v\n", u)
		}
	}
	// Output:
	// 1042 64210.1 64210.2
	// missed 1043 to 1055 slow_consumer
	// 1055 64210.1 64210.2
}

// clientCollector exports a client's counters to Prometheus.
type clientCollector struct {
	c    *client.Client
	desc *prometheus.Desc
}

func (k clientCollector) Describe(ch chan<- *prometheus.Desc) { ch <- k.desc }

func (k clientCollector) Collect(ch chan<- prometheus.Metric) {
	stats := k.c.Stats()
	for name, n := range stats.Counters() {
		ch <- prometheus.MustNewConstMetric(k.desc, prometheus.CounterValue, float64(n), name)
	}
}

// A client's counters and latencies as metrics of Prometheus; package client itself
// depends on none.
func ExampleOptions_metrics() {
	server := exampleServer("quote",
		`{"type":"snapshot","sid":7,"channel":"quote","symbol":"BTC-USD","epoch":"9f2c","seq":88,"rx":1764000000000000,"tx":1764000000000001,"bid":"64210.1","bid_size":"0.52"}`)
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "quotes_latency_seconds", Help: "From the server's encoder to the program.",
		Buckets: prometheus.ExponentialBuckets(1e-5, 4, 10)}, []string{"channel"})
	c, err := client.Dial(ctx, server.URL, client.Options{OnUpdate: func(u client.Update, l client.Latency) {
		if l.SinceSent > 0 {
			latency.WithLabelValues(u.About().Channel.String()).Observe(l.SinceSent.Seconds())
		}
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(latency, clientCollector{c, prometheus.NewDesc("quotes_client_total", "Counters of the client.", []string{"counter"}, nil)})
	quotes, err := c.Subscribe(ctx, client.Subscription{Channel: wire.ChannelQuote, Symbols: []string{"BTC-USD"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := quotes.Next(ctx); err != nil {
		fmt.Println(err)
		return
	}
	families, err := registry.Gather()
	for _, f := range families {
		fmt.Println(f.GetName(), len(f.GetMetric()))
	}
	fmt.Println(err)
	// Output:
	// quotes_client_total 22
	// quotes_latency_seconds 1
	// <nil>
}
