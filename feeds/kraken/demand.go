package kraken

import (
	"fmt"
	"slices"

	"github.com/quotewire/quotewire/feeds"
)

// Subscribe implements [feeds.Demander]. Orders are not subscribed this way.
func (c *connection) Subscribe(symbols []string) error {
	config := c.config
	config.Symbols = symbols
	for _, r := range symbolSubscriptions(config) {
		if err := c.ws.WriteJSON(r); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
	}
	return nil
}

// Unsubscribe implements [feeds.Demander].
func (c *connection) Unsubscribe(symbols []string) error {
	for part := range slices.Chunk(symbols, perSubscribe) {
		var rs []request
		if c.config.Book {
			rs = append(rs, request{"unsubscribe", params{Channel: c.config.book(), Symbol: part, Depth: c.config.Depth}})
		}
		if c.config.Trades {
			rs = append(rs, request{"unsubscribe", params{Channel: "trade", Symbol: part}})
		}
		for _, r := range rs {
			if err := c.ws.WriteJSON(r); err != nil {
				return fmt.Errorf("unsubscribe: %w", err)
			}
		}
	}
	return nil
}

var _ feeds.Demander = (*connection)(nil)
