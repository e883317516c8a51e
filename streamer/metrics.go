package streamer

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/quotewire/quotewire/streamer/wire"
)

// metrics are the hub's counters and gauges. Names begin with
// quotewire_streamer_.
type metrics struct {
	connections   prometheus.Gauge
	accepted      prometheus.Counter
	rejected      prometheus.Counter
	subscriptions prometheus.Gauge
	topics        prometheus.Gauge
	updates       prometheus.Counter
	gaps          prometheus.Counter
	frames        [wire.NumChannels]prometheus.Counter
	folded        [wire.NumChannels]prometheus.Counter
	snapshots     prometheus.Counter
	delivered     prometheus.Counter
	writes        prometheus.Counter
	blocked       prometheus.Counter
	widened       prometheus.Counter
	bytes         prometheus.Counter
	shared        prometheus.Counter
	skipped       prometheus.Counter
	requests      prometheus.Counter
	errors        *prometheus.CounterVec // by code
	closed        *prometheus.CounterVec // by reason
	authFailures  *prometheus.CounterVec // by cause
	throttled     prometheus.Counter
	lag           prometheus.Histogram
	delayBytes    prometheus.Gauge
	delayWaiting  prometheus.Gauge
	delayDropped  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "quotewire", Subsystem: "streamer", Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	vec := func(name, label, help string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "quotewire", Subsystem: "streamer", Name: name, Help: help}, []string{label})
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "quotewire", Subsystem: "streamer", Name: name, Help: help})
		reg.MustRegister(g)
		return g
	}
	// Looked up once: a label costs more than the count.
	byChannel := func(name, help string) (out [wire.NumChannels]prometheus.Counter) {
		v := vec(name, "channel", help)
		for c := range served {
			out[c] = v.WithLabelValues(c.String())
		}
		return out
	}
	lag := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "quotewire", Subsystem: "streamer", Name: "client_lag_seconds",
		Help:    "How far clients were behind at most between two heartbeats.",
		Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}})
	reg.MustRegister(lag)
	return &metrics{
		lag:           lag,
		connections:   gauge("connections", "Clients connected."),
		accepted:      counter("connections_accepted_total", "Clients accepted."),
		rejected:      counter("connections_rejected_total", "Clients turned away because the connection limit was reached."),
		subscriptions: gauge("subscriptions", "Streams subscribed, summed over clients."),
		topics:        gauge("topics", "Streams that have, or lately had, a subscriber."),
		updates:       counter("updates_total", "Updates of instruments taken in."),
		gaps:          counter("update_gaps_total", "Updates that did not follow what was held."),
		frames:        byChannel("frames_encoded_total", "Messages encoded; each once, however many read it."),
		folded:        byChannel("changes_total", "Changes that the encoded messages stand for: changes per frame is the conflation ratio."),
		snapshots:     counter("snapshots_encoded_total", "Snapshots encoded."),
		delivered:     counter("messages_delivered_total", "Messages put into a client's socket."),
		writes:        counter("writes_total", "Writes to clients' sockets."),
		blocked:       counter("writes_blocked_total", "Writes of which a client's socket took only a part at once."),
		widened:       counter("intervals_widened_total", "Times that a client's interval was widened because its socket could not take more."),
		bytes:         counter("bytes_total", "Bytes written to clients' sockets."),
		shared:        counter("shared_bytes_total", "Bytes of them that were in the kernel once for several clients, so that no write copied them for each."),
		skipped:       counter("messages_skipped_total", "Messages that clients were too slow for and that a snapshot or a gap stood in for."),
		requests:      counter("requests_total", "Requests of clients."),
		errors:        vec("request_errors_total", "code", "Requests refused."),
		closed:        vec("connections_closed_total", "reason", "Connections ended."),
		authFailures:  vec("auth_failures_total", "cause", "Clients that were not let in, or were sent out."),
		throttled:     counter("throttled_total", "Times that a client was made to wait because its key or address took more than it may."),
		delayBytes:    gauge("delay_bytes", "Memory of updates that wait for delayed clients, compressed."),
		delayWaiting:  gauge("delay_updates", "Updates that wait for delayed clients."),
		delayDropped:  counter("delay_updates_dropped_total", "Updates that delayed clients do not get because the delay's memory was full; the state stands in for them."),
	}
}
