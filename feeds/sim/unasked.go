package sim

import (
	"bytes"
	"fmt"
	"slices"
)

// imager is a protocol whose books begin with an image on the socket.
type imager interface {
	// imageAgain sends the image of a pair's book once more to those who hold it.
	// Market.mu is held.
	imageAgain(pair string)
}

// SecondSnapshot sends the image of this symbol's book, as it is now, once more
// to every connection that holds it, unasked. It returns an error at providers
// that have no such message: at Binance and Bitstamp the image is asked for over
// HTTP, and Polygon has none.
func (s *Server) SecondSnapshot(symbol string) error {
	p, ok := s.proto.(imager)
	if !ok {
		return fmt.Errorf("%s sends no images of books on its sockets", s.cfg.Provider)
	}
	s.locked(func() { p.imageAgain(canonical(symbol)) })
	return nil
}

func (p *kraken) imageAgain(pair string) {
	for _, c := range p.s.conns {
		for _, sub := range c.state.(*krakenConn).subs {
			if (sub.channel == "book" || sub.channel == "level3") && sub.symbol == krakenSymbol(pair) {
				p.snapshot(c, sub)
			}
		}
	}
}

func (p *coinbase) imageAgain(pair string) {
	if pr := p.byID[pair]; pr != nil {
		p.s.send(message{kindSnapshot, pair, p.snapshot(pr)}, p.wanting(pair, "level2", "level2_50")...)
	}
}

func (p *coinbaseAdvanced) imageAgain(pair string) {
	if pr := p.byID[pair]; pr != nil {
		p.send(kindSnapshot, pair, p.image(pr), p.wanting("level2", pair)...)
	}
}

func (p *okx) imageAgain(pair string) {
	if t := of(p.books, pair); t != nil {
		for _, c := range p.wanting("books", t.id) {
			p.begin(c, okxArg{Channel: "books", InstID: t.id})
		}
	}
}

func (p *bybit) imageAgain(pair string) {
	t := of(p.books, pair)
	if t == nil {
		return
	}
	for _, d := range bybitDepths {
		if to := p.wanting(fmt.Sprintf("orderbook.%d.%s", d.depth, t.id)); len(to) > 0 {
			p.send(t, d.depth, true, t.view(d.depth).image(), to...)
		}
	}
}

func (p *bitfinex) imageAgain(pair string) {
	if t := of(p.books, pair); t != nil {
		p.each(t, "book", p.begin)
	}
}

func (p *gemini) imageAgain(pair string) {
	if t := of(p.books, pair); t != nil {
		p.s.send(message{kindSnapshot, pair, p.image(t)}, p.wanting(t.id)...)
	}
}

func (p *alpaca) imageAgain(pair string) {
	for _, pr := range p.pairs {
		if canonical(pr.symbol) == pair {
			for _, c := range p.wanting("orderbooks", pr.symbol, "us") {
				p.s.send(message{kindSnapshot, pair, p.image(pr)}, c)
				c.flush()
			}
		}
	}
}

// of finds the book of a pair.
func of(books []*tracked, pair string) *tracked {
	if i := slices.IndexFunc(books, func(t *tracked) bool { return t.v.pair.spec.Pair == pair }); i >= 0 {
		return books[i]
	}
	return nil
}

// novelties are messages of a type that no provider has, each whole and in its
// provider's form. Coinbase Advanced numbers its own, see SendUnknown.
var novelties = map[string]string{
	"polygon":   `[{"ev":"NOVELTY","sym":"AAPL","t":1}]`,
	"alpaca":    `[{"T":"novelty","S":"AAPL"}]`,
	"coinbase":  `{"type":"novelty","product_id":"BTC-USD"}`,
	"kraken":    `{"channel":"novelty","type":"update","data":[]}`,
	OKX:         `{"arg":{"channel":"novelty","instId":"BTC-USD"},"data":[{}]}`,
	Bybit:       `{"topic":"novelty.BTCUSD","type":"snapshot","data":{}}`,
	Bitfinex:    `{"event":"novelty"}`,
	Gemini:      `{"type":"novelty","symbol":"BTCUSD"}`,
	Binance:     `{"stream":"btcusd@novelty","data":{"e":"novelty","s":"BTCUSD"}}`,
	BinanceUSDM: `{"stream":"btcusd@novelty","data":{"e":"novelty","s":"BTCUSD"}}`,
	Bitstamp:    `{"event":"novelty","channel":"novelty_btcusd","data":{}}`,
}

// SendUnknown sends every connection a message of a type that the provider does
// not have, as after a change that was not announced.
func (s *Server) SendUnknown() {
	if p, ok := s.proto.(*coinbaseAdvanced); ok {
		s.locked(func() { p.send(kindRaw, "", append(p.head("novelty"), "]}"...), s.conns...) })
		return
	}
	s.SendRaw([]byte(novelties[s.cfg.Provider]))
}

// SendOversized sends every connection one text message of n bytes, at least 11,
// well formed: more than a client should take.
func (s *Server) SendOversized(n int) {
	const head, tail = `{"pad":"`, `"}`
	b := append(make([]byte, 0, n), head...)
	b = append(b, bytes.Repeat([]byte("x"), max(n-len(head)-len(tail), 1))...)
	s.SendRaw(append(b, tail...))
}

// HalfOpen makes the connections that are open now those of a peer that has
// vanished without a word: nothing is sent on them any more, nothing that comes is
// read or answered, protocol pings neither, and TCP stays open until the client
// hangs up. They never come back; new connections are served.
func (s *Server) HalfOpen() {
	s.locked(func() {
		for _, c := range slices.Clone(s.conns) {
			s.forget(c)
			c.vanish()
		}
	})
}
