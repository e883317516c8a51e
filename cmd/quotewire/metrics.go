package main

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quotewire/quotewire/bus"
	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/orderbook"
)

// collector exports the counters of feeds, books and bus, read when asked for.
type collector struct {
	in     *ingest
	engine *orderbook.Engine
	bus    *busJoint
}

var (
	descUp = prometheus.NewDesc("quotewire_feed_up", "1 while the feed's connection is live.", []string{"feed", "provider"}, nil)

	descFrames      = prometheus.NewDesc("quotewire_feed_frames_total", "Messages of the provider.", []string{"feed"}, nil)
	descEvents      = prometheus.NewDesc("quotewire_feed_events_total", "Events decoded.", []string{"feed"}, nil)
	descReconnects  = prometheus.NewDesc("quotewire_feed_reconnects_total", "Connections that came up after the first.", []string{"feed"}, nil)
	descResyncs     = prometheus.NewDesc("quotewire_feed_resyncs_total", "Books asked for again.", []string{"feed"}, nil)
	descRefused     = prometheus.NewDesc("quotewire_feed_refused_total", "Parts of frames refused.", []string{"feed", "cause"}, nil)
	descUnknown     = prometheus.NewDesc("quotewire_feed_unknown_conditions_total", "Prints with a sale condition that is in no table.", []string{"feed"}, nil)
	descCorrections = prometheus.NewDesc("quotewire_tape_corrections_total", "Prints corrected or taken back: put right in full, the sums alone, or never heard.", []string{"feed", "how"}, nil)
	descLateBars    = prometheus.NewDesc("quotewire_tape_late_total", "Prints and corrections too late for a bar, which is no longer kept.", []string{"feed"}, nil)
	descAggregates  = prometheus.NewDesc("quotewire_aggregates_compared_total", "Bars of the provider that were compared with ours.", []string{"feed"}, nil)
	descDiffer      = prometheus.NewDesc("quotewire_aggregates_differ_total", "Those that said something else than ours.", []string{"feed", "field"}, nil)

	descQueued = prometheus.NewDesc("quotewire_engine_queued_batches", "Batches of events that wait for a shard.", []string{"shard"}, nil)

	descBusConnected = prometheus.NewDesc("quotewire_bus_connected", "1 while NATS is connected.", nil, nil)
	descBusMessages  = prometheus.NewDesc("quotewire_bus_messages_total", "Messages published, or on a gateway taken in.", nil, nil)
	descBusSkipped   = prometheus.NewDesc("quotewire_bus_updates_skipped_total", "Updates left out because the network was too slow; a snapshot stands in for them.", nil, nil)
	descBusGaps      = prometheus.NewDesc("quotewire_bus_gaps_total", "Instruments that a gateway found behind and repaired.", nil, nil)
	descBusNodesLost = prometheus.NewDesc("quotewire_bus_nodes_lost_total", "Times that a feed node fell silent.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descUp, descFrames, descEvents, descReconnects, descResyncs, descRefused, descUnknown, descQueued,
		descCorrections, descLateBars, descAggregates, descDiffer,
		descBusConnected, descBusMessages, descBusSkipped, descBusGaps, descBusNodesLost} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.in.statuses() {
		up := 0.0
		if s.State.Up() {
			up = 1
		}
		if s.State != feeds.StateIdle && s.State != feeds.StateStandby { // it is down on purpose
			ch <- prometheus.MustNewConstMetric(descUp, prometheus.GaugeValue, up, s.Feed, s.Provider)
		}
		ch <- prometheus.MustNewConstMetric(descFrames, prometheus.CounterValue, float64(s.Frames), s.Feed)
		ch <- prometheus.MustNewConstMetric(descEvents, prometheus.CounterValue, float64(s.events), s.Feed)
		ch <- prometheus.MustNewConstMetric(descUnknown, prometheus.CounterValue, float64(s.unknown), s.Feed)
		ch <- prometheus.MustNewConstMetric(descReconnects, prometheus.CounterValue, float64(s.Reconnects), s.Feed)
		ch <- prometheus.MustNewConstMetric(descResyncs, prometheus.CounterValue, float64(s.Resyncs), s.Feed)
		for cause, n := range s.refused {
			ch <- prometheus.MustNewConstMetric(descRefused, prometheus.CounterValue, float64(n), s.Feed, string(cause))
		}
	}
	for i, n := range c.engine.Queued() {
		ch <- prometheus.MustNewConstMetric(descQueued, prometheus.GaugeValue, float64(n), fmt.Sprint(i))
	}
	c.tape(ch)
	truth := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	switch st := c.bus.status().(type) {
	case bus.PublisherStatus:
		ch <- prometheus.MustNewConstMetric(descBusConnected, prometheus.GaugeValue, truth(st.Connected))
		ch <- prometheus.MustNewConstMetric(descBusMessages, prometheus.CounterValue, float64(st.Published))
		ch <- prometheus.MustNewConstMetric(descBusSkipped, prometheus.CounterValue, float64(st.Skipped))
	case bus.SubscriberStatus:
		ch <- prometheus.MustNewConstMetric(descBusConnected, prometheus.GaugeValue, truth(st.Connected))
		ch <- prometheus.MustNewConstMetric(descBusMessages, prometheus.CounterValue, float64(st.Messages))
		ch <- prometheus.MustNewConstMetric(descBusGaps, prometheus.CounterValue, float64(st.Gaps))
		ch <- prometheus.MustNewConstMetric(descBusNodesLost, prometheus.CounterValue, float64(st.NodesLost))
	}
}

// tape exports what the books count of prints, by feed, where it is not nothing.
func (c *collector) tape(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	reports, err := c.engine.Report(ctx, 1)
	if err != nil {
		return // the engine does not run, or is too busy to say
	}
	feeds := make(map[string]*orderbook.BookStats)
	for i := range reports {
		b := &reports[i].BookStats
		name := c.in.dir.FeedName(b.Feed)
		sum := feeds[name]
		if sum == nil {
			sum = &orderbook.BookStats{}
			feeds[name] = sum
		}
		sum.Corrections += b.Corrections
		sum.CorrectionsPartial += b.CorrectionsPartial
		sum.CorrectionsUnknown += b.CorrectionsUnknown
		sum.LateBars += b.LateBars
		sum.Aggregates += b.Aggregates
		for f, n := range b.AggregatesDiffer {
			sum.AggregatesDiffer[f] += n
		}
	}
	for name, sum := range feeds {
		count := func(d *prometheus.Desc, n uint64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), append([]string{name}, labels...)...)
		}
		if sum.Corrections > 0 {
			count(descCorrections, sum.Corrections-sum.CorrectionsPartial-sum.CorrectionsUnknown, "full")
			count(descCorrections, sum.CorrectionsPartial, "sums")
			count(descCorrections, sum.CorrectionsUnknown, "unknown")
		}
		count(descLateBars, sum.LateBars)
		if sum.Aggregates > 0 {
			count(descAggregates, sum.Aggregates)
			for f, n := range sum.AggregatesDiffer {
				count(descDiffer, n, orderbook.AggregateField(f).String())
			}
		}
	}
}
