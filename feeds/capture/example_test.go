package capture_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/capture"
)

// A capture is written, then replayed as fast as it is taken.
func Example() {
	dir, err := os.MkdirTemp("", "capture")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "kraken.qwc")

	w, err := capture.Create(path, capture.Header{Meta: map[string]string{"program": "example"}})
	if err != nil {
		log.Fatal(err)
	}
	at := time.Date(2026, 7, 7, 23, 0, 0, 0, time.UTC).UnixNano()
	for _, f := range []feeds.Frame{
		{Kind: feeds.Up, Feed: "kraken-1", Provider: "kraken", Received: at},
		{Kind: feeds.Data, Feed: "kraken-1", Provider: "kraken", Received: at + 250, Payload: []byte(`{"channel":"heartbeat"}`)},
	} {
		if err := w.Write(f); err != nil {
			log.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	src := &capture.Source{Files: []string{path}}
	err = src.Run(context.Background(), func(f feeds.Frame) error {
		fmt.Printf("%s %v +%dns %q\n", f.Feed, f.Kind, f.Received-at, f.Payload)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// kraken-1 up +0ns ""
	// kraken-1 data +250ns "{\"channel\":\"heartbeat\"}"
}

// Reading goes on behind damage, and tells what it cost.
func ExampleReader_SkipBlock() {
	read := func(path string) error {
		r, err := capture.Open(path)
		if err != nil {
			return err
		}
		defer r.Close()
		for {
			f, err := r.Next()
			var damage *capture.CorruptError
			switch {
			case err == io.EOF:
				return nil
			case errors.As(err, &damage):
				lost, err := r.SkipBlock()
				if err != nil {
					return err
				}
				fmt.Printf("%v: %d frames lost\n", damage, lost)
				continue
			case err != nil:
				return err
			}
			fmt.Println(f.Received, len(f.Payload))
		}
	}
	_ = read
}
