package alpaca

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/quotewire/quotewire/feeds"
)

// control is what the server says of the connection. It comes in a message of its
// own.
type control struct {
	Type    string // success, error, subscription
	Message string
	Code    int
	Lists   map[string][]string // of a subscription: symbols by channel
}

// controlPart is where a control message shows what it is: the server writes T
// first.
const controlPart = 24

// readControl returns the control message that a frame is, false for data. For
// data it costs a look at the first bytes.
func readControl(frame []byte, binary bool) (control, bool) {
	start := frame[:min(len(frame), controlPart)]
	if binary {
		if !bytes.Contains(start, []byte("\xa7success")) && !bytes.Contains(start, []byte("\xa5error")) && !bytes.Contains(start, []byte("\xacsubscription")) {
			return control{}, false
		}
		m, err := readPacked(frame)
		return m, err == nil && m.known()
	}
	if !bytes.Contains(start, []byte(`"success"`)) && !bytes.Contains(start, []byte(`"error"`)) && !bytes.Contains(start, []byte(`"subscription"`)) {
		return control{}, false
	}
	return readJSON(frame)
}

func readJSON(frame []byte) (m control, ok bool) {
	var list []map[string]json.RawMessage
	if json.Unmarshal(frame, &list) != nil || len(list) != 1 {
		return m, false
	}
	m.Lists = make(map[string][]string)
	for name, v := range list[0] {
		switch name {
		case "T":
			_ = json.Unmarshal(v, &m.Type)
		case "msg":
			_ = json.Unmarshal(v, &m.Message)
		case "code":
			_ = json.Unmarshal(v, &m.Code)
		default:
			var symbols []string
			if json.Unmarshal(v, &symbols) == nil {
				m.Lists[name] = symbols
			}
		}
	}
	return m, m.known()
}

func (m control) known() bool {
	return m.Type == "success" || m.Type == "error" || m.Type == "subscription"
}

func (m control) text() string { return fmt.Sprintf("%d %s", m.Code, m.Message) }

// The numbers of errors that say something of the connection
// (https://docs.alpaca.markets/docs/streaming-market-data#errors). What the others
// refuse is one request.
const (
	codeNotAuthenticated = 401
	codeAuthFailed       = 402
	codeAuthTimeout      = 404
	codeConnectionLimit  = 406
	codeSlowClient       = 407
	codeNoSubscription   = 409
	codeNoScope          = 411
	codeInternal         = 500
)

// disconnects returns what an error means for the connection, "" if it goes on.
func (m control) disconnects() feeds.DisconnectCause {
	switch m.Code {
	case codeAuthFailed, codeNoSubscription, codeNoScope:
		return feeds.CauseRefused
	case codeConnectionLimit:
		return feeds.CauseEvicted
	case codeNotAuthenticated, codeAuthTimeout, codeInternal:
		return feeds.CauseLost
	}
	return "" // the cut that follows codeSlowClient tells of itself
}
