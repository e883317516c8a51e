package kraken

import (
	"bytes"
	"encoding/json"
	"slices"
)

// request is what we send.
type request struct {
	Method string `json:"method"`
	Params params `json:"params"`
}

type params struct {
	Channel  string   `json:"channel"`
	Symbol   []string `json:"symbol,omitempty"`
	Depth    int      `json:"depth,omitempty"`
	Token    string   `json:"token,omitempty"`
	Snapshot *bool    `json:"snapshot,omitempty"` // always set: its default differs between channels and versions of the documentation
}

var yes, no = true, false

// subscriptions returns the requests of a new connection: instruments first,
// because they carry the precisions that the checksums of books need.
func subscriptions(c Config) []request {
	rs := []request{{"subscribe", params{Channel: "instrument", Snapshot: &yes}}}
	return append(rs, symbolSubscriptions(c)...)
}

// symbolSubscriptions returns the requests for the symbols alone.
func symbolSubscriptions(c Config) (rs []request) {
	for part := range slices.Chunk(c.Symbols, perSubscribe) {
		if c.Book {
			rs = append(rs, c.bookSubscription(part, ""))
		}
		if c.Trades {
			rs = append(rs, request{"subscribe", params{Channel: "trade", Symbol: part, Snapshot: &no}})
		}
	}
	return rs
}

// book returns the channel that carries books.
func (c Config) book() string {
	if c.Orders {
		return "level3"
	}
	return "book"
}

func (c Config) bookSubscription(symbols []string, token string) request {
	return request{"subscribe", params{Channel: c.book(), Symbol: symbols, Depth: c.Depth, Snapshot: &yes, Token: token}}
}

func (c *connection) bookSubscription(symbols []string) request {
	return c.config.bookSubscription(symbols, c.token)
}

// maxAnswer is more than the answer to a request ever has. Longer messages are
// data.
const maxAnswer = 4 << 10

// refusal returns what a message refuses, false if it refuses nothing. Its
// usual answer, for data, costs a look at the first bytes.
func refusal(payload []byte) (string, bool) {
	if bytes.HasPrefix(payload, []byte(`{"channel":`)) || len(payload) > maxAnswer {
		return "", false
	}
	var answer struct {
		Method  string `json:"method"`
		Success *bool  `json:"success"`
		Error   string `json:"error"`
		Symbol  string `json:"symbol"`
	}
	if json.Unmarshal(payload, &answer) != nil || answer.Error == "" || answer.Success != nil && *answer.Success {
		return "", false
	}
	problem := answer.Error
	if answer.Method != "" {
		problem = answer.Method + ": " + problem
	}
	if answer.Symbol != "" && !bytes.Contains([]byte(answer.Error), []byte(answer.Symbol)) {
		problem += " (" + answer.Symbol + ")"
	}
	return problem, true
}
