package bitstamp

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// request is what we send.
type request struct {
	Event string `json:"event"`
	Data  struct {
		Channel string `json:"channel"`
	} `json:"data"`
}

func subscription(channel string) request {
	r := request{Event: "bts:subscribe"}
	r.Data.Channel = channel
	return r
}

var heartbeat = []byte(`{"event":"bts:heartbeat"}`)

// answer is a message about the connection.
type answer struct {
	Event   string          `json:"event"`
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`
}

// The events of answers.
const (
	subscribed       = "bts:subscription_succeeded"
	refused          = "bts:error"
	requestReconnect = "bts:request_reconnect"
)

// maxAnswer is more than the answer to a request ever has. Longer messages are
// data.
const maxAnswer = 1 << 10

// readAnswer reads a message about the connection, false for data.
func readAnswer(payload []byte) (a answer, ok bool) {
	if len(payload) > maxAnswer || !bytes.Contains(payload, []byte(`"bts:`)) {
		return a, false
	}
	err := json.Unmarshal(payload, &a)
	return a, err == nil
}

// problem returns what an error tells.
func (a *answer) problem() string {
	var data struct {
		Code    json.RawMessage `json:"code"`
		Message string          `json:"message"`
	}
	_ = json.Unmarshal(a.Data, &data) // of another shape: told without
	text := data.Message
	if a.Channel != "" {
		text = a.Channel + ": " + text
	}
	if len(data.Code) > 0 && string(data.Code) != "null" {
		text = fmt.Sprintf("%s (%s)", text, data.Code)
	}
	return text
}
