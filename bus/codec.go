package bus

import (
	"fmt"

	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
)

// Codec turns updates into bytes and back within one process, where they have to
// wait in little memory. The bytes are those of the bus. It belongs to one
// goroutine.
type Codec struct {
	dir *market.Directory
	enc encoder
	dec *decoder
	ids map[string]market.InstrumentID
	// symbols are instruments by number, as they were first met.
	symbols []string
}

// NewCodec returns a codec for the instruments and venues of the directory.
func NewCodec(dir *market.Directory) *Codec {
	return &Codec{dir: dir, enc: encoder{dir: dir}, dec: newDecoder(dir), ids: make(map[string]market.InstrumentID)}
}

// Append appends an update.
func (c *Codec) Append(dst []byte, u *orderbook.Update) []byte {
	for int(u.Instrument) >= len(c.symbols) {
		c.symbols = append(c.symbols, "")
	}
	symbol := c.symbols[u.Instrument]
	if symbol == "" {
		symbol = c.dir.Symbol(u.Instrument)
		c.symbols[u.Instrument] = symbol
	}
	return c.enc.update(dst, symbol, market.ClassUnknown, u)
}

// Decode makes u what was appended, reusing the memory of its slices.
func (c *Codec) Decode(data []byte, u *orderbook.Update) error {
	h, err := c.dec.update(data, u)
	if err != nil {
		return fmt.Errorf("decode update: %w", err)
	}
	id, ok := c.ids[string(h.symbol)]
	if !ok {
		if id, ok = c.dir.Lookup(string(h.symbol)); !ok {
			return fmt.Errorf("decode update: %w: symbol %q is not known here", errMalformed, h.symbol)
		}
		c.ids[string(h.symbol)] = id
	}
	u.Instrument = id
	return nil
}
