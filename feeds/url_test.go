package feeds_test

import (
	"context"
	"testing"

	"github.com/quotewire/quotewire/feeds"
)

// addressed is a connection whose address tells what its messages mean.
type addressed struct{ *fakeConnection }

func (addressed) URL() string { return "wss://example.com/v5/public/linear" }

func TestUpTellsTheAddress(t *testing.T) {
	c := &fakeConnector{connect: func(ctx context.Context, _ int, _ *feeds.Attempt) (feeds.Connection, error) {
		return addressed{newFakeConnection(ctx)}, nil
	}}
	s := &feeds.Supervisor{Feed: "test", Provider: "test", Connector: c}
	var up feeds.Frame
	err := s.Run(context.Background(), func(f feeds.Frame) error {
		up = f
		return errTest
	})
	if err != errTest || up.Kind != feeds.Up || up.URL != "wss://example.com/v5/public/linear" {
		t.Errorf("got %v, first frame %+v", err, up)
	}
}
