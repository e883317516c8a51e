package polygon

import "github.com/quotewire/quotewire/feeds"

// wanted returns what a connection is to subscribe: Config.Subscriptions, or the
// channels of the symbols that are wanted.
func (c *Connector) wanted(a *feeds.Attempt) ([]subscription, error) {
	symbols := a.Symbols(nil)
	if symbols == nil {
		return c.groups, nil
	}
	return c.of(symbols)
}

// of returns the subscriptions of symbols to all of Config.Channels.
func (c *Connector) of(symbols []string) ([]subscription, error) {
	var subs []string
	for _, ch := range c.config.Channels {
		for _, s := range symbols {
			subs = append(subs, Subscription(c.config.Market, ch, s))
		}
	}
	return group(c.config.Market, subs)
}

// Subscribe implements [feeds.Demander].
func (c *connection) Subscribe(symbols []string) error {
	groups, err := c.connector.of(symbols)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if err := c.client.Subscribe(g.topic, g.tickers...); err != nil {
			return lost("subscribe: %w", err)
		}
	}
	return nil
}

// Unsubscribe implements [feeds.Demander].
func (c *connection) Unsubscribe(symbols []string) error {
	groups, err := c.connector.of(symbols)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if err := c.client.Unsubscribe(g.topic, g.tickers...); err != nil {
			return lost("unsubscribe: %w", err)
		}
	}
	return nil
}

var _ feeds.Demander = (*connection)(nil)
