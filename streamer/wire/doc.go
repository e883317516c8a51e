// Package wire is the client protocol quotewire.v1: its requests, its messages
// and the checksum that proves a client's book.
//
// [ParseRequest] and [ParseQuery] read what a client asks, strictly, and say what
// would be right where it is wrong. The message types and [Parse] are the reading
// side, for the SDK and tools. The streamer's own encoders append to buffers and
// use neither reflection nor these structs.
//
// Prices and sizes are canonical decimal text: exact, no exponent, no trailing
// zeros after the point. Times are microseconds since the Unix epoch, UTC.
package wire

// The WebSocket subprotocols. A client that offers none gets text frames of the
// first.
const (
	SubprotocolJSON  = "quotewire.v1.json"
	SubprotocolProto = "quotewire.v1.proto"
)

// Version is the protocol version that a welcome names.
const Version = "1"

// The codes of an [Error]. The advice is what a client should do.
const (
	// CodeBadRequest: the request is wrong as written. Correct it; do not repeat it.
	CodeBadRequest = "bad_request"
	// CodeUnknownChannel: there is no such channel. Do not repeat it.
	CodeUnknownChannel = "unknown_channel"
	// CodeUnknownSymbol: the symbols named are not known here. Correct them, or
	// ask with a pattern, which also takes in symbols that appear later.
	CodeUnknownSymbol = "unknown_symbol"
	// CodeUnauthorized: sign in first, or with a valid token.
	CodeUnauthorized = "unauthorized"
	// CodeForbidden: the token does not cover this. Do not repeat it.
	CodeForbidden = "forbidden"
	// CodeTooManySubscriptions: the connection's limit, told in the welcome, is
	// reached. Unsubscribe first.
	CodeTooManySubscriptions = "too_many_subscriptions"
	// CodeRateLimited: too many requests. Repeat later.
	CodeRateLimited = "rate_limited"
	// CodeInvalidInterval: no such conflation interval. Correct it.
	CodeInvalidInterval = "invalid_interval"
	// CodeInvalidDepth: no such depth. Correct it.
	CodeInvalidDepth = "invalid_depth"
	// CodeServerShutdown: the server stops. Reconnect after RetryAfter.
	CodeServerShutdown = "server_shutdown"
)

// Consolidated is the name of the view over all venues.
const Consolidated = "*"

// Channel is what a stream is about.
type Channel uint8

// The channels. ChannelNone is the zero value and no channel.
const (
	ChannelNone   Channel = iota
	ChannelQuote          // best bid and offer
	ChannelBook           // price levels
	ChannelTrade          // prints
	ChannelTicker         // last, change, the day's open, high, low, volume, VWAP
	ChannelBar            // open, high, low, close, volume over an interval
	ChannelStatus         // trading status, halts, health of venues
	ChannelAlert          // alerts
)

// NumChannels is one more than the last channel, for tables by channel.
const NumChannels = int(ChannelAlert) + 1

var channelNames = [NumChannels]string{"", "quote", "book", "trade", "ticker", "bar", "status", "alert"}

// String returns the channel's name on the wire, "" for ChannelNone.
func (c Channel) String() string {
	if int(c) < len(channelNames) {
		return channelNames[c]
	}
	return ""
}

// ParseChannel returns the channel with the given name, and whether there is one.
func ParseChannel(name string) (Channel, bool) {
	for c := ChannelQuote; int(c) < NumChannels; c++ {
		if channelNames[c] == name {
			return c, true
		}
	}
	return ChannelNone, false
}

// MarshalText returns the channel's name.
func (c Channel) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a channel's name. A name that is newer than this package
// gives ChannelNone, without an error: messages of unknown channels are skipped,
// not fatal.
func (c *Channel) UnmarshalText(text []byte) error {
	*c, _ = ParseChannel(string(text))
	return nil
}
