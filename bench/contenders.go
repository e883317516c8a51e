package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/centrifugal/centrifuge"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/quotewire/quotewire/streamer"
)

// contender is what sends a message to all connections.
type contender struct {
	spec    clientSpec // address, kind and path
	batch   int        // messages of one publish
	publish func(now time.Time)
	flush   func()
	writes  func() float64 // so far; nil if that cannot be known
	ready   func(n int)    // waits until all connections can be published to
}

// stamped puts the time into a message.
func stamped(msg []byte, now time.Time) {
	i := strings.Index(string(msg), string(stamp)) + len(stamp)
	strconv.AppendInt(msg[:i], now.UnixMicro(), 10)
}

// textFrame returns a message as a WebSocket frame.
func textFrame(msg []byte) []byte {
	if len(msg) < 126 {
		return append([]byte{0x81, byte(len(msg))}, msg...)
	}
	return append(binary.BigEndian.AppendUint16([]byte{0x81, 126}, uint16(len(msg))), msg...)
}

func newContender(name string, msg []byte) (*contender, error) {
	switch {
	case strings.HasPrefix(name, "tcp "):
		k, err := strconv.Atoi(strings.TrimPrefix(name, "tcp "))
		if err != nil {
			return nil, err
		}
		return newRaw(msg, k)
	case name == "nats":
		return newNATS(msg)
	case name == "centrifuge":
		return newCentrifuge(msg, 0)
	case name == "centrifuge delay":
		return newCentrifuge(msg, 5*time.Millisecond)
	case name == "quotewire":
		return newQuotewire()
	}
	return nil, fmt.Errorf("no contender %q", name)
}

// newRaw writes ready frames to plain connections, k at once, one connection after
// the other: what no server can do without.
func newRaw(msg []byte, k int) (*contender, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	frame := textFrame(msg)
	var batch []byte
	for range k {
		batch = append(batch, frame...)
	}
	var conns []net.Conn
	count := 0.0
	return &contender{
		spec:  clientSpec{Addr: l.Addr().String(), Kind: "raw"},
		batch: k,
		ready: func(n int) {
			for range n {
				conns = append(conns, must(l.Accept()))
			}
		},
		publish: func(now time.Time) {
			for i := range k {
				stamped(batch[i*len(frame):(i+1)*len(frame)], now)
			}
			for _, c := range conns {
				_, _ = c.Write(batch)
			}
			count += float64(len(conns))
		},
		flush:  func() {},
		writes: func() float64 { return count },
	}, nil
}

func newNATS(msg []byte) (*contender, error) {
	s, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true, NoSystemAccount: true,
		Websocket: natsserver.WebsocketOpts{Host: "127.0.0.1", Port: -1, NoTLS: true},
	})
	if err != nil {
		return nil, err
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return nil, fmt.Errorf("nats-server does not start")
	}
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return nil, err
	}
	msg = append([]byte(nil), msg...)
	return &contender{
		spec:  clientSpec{Addr: strings.TrimPrefix(s.WebsocketURL(), "ws://"), Kind: "nats", Path: "/"},
		batch: 1,
		ready: func(n int) {
			for s.NumSubscriptions() < uint32(n) {
				time.Sleep(10 * time.Millisecond)
			}
		},
		publish: func(now time.Time) { stamped(msg, now); _ = nc.Publish("t", msg) },
		flush:   func() { _ = nc.Flush() },
	}, nil
}

func newCentrifuge(msg []byte, delay time.Duration) (*contender, error) {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return nil, err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		r := centrifuge.ConnectReply{
			Credentials:   &centrifuge.Credentials{UserID: "1"},
			Subscriptions: map[string]centrifuge.SubscribeOptions{"t": {}},
		}
		if delay > 0 {
			r.WriteDelay, r.WriteWithTimer, r.MaxMessagesInFrame = delay, true, -1
		}
		return r, nil
	})
	if err := node.Run(); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		CheckOrigin: func(*http.Request) bool { return true }, UseWriteBufferPool: true, ReadBufferSize: 512})
	go func() { _ = http.Serve(l, h) }()
	return &contender{
		spec:  clientSpec{Addr: l.Addr().String(), Kind: "centrifuge", Path: "/"},
		batch: 1,
		ready: func(n int) {
			for node.Hub().NumSubscribers("t") < n {
				time.Sleep(10 * time.Millisecond)
			}
		},
		publish: func(now time.Time) {
			// It keeps the bytes.
			data := append([]byte(nil), msg...)
			stamped(data, now)
			_, _ = node.Publish("t", data)
		},
		flush: func() {},
	}, nil
}

// newQuotewire sends through the whole of it: books, lane, topic, positions,
// sessions.
func newQuotewire() (*contender, error) {
	h := startHub(1, streamer.Config{LogFrames: 1024})
	return &contender{
		spec:  clientSpec{Addr: h.addr, Kind: "ws", Path: "/v1/stream?channel=quote&interval=0&symbols=" + symbol(0)},
		batch: 1,
		ready: func(n int) {
			for h.counter("connections") < float64(n) {
				time.Sleep(10 * time.Millisecond)
			}
		},
		publish: func(now time.Time) { h.change(0, now); h.sink.Flush() },
		flush:   func() {},
		writes:  func() float64 { return h.counter("writes_total") },
	}, nil
}
