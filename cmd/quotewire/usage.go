package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/quotewire/quotewire/streamer"
)

// newUsage returns the command that tells what each key has taken.
func newUsage() *cobra.Command {
	var url, key string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "usage",
		Short: "Tell what each key has taken from a running server, since it started",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			req, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, strings.TrimSuffix(url, "/")+"/v1/usage", nil)
			if err != nil {
				return fmt.Errorf("ask for usage: %w", err)
			}
			req.Header = bearer(keyOf(key))
			resp, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
			if err != nil {
				return fmt.Errorf("ask for usage: %w", err)
			}
			defer func() { _ = resp.Body.Close() }()
			body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
			if err != nil {
				return fmt.Errorf("read usage: %w", err)
			}
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("ask for usage: %s: %s", resp.Status, strings.TrimSpace(string(body)))
			}
			if asJSON {
				_, err := cmd.OutOrStdout().Write(body)
				return err
			}
			var page struct {
				Usage []streamer.Usage `json:"usage"`
			}
			if err := json.Unmarshal(body, &page); err != nil {
				return fmt.Errorf("read usage: %w", err)
			}
			return printUsage(cmd.OutOrStdout(), page.Usage)
		},
	}
	cmd.Flags().StringVar(&url, "url", "http://127.0.0.1:8080", "`URL` of the server, or of its admin address")
	cmd.Flags().StringVar(&key, "key", "", keyHelp)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the page as it came")
	return cmd
}

func printUsage(out io.Writer, list []streamer.Usage) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "key\tplan\tconnected\tsubscribed\tconnections\trequests\trefused\tmessages\tbytes\tstream-hours")
	for _, u := range list {
		hours := make([]string, len(u.Streams))
		for i, s := range u.Streams {
			hours[i] = fmt.Sprintf("%s/%s %.2f", s.Channel, s.Class, s.Hours)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", u.Name, u.Plan, u.Connected, u.Subscribed,
			u.Connections, u.Requests, u.Refused, u.Messages, u.Bytes, strings.Join(hours, ", "))
	}
	return w.Flush()
}
