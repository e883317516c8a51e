package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
	"github.com/spf13/cobra"

	"github.com/quotewire/quotewire/streamer/wire"
)

// newSub returns the command that prints what a server streams.
func newSub() *cobra.Command {
	var server, key string
	var count int
	var subs subscribeFlags
	cmd := &cobra.Command{
		Use:   "sub",
		Short: "Print the messages of subscriptions to a running server, one a line",
		Example: `  quotewire sub --channel quote --symbols BTC-USD
  quotewire sub --url http://127.0.0.1:8080 --channel book --symbols 'BTC-*' --depth 5 --interval 1s -n 10
  QUOTEWIRE_KEY=qw_… quotewire sub --url https://quotes.example.com --channel bar --bar 1m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			u, err := streamURL(server)
			if err != nil {
				return err
			}
			requests, err := subs.requests()
			if err != nil {
				return err
			}
			return subscribeLines(cmd, u, keyOf(key), requests, count)
		},
	}
	cmd.Flags().StringVar(&server, "url", "http://127.0.0.1:8080", "the server")
	cmd.Flags().StringVar(&key, "key", "", keyHelp)
	cmd.Flags().IntVarP(&count, "count", "n", 0, "end after this many market data messages; 0 goes on")
	subs.register(cmd)
	return cmd
}

// keyVariable may hold a key, which other users of the machine cannot see there, as
// they can in a command.
const keyVariable = "QUOTEWIRE_KEY"

const keyHelp = "API `key` or token to show (default: $" + keyVariable + ")"

func keyOf(flag string) string { return cmp.Or(flag, os.Getenv(keyVariable)) }

// bearer returns the header that shows a key, if there is one.
func bearer(key string) http.Header {
	h := make(http.Header)
	if key != "" {
		h.Set("Authorization", "Bearer "+key)
	}
	return h
}

// streamURL returns the WebSocket address of a server given by http or ws URL,
// with or without the path.
func streamURL(server string) (string, error) {
	if !strings.Contains(server, "://") {
		server = "ws://" + server
	}
	u, err := url.Parse(server)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("--url %q: want an address such as http://127.0.0.1:8080", server)
	}
	switch u.Scheme {
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	case "ws", "wss":
	default:
		return "", fmt.Errorf("--url %q: want http, https, ws or wss", server)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/stream"
	}
	return u.String(), nil
}

func subscribeLines(cmd *cobra.Command, addr, key string, requests []wire.Request, count int) error {
	ctx := cmd.Context()
	dialer := websocket.Dialer{HandshakeTimeout: 10 * time.Second, Subprotocols: []string{wire.SubprotocolJSON}}
	conn, resp, err := dialer.DialContext(ctx, addr, bearer(key))
	if err != nil {
		if resp != nil {
			return fmt.Errorf("connect to %s: the server answered %s", addr, resp.Status)
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			return fmt.Errorf("connect to %s: %w; is the server running?", addr, err)
		}
		return fmt.Errorf("connect to %s: %w", addr, err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	for _, r := range requests {
		if err := conn.WriteMessage(websocket.TextMessage, r.Append(nil)); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
	}
	out := cmd.OutOrStdout()
	for n := 0; ; {
		_, frame, err := conn.ReadMessage()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("read from %s: %w", addr, err)
		}
		for line := range bytes.SplitSeq(frame, []byte{'\n'}) {
			var head struct {
				Type    string `json:"type"`
				Message string `json:"message"`
				Code    string `json:"code"`
			}
			if err := json.Unmarshal(line, &head); err != nil {
				return fmt.Errorf("read from %s: %w", addr, err)
			}
			switch head.Type {
			case "welcome", "ack", "heartbeat", "pong":
				continue
			case "error":
				if head.Code == wire.CodeServerShutdown {
					return errors.New("the server is stopping")
				}
				return fmt.Errorf("the server refused: %s: %s", head.Code, head.Message)
			}
			if _, err := fmt.Fprintf(out, "%s\n", line); err != nil {
				return fmt.Errorf("write: %w", err)
			}
			if n++; count > 0 && n >= count {
				return nil
			}
		}
	}
}

func jsonNumber(n int) json.Number { return json.Number(strconv.Itoa(n)) }
