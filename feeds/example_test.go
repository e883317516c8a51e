package feeds_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/quotewire/quotewire/feeds"
)

// A Supervisor needs a Connector; here one whose first connection breaks.
func ExampleSupervisor() {
	connector := &fakeConnector{connect: func(ctx context.Context, n int, a *feeds.Attempt) (feeds.Connection, error) {
		conn := newFakeConnection(ctx)
		conn.messages <- fmt.Sprintf(`{"connection":%d}`, n+1)
		if n == 0 {
			conn.fail <- errors.New("connection reset by peer")
		}
		return conn, nil
	}}
	s := &feeds.Supervisor{Feed: "demo", Provider: "kraken", Connector: connector}

	done := errors.New("seen enough")
	frames := 0
	err := s.Run(context.Background(), func(f feeds.Frame) error {
		fmt.Printf("%s %q\n", f.Kind, f.Payload)
		if frames++; frames == 5 {
			return done
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// up ""
	// data "{\"connection\":1}"
	// down "lost: connection reset by peer"
	// up ""
	// data "{\"connection\":2}"
	// seen enough
}
