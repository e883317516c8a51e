package bybit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
)

// request is what we send.
type request struct {
	ReqID string   `json:"req_id"`
	Op    string   `json:"op"`
	Args  []string `json:"args"`
}

// topics returns what a new connection subscribes.
func topics(c Config) (list []string) {
	for _, s := range c.Symbols {
		if c.Book {
			list = append(list, bookTopic(c.Depth, s))
		}
		if c.Trades {
			list = append(list, "publicTrade."+s)
		}
		if c.Tickers {
			list = append(list, "tickers."+s)
		}
	}
	return list
}

func bookTopic(depth int, symbol string) string { return fmt.Sprintf("orderbook.%d.%s", depth, symbol) }

// answer is the answer to a request.
type answer struct {
	Success *bool  `json:"success"`
	RetMsg  string `json:"ret_msg"`
	ReqID   string `json:"req_id"`
	Op      string `json:"op"`
}

// maxAnswer is more than an answer ever has. Longer messages are data.
const maxAnswer = 8 << 10

// readAnswer returns the answer to a request, false for data. For data it costs a
// look at the first bytes.
func readAnswer(payload []byte) (answer, bool) {
	if len(payload) > maxAnswer || bytes.HasPrefix(payload, []byte(`{"topic":`)) || !bytes.Contains(payload, []byte(`"success"`)) {
		return answer{}, false
	}
	var a answer
	if json.Unmarshal(payload, &a) != nil || a.Success == nil {
		return answer{}, false
	}
	return a, true
}

// instrumentsURL is the request for the category's reference data, or for what
// follows where an answer left off. Spot comes whole and heeds neither limit nor
// cursor ("Get Instruments Info").
func (c Config) instrumentsURL(cursor string) string {
	u := c.RESTURL + "/v5/market/instruments-info?category=" + c.Category
	if c.Category != Spot {
		u += "&limit=1000"
	}
	if cursor != "" {
		u += "&cursor=" + url.QueryEscape(cursor)
	}
	return u
}

// readInstruments returns the request that follows an answer, and an error for a
// refusal, which comes with status 200.
func (c Config) readInstruments(_ string, body []byte) (next string, err error) {
	var m struct {
		RetCode int    `json:"retCode"`
		RetMsg  string `json:"retMsg"`
		Result  struct {
			Cursor string `json:"nextPageCursor"`
		} `json:"result"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return "", fmt.Errorf("read instruments-info: %w", err)
	}
	if m.RetCode != 0 {
		return "", fmt.Errorf("refused: %.100q (%d)", m.RetMsg, m.RetCode)
	}
	if m.Result.Cursor != "" && c.Category != Spot {
		next = c.instrumentsURL(m.Result.Cursor)
	}
	return next, nil
}
