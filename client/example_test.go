package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/quotewire/quotewire/client"
	"github.com/quotewire/quotewire/streamer/wire"
)

// exampleServer stands for a running quotewire: it grants one subscription and
// sends the messages.
func exampleServer(channel string, messages ...string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := (&websocket.Upgrader{Subprotocols: []string{wire.SubprotocolJSON}}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		send := func(text string) { _ = ws.WriteMessage(websocket.TextMessage, []byte(text)) }
		send(`{"type":"welcome","version":"1","server":"example","session":"s1","heartbeat":5000,"limits":{}}`)
		if _, _, err := ws.ReadMessage(); err != nil {
			return
		}
		send(`{"type":"ack","id":1,"op":"subscribe","streams":[{"sid":7,"channel":"` + channel + `","symbol":"BTC-USD","depth":10}]}`)
		for _, m := range messages {
			send(m)
		}
		for { // until the client goes
			if _, _, err := ws.ReadMessage(); err != nil {
				return
			}
		}
	}))
}

// Print quotes as they come, and say so when they are not to be trusted.
func Example() {
	server := exampleServer("quote",
		`{"type":"snapshot","sid":7,"channel":"quote","symbol":"BTC-USD","epoch":"9f2c","seq":88,"bid":"64210.1","bid_size":"0.52","bid_venues":{"coinbase":"0.52"},"ask":"64210.2","ask_size":"1.1","ask_venues":{"kraken":"1.1"}}`,
		`{"type":"delta","sid":7,"prev":88,"seq":90,"n":2,"ask":"64210.15","ask_size":"0.3","ask_venues":{"coinbase":"0.3"}}`,
	)
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, server.URL, client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	stream, err := c.Subscribe(ctx, client.Subscription{
		Channel: wire.ChannelQuote,
		Symbols: []string{"BTC-USD"},
		Policy:  client.Block, // every quote, however slow the loop below; the default hands out the newest
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for u, err := range stream.All(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		switch u := u.(type) {
		case *client.Quote:
			mid, _ := u.Mid()
			fmt.Println(u.Symbol, u.Bid.Price, u.Bid.Venues[0].Venue, u.Ask.Price, u.Ask.Venues[0].Venue, "mid", mid)
			if u.Seq == 90 {
				stream.Close() // ends the loop
			}
		case *client.Disconnected:
			fmt.Println("not current:", u.Err)
		case *client.Reconnected:
			fmt.Println("back after", u.Down)
		}
	}
	// Output:
	// BTC-USD 64210.1 coinbase 64210.2 kraken mid 64210.15
	// BTC-USD 64210.1 coinbase 64210.15 coinbase mid 64210.125
}

// A local book, kept by deltas and proved by the server's checksum.
func ExampleClient_Subscribe_book() {
	server := exampleServer("book",
		`{"type":"snapshot","sid":7,"channel":"book","symbol":"BTC-USD","epoch":"9f2c","seq":1042,"bids":[["64210.1","0.52"]],"asks":[["64210.2","1.1"]],"crc":938731014}`)
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, server.URL, client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	stream, err := c.Subscribe(ctx, client.Subscription{Channel: wire.ChannelBook, Symbols: []string{"BTC-USD"}, Depth: 10})
	if err != nil {
		fmt.Println(err)
		return
	}
	u, err := stream.Next(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	if book, ok := u.(*client.BookUpdate); ok {
		fmt.Println("bid", book.Bids[0].Price, book.Bids[0].Size, "ask", book.Asks[0].Price, book.Asks[0].Size)
	}
	fmt.Println("checksum errors:", c.Stats().ChecksumErrors)
	// Output:
	// bid 64210.1 0.52 ask 64210.2 1.1
	// checksum errors: 0
}

// A Book works without a connection.
func ExampleBook() {
	book := client.NewBook(10)
	for _, text := range []string{
		`{"type":"snapshot","sid":7,"channel":"book","symbol":"BTC-USD","epoch":"9f2c","seq":1042,"bids":[["64210.1","0.52"]],"asks":[["64210.2","1.1"]],"crc":938731014}`,
		`{"type":"delta","sid":7,"prev":1044,"seq":1050,"bids":[["64210.1","0"]]}`,
	} {
		m, err := wire.Parse([]byte(text))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(book.Apply(m), book.Trusted())
	}
	// Output:
	// <nil> true
	// delta from 1044 to 1050 does not follow 1042 false
}
