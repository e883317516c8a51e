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
		l := &logging{level: new(slog.LevelVar), fixedLevel: cmd.Flags().Changed("log-level"), fixedFormat: cmd.Flags().Changed("log-format")}
		if err := l.set(level, format); err != nil {
			return err
		}
		cmd.SetContext(context.WithValue(cmd.Context(), loggerKey{}, l))
		return nil
	}
	root.AddCommand(newDemo(), newServe(), newRecord(), newReplay(), newCapture(), newSub(), newSim(), newKey(), newUsage())
	return root
}

type loggerKey struct{}

// logging is how the log is written: as the flags say, or, where they do not, the
// config.
type logging struct {
	level                   *slog.LevelVar
	logger                  *slog.Logger
	fixedLevel, fixedFormat bool
}

// loggingOf returns the logging that the flags asked for.
func loggingOf(cmd *cobra.Command) *logging {
	if l, ok := cmd.Context().Value(loggerKey{}).(*logging); ok {
		return l
	}
	return &logging{level: new(slog.LevelVar), logger: slog.New(slog.DiscardHandler), fixedLevel: true, fixedFormat: true}
}

// loggerOf returns the logger that the flags asked for.
func loggerOf(cmd *cobra.Command) *slog.Logger { return loggingOf(cmd).logger }

// configure follows a config where no flag was given.
func (l *logging) configure(c logConfig) error {
	if c.Format != "" && !l.fixedFormat {
		if err := l.set(l.level.Level().String(), c.Format); err != nil {
			return err
		}
	}
	if c.Level == "" || l.fixedLevel {
		return nil
	}
	level, err := parseLevel(c.Level)
	if err != nil {
		return err
	}
	l.level.Set(level)
	return nil
}

func parseLevel(text string) (l slog.Level, err error) {
	if err := l.UnmarshalText([]byte(text)); err != nil {
		return l, fmt.Errorf("--log-level %q: want debug, info, warn or error", text)
	}
	return l, nil
}

func (l *logging) set(level, format string) error {
	v, err := parseLevel(level)
	if err != nil {
		return err
	}
	l.level.Set(v)
	opts := &slog.HandlerOptions{Level: l.level}
	switch format {
	case "text":
		l.logger = slog.New(slog.NewTextHandler(os.Stderr, opts))
	case "json":
		l.logger = slog.New(slog.NewJSONHandler(os.Stderr, opts))
	default:
		return fmt.Errorf("--log-format %q: want text or json", format)
	}
	return nil
}

// version returns the module's version as the build recorded it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "development"
	}
	return info.Main.Version
}
