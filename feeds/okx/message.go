package okx

import (
	"bytes"
	"encoding/json"
	"strings"
)

// request is what we send.
type request struct {
	Op   string `json:"op"`
	Args []arg  `json:"args"`
}

// arg names a subscription.
type arg struct {
	Channel  string `json:"channel"`
	InstType string `json:"instType,omitempty"`
	InstID   string `json:"instId,omitempty"`
}

// subscriptions returns what a new connection subscribes: the reference data of
// the kinds of instruments first, because books are told with it.
func subscriptions(c Config) (args []arg) {
	kinds := map[string]bool{}
	for _, s := range c.Instruments {
		if k := kindOf(s); k != "" && !kinds[k] {
			kinds[k] = true
			args = append(args, arg{Channel: "instruments", InstType: k})
		}
	}
	for _, s := range c.Instruments {
		for _, ch := range c.Channels {
			args = append(args, arg{Channel: ch, InstID: s})
		}
	}
	return args
}

// kindOf returns an instrument's kind as its reference data is asked for; empty
// for options, whose lists are by underlying.
func kindOf(instrument string) string {
	switch parts := strings.Split(instrument, "-"); {
	case len(parts) == 2:
		return "SPOT"
	case len(parts) == 3 && parts[2] == "SWAP":
		return "SWAP"
	case len(parts) == 3:
		return "FUTURES"
	}
	return ""
}

// event is an answer to a request, or a notice.
type event struct {
	Event string `json:"event"`
	Code  string `json:"code"`
	Msg   string `json:"msg"`
	Arg   arg    `json:"arg"`
}

func (e event) text() string { return strings.TrimSpace(e.Msg + " (" + e.Code + ")") }

// maxEvent is more than an event ever has. Longer messages are data.
const maxEvent = 8 << 10

// readEvent returns an event, false for data. For data it costs a look at the
// first bytes.
func readEvent(payload []byte) (event, bool) {
	if len(payload) > maxEvent || !bytes.Contains(payload[:min(len(payload), 64)], []byte(`"event"`)) {
		return event{}, false
	}
	var e event
	if json.Unmarshal(payload, &e) != nil || e.Event == "" {
		return event{}, false
	}
	return e, true
}

// names reports whether a refusal names the word, as a whole.
func names(text, word string) bool {
	for _, w := range strings.FieldsFunc(text, func(r rune) bool {
		return !(r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z')
	}) {
		if w == word {
			return true
		}
	}
	return false
}
