package bitfinex

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// What we send.
type (
	conf struct {
		Event string `json:"event"`
		Flags int    `json:"flags"`
	}
	subscription struct {
		Event   string `json:"event"`
		Channel string `json:"channel"`
		Symbol  string `json:"symbol"`
		Prec    string `json:"prec,omitempty"`
		Freq    string `json:"freq,omitempty"`
		Len     string `json:"len,omitempty"`
	}
	leave struct {
		Event  string `json:"event"`
		ChanID int    `json:"chanId"`
	}
)

// subscriptions returns the requests of a new connection, a channel each.
func subscriptions(c Config) (list []subscription) {
	for _, s := range c.Symbols {
		if c.Book {
			list = append(list, bookOf(c, s))
		}
		if c.Trades {
			list = append(list, subscription{Event: "subscribe", Channel: "trades", Symbol: s})
		}
	}
	return list
}

// bookOf is a book of price levels in all detail, as they change.
func bookOf(c Config, symbol string) subscription {
	return subscription{"subscribe", "book", symbol, "P0", "F0", strconv.Itoa(c.Depth)}
}

// event is what is no data.
type event struct {
	Event    string `json:"event"`
	Code     int    `json:"code"`
	Msg      string `json:"msg"`
	Channel  string `json:"channel"`
	Symbol   string `json:"symbol"`
	ChanID   int    `json:"chanId"`
	Platform *struct {
		Status int `json:"status"`
	} `json:"platform"`
}

// readEvent returns an event, false for data, which are arrays.
func readEvent(payload []byte) (event, bool) {
	if !bytes.HasPrefix(payload, []byte{'{'}) {
		return event{}, false
	}
	var e event
	if json.Unmarshal(payload, &e) != nil || e.Event == "" {
		return event{}, false
	}
	return e, true
}
