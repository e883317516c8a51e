package gemini

import (
	"bytes"
	"encoding/json"
	"strings"
)

// request is what we send.
type request struct {
	Type          string         `json:"type"`
	Subscriptions []subscription `json:"subscriptions"`
}

type subscription struct {
	Name    string   `json:"name"`
	Symbols []string `json:"symbols"`
}

// maxAnswer is more than a refusal ever has. Longer messages are data.
const maxAnswer = 4 << 10

// refusal returns what a message refuses, false if it refuses nothing. For data
// it costs a look at the first bytes.
func refusal(payload []byte) (string, bool) {
	if len(payload) > maxAnswer || bytes.HasPrefix(payload, []byte(`{"type":"l2_updates"`)) || !bytes.Contains(payload, []byte(`"error"`)) {
		return "", false
	}
	var m struct {
		Type    string `json:"type"`
		Result  string `json:"result"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
	}
	if json.Unmarshal(payload, &m) != nil || m.Result != "error" && m.Type != "error" {
		return "", false
	}
	if text := strings.TrimPrefix(strings.TrimSuffix(m.Reason+": "+m.Message, ": "), ": "); text != "" {
		return text, true
	}
	return "refused without words", true
}

// book returns the symbol whose book a message is about, empty for others, and
// whether it is the whole book: that has a list of prints beside it.
func book(payload []byte) (symbol string, image bool) {
	var m struct {
		Type     string          `json:"type"`
		Symbol   string          `json:"symbol"`
		Trades   json.RawMessage `json:"trades"`
		Auctions json.RawMessage `json:"auction_events"`
	}
	if json.Unmarshal(payload, &m) != nil || m.Type != "l2_updates" {
		return "", false
	}
	return m.Symbol, m.Trades != nil || m.Auctions != nil
}
