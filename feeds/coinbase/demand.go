package coinbase

import (
	"slices"

	"github.com/quotewire/quotewire/feeds"
)

// Subscribe implements [feeds.Demander].
func (c *connection) Subscribe(products []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for part := range slices.Chunk(products, perSubscribe) {
		c.batches = append(c.batches, slices.Clone(part))
		if err := c.send("subscribe", part, c.config.Channels); err != nil {
			return err
		}
	}
	return nil
}

// Unsubscribe implements [feeds.Demander]. The statuses of all products stay.
func (c *connection) Unsubscribe(products []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, batch := range c.batches {
		c.batches[i] = slices.DeleteFunc(batch, func(p string) bool { return slices.Contains(products, p) })
	}
	c.batches = slices.DeleteFunc(c.batches, func(b []string) bool { return len(b) == 0 })
	channels := slices.DeleteFunc(slices.Clone(c.config.Channels), func(ch string) bool { return ch == Status })
	return c.send("unsubscribe", products, channels)
}

var _ feeds.Demander = (*connection)(nil)
