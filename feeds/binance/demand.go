package binance

import (
	"fmt"

	"github.com/quotewire/quotewire/feeds"
)

// Subscribe implements [feeds.Demander]. A symbol that Binance does not have is
// acknowledged and stays silent.
func (c *connection) Subscribe(symbols []string) error { return c.change(symbols, c.subscribe) }

// Unsubscribe implements [feeds.Demander].
func (c *connection) Unsubscribe(symbols []string) error {
	return c.change(symbols, func(ws *feeds.WS, streams []string) error {
		c.mu.Lock()
		c.requests++
		id := c.requests
		c.mu.Unlock()
		if err := ws.WriteJSON(request{"UNSUBSCRIBE", streams, id}); err != nil {
			return fmt.Errorf("unsubscribe: %w", err)
		}
		return nil
	})
}

// change sends requests for the streams of symbols, no faster than Binance takes
// them, on the first socket of their kind.
func (c *connection) change(symbols []string, send func(*feeds.WS, []string) error) error {
	for _, p := range plans(c.connector.config, symbols) {
		for _, s := range c.sockets {
			if s.path != p.path {
				continue
			}
			for _, streams := range p.batches {
				if err := c.pace.Wait(c.ctx); err != nil {
					return fmt.Errorf("wait for one's turn: %w", err)
				}
				if err := send(s.ws, streams); err != nil {
					return err
				}
			}
			break
		}
	}
	return nil
}

var _ feeds.Demander = (*connection)(nil)
