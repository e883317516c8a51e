package feeds_test

import (
	"io"
	"runtime"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/quotewire/quotewire/feeds"
)

// update is as long as a usual book update.
var update = []byte(`{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":45283.5,"qty":0.25000000}],"asks":[],"checksum":2800903109,"timestamp":"2026-07-07T10:00:00.123456Z"}]}`)

// flood sends n updates, prepared so that the server does not allocate.
func flood(c *websocket.Conn, n int) {
	m, err := websocket.NewPreparedMessage(websocket.TextMessage, update)
	if err != nil {
		return
	}
	for range n {
		if c.WritePreparedMessage(m) != nil {
			return
		}
	}
}

func mallocs() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.Mallocs)
}

func BenchmarkSupervisor(b *testing.B) {
	url := serve(b, func(c *websocket.Conn) { flood(c, b.N); untilClosed(c) })
	s := &feeds.Supervisor{Feed: "f", Provider: "p", Connector: wsConnector{feeds.WSConfig{URL: url}}}
	n := 0
	b.SetBytes(int64(len(update)))
	b.ReportAllocs()
	b.ResetTimer()
	err := s.Run(b.Context(), func(f feeds.Frame) error {
		if f.Kind == feeds.Data {
			n++
			if n == b.N {
				b.StopTimer()
				return io.EOF
			}
		}
		return nil
	})
	if err != io.EOF {
		b.Fatal(err)
	}
}
