package capture

import (
	"bytes"
	"time"
)

// timeNames are the fields in which a provider puts its own time.
func timeNames(provider string) []string {
	switch provider {
	case "kraken": // https://docs.kraken.com/api/docs/websocket-v2/book: timestamp; time_in of acknowledgements
		return []string{"timestamp", "time_in"}
	case "coinbase": // https://docs.cdp.coinbase.com/exchange/websocket-feed/channels: time
		return []string{"time"}
	case "binance", "binance-usdm": // event time; "t" is a trade's number
		return []string{"E"}
	case "bitstamp": // https://www.bitstamp.net/websocket/v2/
		return []string{"microtimestamp", "timestamp"}
	}
	return []string{"time", "timestamp", "t", "ts", "E"}
}

// venueTime finds the first field of the JSON text b, at any depth, that has one
// of the names and holds a time, and returns that in ns since the Unix epoch.
func venueTime(b []byte, names []string) (int64, bool) {
	for {
		i := bytes.IndexByte(b, '"')
		if i < 0 {
			return 0, false
		}
		name, rest, ok := cutString(b[i+1:])
		if !ok {
			return 0, false
		}
		b = bytes.TrimLeft(rest, " \t\r\n")
		if len(b) == 0 || b[0] != ':' || !anyOf(name, names) {
			continue
		}
		b = bytes.TrimLeft(b[1:], " \t\r\n")
		if len(b) == 0 {
			return 0, false
		}
		if b[0] == '"' {
			text, rest, ok := cutString(b[1:])
			if !ok {
				return 0, false
			}
			b = rest
			if t, ok := timeText(text); ok {
				return t, true
			}
			continue
		}
		n := 0
		for n < len(b) && b[n] >= '0' && b[n] <= '9' {
			n++
		}
		if n < len(b) && (b[n] == 'e' || b[n] == 'E') {
			continue
		}
		if t, ok := unixTime(b[:n], len(name) > 2); ok {
			return t, true
		}
	}
}

// cutString cuts b behind the quote that ends the JSON string it begins in.
func cutString(b []byte) (s, rest []byte, ok bool) {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return b[:i], b[i+1:], true
		}
	}
	return nil, nil, false
}

func anyOf(name []byte, names []string) bool {
	for _, n := range names {
		if string(name) == n {
			return true
		}
	}
	return false
}

// The span of times that are believed: the years 2000 to 2099, in seconds.
const firstSecond, lastSecond = 946_684_800, 4_102_444_799

func timeText(b []byte) (int64, bool) {
	if len(b) >= 20 && len(b) <= 40 && b[4] == '-' {
		t, err := time.Parse(time.RFC3339Nano, string(b))
		if err != nil || t.Unix() < firstSecond || t.Unix() > lastSecond {
			return 0, false
		}
		return t.UnixNano(), true
	}
	return unixTime(b, true)
}

// unixTime reads a Unix time whose unit, from s to ns, shows in its magnitude.
// Whole seconds only where the field's name leaves no doubt: a trade's id, "t"
// at some venues, may be as large.
func unixTime(b []byte, seconds bool) (int64, bool) {
	if len(b) < 9 || len(b) > 19 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	for unit := int64(1); unit <= 1_000_000_000; unit *= 1000 {
		if perSecond := 1_000_000_000 / unit; n >= firstSecond*perSecond && n/perSecond <= lastSecond {
			return n * unit, seconds || perSecond > 1
		}
	}
	return 0, false
}
