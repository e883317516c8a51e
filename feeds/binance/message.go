package binance

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// request is what we send on a socket.
type request struct {
	Method string   `json:"method"`
	Params []string `json:"params,omitempty"`
	ID     int      `json:"id"`
}

// listID is the number of the request that keeps a quiet socket alive.
const listID = 0

// answer is an answer to a request: a result, or an error in one of two shapes.
type answer struct {
	ID     *int            `json:"id"`
	Result json.RawMessage `json:"result"`
	Code   *int            `json:"code"`
	Msg    string          `json:"msg"`
	Error  *struct {
		Code int    `json:"code"`
		Msg  string `json:"msg"`
	} `json:"error"`
}

// problem returns what the answer refuses, "" if nothing.
func (a *answer) problem() string {
	switch {
	case a.Error != nil:
		return fmt.Sprintf("%s (%d)", a.Error.Msg, a.Error.Code)
	case a.Code != nil:
		return fmt.Sprintf("%s (%d)", a.Msg, *a.Code)
	}
	return ""
}

// maxAnswer is more than the answer to a request ever has: a list of the streams
// of a socket.
const maxAnswer = 128 << 10

// readAnswer reads a message that is no data, false for what is. Its usual cost
// is a look at the first bytes: data of combined streams begins with their name.
func readAnswer(payload []byte) (a answer, ok bool) {
	if bytes.HasPrefix(payload, []byte(`{"stream":`)) || len(payload) > maxAnswer {
		return a, false
	}
	if json.Unmarshal(payload, &a) != nil {
		return a, false
	}
	return a, a.ID != nil || a.problem() != ""
}

// isShutdown reports whether a message says that the server is about to go away.
func isShutdown(payload []byte) bool {
	return len(payload) < 256 && bytes.Contains(payload, []byte(`"serverShutdown"`))
}
