package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// newRecord returns the command that records the feeds of a config.
func newRecord() *cobra.Command {
	var path, listen, out string
	cmd := &cobra.Command{
		Use:   "record --config FILE -o FILE",
		Short: "Record every frame of a config's feeds, exactly as it came",
		Long: `Record connects to the feeds of a config and writes every frame with its receive
time until it is stopped. Books are kept all the while, so that one that breaks
is asked for again; with --listen the feeds are served at the same time.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" || out == "" {
				return errors.New("--config and -o are both needed")
			}
			c, err := loadConfig(path)
			if err != nil {
				return err
			}
			s := configured(cmd, c)
			s.listen, s.record = listen, out
			s.ingest.quotes, s.ingest.prints = c.Quotes, c.Tape
			if err := addFeeds(s, c); err != nil {
				return err
			}
			return s.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "config `file`")
	cmd.Flags().StringVarP(&out, "output", "o", "", "capture `file` to write; must not exist")
	cmd.Flags().StringVar(&listen, "listen", "", "also serve on this `address`")
	return cmd
}
