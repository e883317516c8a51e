package binance

import (
	"slices"
	"strings"
)

// plan is what one socket carries.
type plan struct {
	path    string     // of the combined streams
	batches [][]string // streams, one request each
}

const (
	// StreamsPerSocket is how many streams one socket carries; Binance allows
	// 1,024.
	StreamsPerSocket = 800
	// perRequest is how many streams one SUBSCRIBE names. Binance limits the
	// rate of requests.
	perRequest = 200
)

// plans spreads the streams over sockets. Futures have two addresses: one for
// what comes of each book, one for the rest.
func plans(c Config, symbols []string) []plan {
	groups := map[string][]string{}
	var paths []string
	for _, ch := range c.Channels {
		path := "/stream"
		if c.Market == USDM {
			path = "/market/stream"
			if strings.HasPrefix(ch, "depth") || ch == "bookTicker" {
				path = "/public/stream"
			}
		}
		if groups[path] == nil {
			paths = append(paths, path)
		}
		for _, s := range symbols {
			groups[path] = append(groups[path], strings.ToLower(s)+"@"+ch)
		}
	}
	var out []plan
	for _, path := range paths {
		for part := range slices.Chunk(groups[path], StreamsPerSocket) {
			p := plan{path: path}
			for batch := range slices.Chunk(part, perRequest) {
				p.batches = append(p.batches, batch)
			}
			out = append(out, p)
		}
	}
	return out
}
