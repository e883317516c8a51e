package feedtest

import (
	"testing"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

// Server is a provider's side of the wire, with faults to order. Each test has
// one to itself, which listens on the loopback interface.
type Server interface {
	// URL is where the connector is to connect.
	URL() string
	// Kill drops every connection at once, without a close frame.
	Kill()
	// CloseAll closes every connection with a close frame of this code.
	CloseAll(code int)
	// RefuseConnections makes the server answer new ones with an error, or ends
	// that.
	RefuseConnections(on bool)
	// Mute keeps connections open and accepts new ones, but sends nothing, or
	// ends that.
	Mute(on bool)
	// SendRaw sends b as one message to every connection, even while mute.
	SendRaw(b []byte)
	// Connections is how many connections are open.
	Connections() int
}

// Adapter is what Run needs to know of a provider. All fields are required but
// where it is said.
type Adapter struct {
	// Provider is its name, as in the config.
	Provider string
	// Start starts a server for one test, to be closed at its end. What it
	// returns beside lets time pass at the provider: Run calls it all the time
	// so that there is data.
	Start func(t *testing.T) (Server, func(d time.Duration))
	// Connect returns a connector to a server at this URL, which subscribes the
	// books (or, where it has none, what it has) of the symbols.
	Connect func(t *testing.T, url string, symbols ...string) feeds.Connector
	// Symbols are two that the server has, in the provider's spelling.
	Symbols [2]string
	// About reports which symbol a message is about, and whether it is the image
	// that a subscription begins with. "" is for messages about none, or
	// several, or that are not data.
	About func(payload []byte) (symbol string, image bool)
	// AboutReply is About for answers over REST, by what was asked; nil where
	// images come in the stream.
	AboutReply func(url string) (symbol string, image bool)
	// Unknown is a symbol that the provider refuses; "" if it refuses none.
	Unknown string
	// NoResync says that the provider has no way to ask for one symbol again.
	NoResync bool
	// NoImages says that subscriptions begin without an image.
	NoImages bool
	// Oversized is a message's length in bytes that is certainly refused; 0 if
	// the transport has no bound of its own.
	Oversized int
	// Lenient says that the provider's own library may end a connection over
	// junk.
	Lenient bool
	// Secrets are the credentials that Connect gives the connector: they must
	// not show up in frames, logs, errors or the status.
	Secrets []string
}
