package wire_test

import (
	"fmt"

	"github.com/quotewire/quotewire/streamer/wire"
)

func ExampleParseRequest() {
	_, err := wire.ParseRequest([]byte(`{"op":"subscribe","id":2,"channel":"book","symbols":["BTC-USD"],"interval":250}`))
	fmt.Println(err.ID, err.Code)
	fmt.Println(err.Message)
	// Output:
	// 2 invalid_interval
	// field "interval": want a text such as "250ms" or "1s", at most "1h", or "0" for every change, got "250"
}

func ExampleParse() {
	m, err := wire.Parse([]byte(`{"type":"delta","sid":15,"seq":97,"prev":96,"bid":"64211","ask":null}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	d := m.(*wire.Delta)
	fmt.Println(d.Prev, d.Seq, d.Bid.Value, d.Ask.Null, d.AskSize.Set)
	// Output: 96 97 64211 true false
}
