package sim

import (
	"strings"
	"sync"
	"testing"
	"time"

	polygonws "github.com/polygon-io/client-go/websocket"
	"github.com/polygon-io/client-go/websocket/models"
)

// errorLog keeps what the client only logs: an event with a bad field is
// dropped there, otherwise silently.
type errorLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *errorLog) Debugf(string, ...any) {}
func (l *errorLog) Infof(string, ...any)  {}
func (l *errorLog) Errorf(f string, _ ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, f)
}

// TestOfficialPolygonClient has Polygon's own client decode each kind of event
// into its models.
func TestOfficialPolygonClient(t *testing.T) {
	m := newMarket(t, 8)
	s := newServer(t, Config{Provider: "polygon", Market: m, Keys: []string{"secret"}})
	for _, market := range []struct {
		name   polygonws.Market
		topics []polygonws.Topic
		held   int
		kinds  int
	}{
		{polygonws.Stocks, []polygonws.Topic{polygonws.StocksTrades, polygonws.StocksQuotes, polygonws.StocksSecAggs}, 3, 3},
		{polygonws.Crypto, []polygonws.Topic{polygonws.CryptoTrades, polygonws.CryptoQuotes, polygonws.CryptoL2Book}, 3, 3},
	} {
		log := &errorLog{}
		c, err := polygonws.New(polygonws.Config{APIKey: "secret", Feed: polygonws.Feed(s.URL()), Market: market.name, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		for _, topic := range market.topics {
			if err := c.Subscribe(topic, "*"); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Connect(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "subscriptions", func() bool { return len(s.Subscriptions()) == market.held })
		m.Step(3 * time.Second)
		kinds := map[string]bool{}
		timeout := time.After(time.Minute)
		for len(kinds) < market.kinds {
			select {
			case e := <-c.Output():
				switch v := e.(type) {
				case models.EquityTrade:
					kinds["T"] = v.Price > 0 && v.Size > 0
				case models.EquityQuote:
					kinds["Q"] = v.BidPrice > 0 && v.AskSize > 0
				case models.EquityAgg:
					kinds["A"] = v.VWAP > 0
				case models.CryptoTrade:
					kinds["XT"] = v.Price > 0 && v.Size > 0
				case models.CryptoQuote:
					kinds["XQ"] = v.BidPrice > 0 && v.AskSize > 0
				case models.Level2Book:
					kinds["XL2"] = len(v.BidPrices) == 100
				}
			case err := <-c.Error():
				t.Fatal(err)
			case <-timeout:
				t.Fatalf("%s: only %v came", market.name, kinds)
			}
		}
		for k, ok := range kinds {
			if !ok {
				t.Errorf("%s came empty", k)
			}
		}
		// Close waits for a reader of the output.
		closed := make(chan struct{})
		go func() { defer close(closed); c.Close() }()
		for open := true; open; {
			select {
			case <-c.Output():
			case <-c.Error():
			case <-closed:
				open = false
			}
		}
		s.Kill()
		for _, l := range log.lines {
			if strings.Contains(l, "unmarshal") {
				t.Errorf("%s: the client could not decode: %s", market.name, l)
			}
		}
	}
}
