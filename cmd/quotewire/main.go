// Command quotewire runs the service and its tools. It reads flags and the
// config and wires the packages together; everything else is theirs.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // trading days end in New York on machines without a zone database

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second Ctrl-C kills.
	context.AfterFunc(ctx, stop)
	cmd := newRoot()
	err := cmd.ExecuteContext(ctx)
	if err != nil && !(errors.Is(err, context.Canceled) && ctx.Err() != nil) {
		fmt.Fprintln(os.Stderr, "quotewire:", err)
		os.Exit(1)
	}
}

// newRoot returns the command with all its subcommands.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "quotewire",
		Short: "Real-time market data: many feeds in, one consolidated stream out",
		Long: `Quotewire takes providers' market data streams, keeps their books, consolidates
them over venues and serves the result to any number of clients.

Start with:  quotewire demo
Then:        quotewire serve --config quotewire.yaml`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	var level, format string
	root.PersistentFlags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	root.PersistentFlags().StringVar(&format, "log-format", "text", "text or json")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		logger, err := newLogger(level, format)
		if err != nil {
			return err
		}
		cmd.SetContext(context.WithValue(cmd.Context(), loggerKey{}, logger))
		return nil
	}
	root.AddCommand(newDemo(), newServe(), newRecord(), newReplay(), newCapture(), newSub(), newSim())
	return root
}

type loggerKey struct{}

// loggerOf returns the logger that the flags asked for.
func loggerOf(cmd *cobra.Command) *slog.Logger {
	if l, ok := cmd.Context().Value(loggerKey{}).(*slog.Logger); ok {
		return l
	}
	return slog.New(slog.DiscardHandler)
}

func newLogger(level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q: want debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, opts)), nil
	}
	return nil, fmt.Errorf("--log-format %q: want text or json", format)
}

// version returns the module's version as the build recorded it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "development"
	}
	return info.Main.Version
}
