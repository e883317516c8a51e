package polygon

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	polygonws "github.com/polygon-io/client-go/websocket"
)

// DefaultURL is the real-time host of individual plans, MassiveURL the same under
// the name that the company has since October 2025. Both domains have the same
// hosts: delayed, launchpad, business and the others, as the plan says.
const (
	DefaultURL = "wss://socket.polygon.io"
	MassiveURL = "wss://socket.massive.com"
)

// maxContracts is how many options contracts a connection may subscribe in Q, and
// in FMV, which have no wildcard
// (https://massive.com/docs/websocket/options/quotes).
const maxContracts = 1000

// Config says what to subscribe where. Zero fields mean their defaults.
type Config struct {
	// URL is the base, to which the market is added as a path. Any host that
	// speaks the protocol will do. Default DefaultURL.
	URL string
	// Market is stocks, options, forex, crypto, indices, futures or
	// futures/cme, /cbot, /nymex, /comex. A connection carries one.
	Market string
	// APIKey signs in. It is never logged and is in no frame.
	APIKey string
	// Subscriptions are as the provider spells them, channel and symbol or *:
	// T.AAPL, Q.*, XL2.BTC-USD. Split at the first dot: T.BRK.B.
	Subscriptions []string
	// Channels are those that a symbol is subscribed to which a feeds.Demand wants.
	Channels []string
	// AnswerWait is how long the answer to a subscription is waited for. One that
	// has none by then is told as a problem, by name: a refusal does not say what
	// it is about, and an unknown channel gets no answer at all. Default 10 s.
	AnswerWait time.Duration
}

// String shows c without its key.
func (c Config) String() string {
	return fmt.Sprintf("polygon %s %s %v", c.URL, c.Market, c.Subscriptions)
}

// GoString shows c without its key.
func (c Config) GoString() string { return c.String() }

// Validate reports all that is wrong with c, without showing the key.
func (c Config) Validate() error {
	var errs []error
	if c.URL != "" {
		if u, err := url.Parse(c.URL); err != nil {
			errs = append(errs, fmt.Errorf("url: %w", err))
		} else if u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
			errs = append(errs, fmt.Errorf("url %q is not ws://host or wss://host", u.Redacted()))
		}
	}
	if c.APIKey == "" {
		errs = append(errs, errors.New("no API key"))
	}
	if _, ok := channels[c.Market]; !ok {
		errs = append(errs, fmt.Errorf("market %q is none of %v", c.Market, slices.Sorted(maps.Keys(channels))))
	} else if groups, err := group(c.Market, c.Subscriptions); err != nil {
		errs = append(errs, err)
	} else if c.Market == "options" {
		for _, g := range groups {
			if g.topic != polygonws.OptionsQuotes && g.topic != polygonws.BusinessFairMarketValue {
				continue
			}
			if slices.Contains(g.tickers, "*") {
				errs = append(errs, fmt.Errorf("subscription %q: %s of options has no wildcard; list up to %d contracts", g.channel+".*", g.channel, maxContracts))
			}
			if len(g.tickers) > maxContracts {
				errs = append(errs, fmt.Errorf("%d contracts in %s: a connection takes %d; use several feeds", len(g.tickers), g.channel, maxContracts))
			}
		}
	}
	if len(c.Subscriptions) == 0 {
		errs = append(errs, errors.New("no subscriptions"))
	}
	return errors.Join(errs...)
}

// Mute is how long a connection that was busy may be silent before it is given up.
// The provider has no heartbeat and an idle market is legal; the library finds dead
// sockets by itself.
const Mute = 60 * time.Second

// subscription is what to ask of one topic.
type subscription struct {
	channel string
	topic   polygonws.Topic
	tickers []string
}

// group turns T.AAPL and the like into one subscription a topic, in the order
// in which the topics first appear.
func group(market string, subs []string) ([]subscription, error) {
	var (
		groups []subscription
		errs   []error
	)
	for _, s := range subs {
		channel, ticker, ok := strings.Cut(s, ".")
		topic, known := channels[market][channel]
		if !ok || ticker == "" || strings.ContainsAny(ticker, ", ") {
			errs = append(errs, fmt.Errorf("subscription %q is not spelt CHANNEL.SYMBOL", s))
			continue
		}
		if !known {
			errs = append(errs, fmt.Errorf("subscription %q: %s has the channels %v", s, market,
				slices.Sorted(maps.Keys(channels[market]))))
			continue
		}
		i := slices.IndexFunc(groups, func(g subscription) bool { return g.topic == topic })
		if i < 0 {
			i = len(groups)
			groups = append(groups, subscription{channel: channel, topic: topic})
		}
		if !slices.Contains(groups[i].tickers, ticker) {
			groups[i].tickers = append(groups[i].tickers, ticker)
		}
	}
	return groups, errors.Join(errs...)
}

// channels names the library's topic for each market and channel. The library
// knows topics by number and maps them to these prefixes itself.
var channels = map[string]map[string]polygonws.Topic{
	"stocks": {
		"A": polygonws.StocksSecAggs, "AM": polygonws.StocksMinAggs, "T": polygonws.StocksTrades,
		"Q": polygonws.StocksQuotes, "NOI": polygonws.StocksImbalances, "LULD": polygonws.StocksLULD,
		"LV": polygonws.StocksLaunchpadValue, "FMV": polygonws.BusinessFairMarketValue,
	},
	"options": {
		"A": polygonws.OptionsSecAggs, "AM": polygonws.OptionsMinAggs, "T": polygonws.OptionsTrades,
		"Q": polygonws.OptionsQuotes, "LV": polygonws.OptionsLaunchpadValue, "FMV": polygonws.BusinessFairMarketValue,
	},
	"forex": {
		"CAS": polygonws.ForexSecAggs, "CA": polygonws.ForexMinAggs, "C": polygonws.ForexQuotes,
		"AM": polygonws.ForexLaunchpadMinAggs, "LV": polygonws.ForexLaunchpadValue, "FMV": polygonws.BusinessFairMarketValue,
	},
	"crypto": {
		"XAS": polygonws.CryptoSecAggs, "XA": polygonws.CryptoMinAggs, "XT": polygonws.CryptoTrades,
		"XQ": polygonws.CryptoQuotes, "XL2": polygonws.CryptoL2Book, "AM": polygonws.CryptoLaunchpadMinAggs,
		"LV": polygonws.CryptoLaunchpadValue, "FMV": polygonws.BusinessFairMarketValue,
	},
	"indices": {
		"A": polygonws.IndexSecAggs, "AM": polygonws.IndexMinAggs, "V": polygonws.IndexValue,
	},
	"futures":       futures,
	"futures/cme":   futures,
	"futures/cbot":  futures,
	"futures/nymex": futures,
	"futures/comex": futures,
}

var futures = map[string]polygonws.Topic{
	"A": polygonws.FutureSecAggs, "AM": polygonws.FutureMinAggs, "T": polygonws.FutureTrades, "Q": polygonws.FutureQuotes,
}
