package bus

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func TestServerInProcessOnly(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := StartServer(ctx, ServerConfig{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.URL() != "" {
		t.Errorf("URL %q, want none", s.URL())
	}
	nc, err := Connect(ConnConfig{InProcess: s.InProcess(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	if nc.MaxPayload() != EmbeddedMaxPayload || s.Clients() != 1 {
		t.Errorf("max payload %d, clients %d", nc.MaxPayload(), s.Clients())
	}
}

func TestServerRefuses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for what, cfg := range map[string]ServerConfig{
		"address already in use": {Listen: l.Addr().String()},
		"missing port":           {Listen: "127.0.0.1"},
		"want a port number":     {Listen: "127.0.0.1:nats"},
		"store directory":        {JetStream: true},
	} {
		cfg.Logger = quiet()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		s, err := StartServer(ctx, cfg)
		cancel()
		if err == nil {
			s.Close()
			t.Errorf("%s: started", what)
		} else if !strings.Contains(err.Error(), what) {
			t.Errorf("error %q does not say %q", err, what)
		}
	}
}

func TestServerToken(t *testing.T) {
	s := startServer(t, ServerConfig{Token: "secret"})
	for token, ok := range map[string]bool{"": false, "wrong": false, "secret": true} {
		nc, err := Connect(ConnConfig{URL: s.URL(), Token: token, Logger: quiet(), Options: []nats.Option{nats.RetryOnFailedConnect(false)}})
		if (err == nil) != ok {
			t.Errorf("token %q: %v", token, err)
		}
		if nc != nil {
			nc.Close()
		}
	}
}

// The store that later stages need, made the way they will make it.
func TestServerJetStream(t *testing.T) {
	s := startServer(t, ServerConfig{JetStream: true, StoreDir: t.TempDir()})
	nc := connect(t, s.URL(), "test")
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(&nats.KeyValueConfig{Bucket: "leases", TTL: time.Minute}); err != nil {
		t.Fatal(err)
	}
}

func TestConnectRefuses(t *testing.T) {
	if nc, err := Connect(ConnConfig{}); err == nil {
		nc.Close()
		t.Error("connected to nothing")
	}
}

func TestConfigsRefuse(t *testing.T) {
	_, err := NewPublisher(PublisherConfig{Node: "a b", Heartbeat: time.Hour, Subjects: Subjects{Prefix: "x."}})
	for _, want := range []string{"connection", "directory", "node name", "epoch", "heartbeat", "prefix"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name the %s", err, want)
		}
	}
	_, err = NewSubscriber(SubscriberConfig{Queue: -1})
	for _, want := range []string{"connection", "directory", "sink", "queue"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name the %s", err, want)
		}
	}
}
