package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/quotewire/quotewire/streamer"
)

// usageCollector exports what keys take. All subjects of tokens on a plan are one
// key here.
type usageCollector struct{ hub *streamer.Hub }

var (
	descKeyConnections   = prometheus.NewDesc("quotewire_key_connections", "Connections of the key.", []string{"key"}, nil)
	descKeySubscriptions = prometheus.NewDesc("quotewire_key_subscriptions", "Streams of the key.", []string{"key"}, nil)
	descKeyMessages      = prometheus.NewDesc("quotewire_key_messages_total", "Messages delivered to the key.", []string{"key"}, nil)
	descKeyBytes         = prometheus.NewDesc("quotewire_key_bytes_total", "Bytes delivered to the key.", []string{"key"}, nil)
	descKeyRefused       = prometheus.NewDesc("quotewire_key_refused_total", "Connections and streams beyond the key's limits.", []string{"key"}, nil)
	descKeyHours         = prometheus.NewDesc("quotewire_key_stream_hours_total", "Time that streams of the key were open, summed.", []string{"key", "channel", "class"}, nil)
)

// Describe implements prometheus.Collector.
func (c *usageCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descKeyConnections, descKeySubscriptions, descKeyMessages, descKeyBytes, descKeyRefused, descKeyHours} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *usageCollector) Collect(ch chan<- prometheus.Metric) {
	type kind struct{ key, channel, class string }
	sum := make(map[string]*streamer.Usage)
	hours := make(map[kind]float64)
	for _, u := range c.hub.Usage() {
		label := u.Label
		if label == "" {
			label = u.Name
		}
		s := sum[label]
		if s == nil {
			s = &streamer.Usage{}
			sum[label] = s
		}
		s.Connected += u.Connected
		s.Subscribed += u.Subscribed
		s.Messages += u.Messages
		s.Bytes += u.Bytes
		s.Refused += u.Refused
		for _, st := range u.Streams {
			hours[kind{label, st.Channel.String(), st.Class}] += st.Hours
		}
	}
	for label, s := range sum {
		ch <- prometheus.MustNewConstMetric(descKeyConnections, prometheus.GaugeValue, float64(s.Connected), label)
		ch <- prometheus.MustNewConstMetric(descKeySubscriptions, prometheus.GaugeValue, float64(s.Subscribed), label)
		ch <- prometheus.MustNewConstMetric(descKeyMessages, prometheus.CounterValue, float64(s.Messages), label)
		ch <- prometheus.MustNewConstMetric(descKeyBytes, prometheus.CounterValue, float64(s.Bytes), label)
		ch <- prometheus.MustNewConstMetric(descKeyRefused, prometheus.CounterValue, float64(s.Refused), label)
	}
	for k, h := range hours {
		ch <- prometheus.MustNewConstMetric(descKeyHours, prometheus.CounterValue, h, k.key, k.channel, k.class)
	}
}
