package wire

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrNoType means that a message has no "type".
var ErrNoType = errors.New(`message has no "type"`)

// Parse reads one message of the server. b may be reused afterwards. A type that
// is not known gives an *Unknown, not an error.
func Parse(b []byte) (Message, error) {
	name, err := typeOf(b)
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	var m Message
	switch name {
	case "welcome":
		m = new(Welcome)
	case "ack":
		m = new(Ack)
	case "snapshot":
		m = new(Snapshot)
	case "delta":
		m = new(Delta)
	case "trade":
		m = new(Trade)
	case "bar":
		m = new(Bar)
	case "watermark":
		m = new(Watermark)
	case "gap":
		m = new(Gap)
	case "status":
		m = new(Status)
	case "heartbeat":
		m = new(Heartbeat)
	case "pong":
		m = new(Pong)
	case "error":
		m = new(Error)
	default:
		raw := append(json.RawMessage(nil), b...)
		if !json.Valid(raw) {
			return nil, fmt.Errorf("read message of type %s: not JSON", quoteCut(name))
		}
		return &Unknown{Name: name, Raw: raw}, nil
	}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if s, ok := m.(*Snapshot); ok {
		switch s.Channel {
		case ChannelQuote, ChannelBook, ChannelTicker, ChannelTrade:
		default:
			s.Raw = append(json.RawMessage(nil), b...)
		}
		if s.Channel == ChannelBar {
			bar := new(Bar)
			if err := json.Unmarshal(b, bar); err != nil {
				return nil, fmt.Errorf("read bar: %w", err)
			}
			if bar.Start != 0 {
				s.Bar = bar
			}
		}
	}
	return m, nil
}

// typeOf reads the "type", which the server writes first.
func typeOf(b []byte) (string, error) {
	const first = `{"type":"`
	if len(b) > len(first) && string(b[:len(first)]) == first {
		for i := len(first); i < len(b); i++ {
			if b[i] == '"' {
				return string(b[len(first):i]), nil
			}
			if b[i] == '\\' {
				break
			}
		}
	}
	var t struct {
		Type *string `json:"type"`
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return "", err
	}
	if t.Type == nil {
		return "", ErrNoType
	}
	return *t.Type, nil
}

// Append appends a message as JSON, its type first. It serves control messages,
// tests and tools; the streamer's market data goes through its own encoders.
func Append(dst []byte, m Message) ([]byte, error) {
	if s, ok := m.(*Snapshot); ok && s.Raw != nil {
		return append(dst, s.Raw...), nil
	}
	if u, ok := m.(*Unknown); ok {
		return append(dst, u.Raw...), nil
	}
	body, err := json.Marshal(m)
	if err != nil {
		return dst, fmt.Errorf("encode %s: %w", m.Type(), err)
	}
	dst = append(dst, `{"type":"`...)
	dst = append(dst, m.Type()...)
	dst = append(dst, '"')
	if len(body) > len("{}") {
		dst = append(dst, ',')
		return append(dst, body[1:]...), nil
	}
	return append(dst, '}'), nil
}
