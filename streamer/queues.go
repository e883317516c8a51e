package streamer

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// queues exports how much waits in the hub's queues, read when asked for.
type queues struct{ hub *Hub }

var (
	descLaneQueue = prometheus.NewDesc("quotewire_streamer_lane_queued_batches",
		"Batches of updates that wait for a lane; delay is how late the lane is.", []string{"lane", "delay"}, nil)
	descWriterQueue = prometheus.NewDesc("quotewire_streamer_writer_queued_sessions",
		"Clients whose turn to be written to has come or is planned.", []string{"writer"}, nil)
)

// Describe implements prometheus.Collector.
func (q queues) Describe(ch chan<- *prometheus.Desc) {
	ch <- descLaneQueue
	ch <- descWriterQueue
}

// Collect implements prometheus.Collector.
func (q queues) Collect(ch chan<- prometheus.Metric) {
	n := len(q.hub.lanes)
	for i, l := range append(q.hub.lanes[:n:n], q.hub.delayed...) {
		ch <- prometheus.MustNewConstMetric(descLaneQueue, prometheus.GaugeValue, float64(len(l.in)), strconv.Itoa(i%n), l.delay.String())
	}
	for i, w := range q.hub.writers {
		w.mu.Lock()
		waiting := len(w.queue) + len(w.later.heap)
		w.mu.Unlock()
		ch <- prometheus.MustNewConstMetric(descWriterQueue, prometheus.GaugeValue, float64(waiting), strconv.Itoa(i))
	}
}
