package wire

import (
	"encoding/json"
	"errors"
	"fmt"
)

// PriceLevel is a level of a book as its texts: ["64210.1","0.52"], or with the
// split by venue ["64210.1","1.52",{"coinbase":"0.52","kraken":"1"}]. Size "0"
// removes the level.
type PriceLevel struct {
	Price, Size string
	Venues      map[string]string // size by venue, nil without a split
}

// MarshalJSON returns the level as an array.
func (l PriceLevel) MarshalJSON() ([]byte, error) {
	if l.Venues == nil {
		return json.Marshal([2]string{l.Price, l.Size})
	}
	return json.Marshal([]any{l.Price, l.Size, l.Venues})
}

// UnmarshalJSON reads the array. Elements after the third are skipped: they are
// newer than this package.
func (l *PriceLevel) UnmarshalJSON(b []byte) error {
	*l = PriceLevel{}
	if price, size, ok := plainPair(b); ok {
		l.Price, l.Size = price, size
		return nil
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil {
		return fmt.Errorf("read level: %w", err)
	}
	if len(parts) < 2 {
		return fmt.Errorf("read level: want price and size, got %d elements", len(parts))
	}
	if !unmarshalString(parts[0], &l.Price) || !unmarshalString(parts[1], &l.Size) {
		return errors.New("read level: price and size must be texts")
	}
	if len(parts) > 2 {
		if err := json.Unmarshal(parts[2], &l.Venues); err != nil {
			return fmt.Errorf("read level: split by venue: %w", err)
		}
	}
	return nil
}

// plainPair reads the form nearly all levels have, ["1.5","2"], at a tenth of
// the cost of the general way.
func plainPair(b []byte) (price, size string, ok bool) {
	if len(b) < len(`["",""]`) || b[0] != '[' || b[len(b)-1] != ']' {
		return "", "", false
	}
	price, b, ok = numberText(b[1:])
	if !ok || b[0] != ',' {
		return "", "", false
	}
	size, b, ok = numberText(b[1:])
	return price, size, ok && len(b) == 1
}

// numberText reads a quoted run of digits, points and minus signs; rest has at
// least one byte.
func numberText(b []byte) (text string, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return "", nil, false
	}
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c >= '0' && c <= '9', c == '.', c == '-':
		case c == '"' && i+1 < len(b):
			return string(b[1:i]), b[i+1:], true
		default:
			return "", nil, false
		}
	}
	return "", nil, false
}
