package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/capture"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/orderbook"
	"github.com/quotewire/quotewire/streamer"
	"github.com/quotewire/quotewire/streamer/wire"
)

// newReplay returns the command that runs the service on recorded feeds.
func newReplay() *cobra.Command {
	var speed, listen string
	var subs subscribeFlags
	cmd := &cobra.Command{
		Use:   "replay FILE…",
		Short: "Serve recorded feeds, or write what their subscribers would get",
		Long: `Replay runs captures through the same path as live feeds. With --listen it
serves them at the given speed. At --speed max without --listen it writes the
messages of one client's subscriptions to standard output, one a line, and ends
with the input; time is then the recording's, so that the same files and flags
give the same bytes.`,
		Example: `  quotewire replay day.qwc --speed 10 --listen 127.0.0.1:8080
  quotewire replay day.qwc --speed max --channel quote --symbols 'BTC-*' --interval 250ms`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			x, err := parseSpeed(speed)
			if err != nil {
				return err
			}
			src := &capture.Source{Files: files, Speed: x}
			epoch, err := captureEpoch(files)
			if err != nil {
				return err
			}
			src.OnDamage = func(file string, err error) error {
				loggerOf(cmd).Warn("capture is damaged; going on behind it", "file", file, "err", err)
				return nil
			}
			if listen == "" {
				if x != 0 {
					return fmt.Errorf("--speed %s needs --listen; without it only --speed max makes sense", speed)
				}
				requests, err := subs.requests()
				if err != nil {
					return err
				}
				return replayToLines(cmd.Context(), loggerOf(cmd), src, epoch, requests, cmd.OutOrStdout())
			}
			s := newService(loggerOf(cmd), streamer.Config{})
			s.listen, s.epoch = listen, epoch
			if err := s.ingest.restore(files); err != nil {
				return fmt.Errorf("replay: %w", err)
			}
			s.sources = []source{{"replay", src}}
			return s.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&speed, "speed", "1", "1 as recorded, 10 ten times as fast, max as fast as possible")
	cmd.Flags().StringVar(&listen, "listen", "", "`address` to serve on")
	subs.register(cmd)
	return cmd
}

func parseSpeed(text string) (float64, error) {
	if text == "max" {
		return 0, nil
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(x) || x < 0.001 || x > 1e6 {
		return 0, fmt.Errorf("--speed %q: want a number such as 1 or 10, or max", text)
	}
	return x, nil
}

// captureEpoch returns an epoch that is the same in every replay of the files.
func captureEpoch(files []string) (uint64, error) {
	h := fnv.New64a()
	for _, f := range files {
		r, err := capture.Open(f)
		if err != nil {
			return 0, fmt.Errorf("replay: %w", err)
		}
		_, _ = fmt.Fprintln(h, r.Header().Created.UnixNano())
		if err := r.Close(); err != nil {
			return 0, fmt.Errorf("replay: %w", err)
		}
	}
	return h.Sum64(), nil
}

// replayToLines runs the frames of src through decoders, books and streams in
// this goroutine and writes the messages of one client.
func replayToLines(ctx context.Context, logger *slog.Logger, src *capture.Source, epoch uint64, requests []wire.Request, w io.Writer) error {
	out := bufio.NewWriterSize(w, 1<<16)
	dir := market.NewDirectory()
	direct := streamer.NewDirect(streamer.Config{Directory: dir, Logger: logger, MaxSubscriptions: 1 << 20}, out)
	for _, r := range requests {
		if err := direct.Subscribe(r); err != nil {
			return err
		}
	}
	in := newIngest(dir, logger)
	if err := in.restore(src.Files); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	books := in.books()
	books.Epoch, books.Sinks = epoch, []orderbook.Sink{direct}
	shard := orderbook.NewShard(books)
	batch := &orderbook.Batch{}
	in.batch = func() *orderbook.Batch { return batch }
	in.take = func(_ context.Context, b *orderbook.Batch) error {
		shard.Apply(b.Events)
		return direct.Err()
	}
	step, finish := progress("replay")
	src.OnProgress = step
	err := src.Run(ctx, func(f feeds.Frame) error {
		direct.Advance(f.Received)
		return in.frame(ctx, f)
	})
	finish()
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	direct.Finish()
	if err := direct.Err(); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("replay: write output: %w", err)
	}
	return nil
}

// subscribeFlags are the flags that make a subscription.
type subscribeFlags struct {
	channels, symbols []string
	interval          time.Duration
	depth             int
	venue             string
	venues            bool
	group, bar        string
	cmd               *cobra.Command
}

func (f *subscribeFlags) register(cmd *cobra.Command) {
	f.cmd = cmd
	cmd.Flags().StringSliceVar(&f.channels, "channel", []string{"quote"}, strings.Join(channelNames(), ", "))
	cmd.Flags().StringSliceVar(&f.symbols, "symbols", []string{"*"}, "symbols and patterns, such as AAPL,BTC-*")
	cmd.Flags().Var(&intervalValue{&f.interval}, "interval", "conflation, such as 250ms; 0 is every change (default: the channel's)")
	cmd.Flags().IntVar(&f.depth, "depth", wire.DefaultDepth, "levels a side of a book; 0 is all")
	cmd.Flags().StringVar(&f.venue, "venue", wire.Consolidated, "one venue's own view")
	cmd.Flags().BoolVar(&f.venues, "venues", false, "split levels of the consolidated book by venue")
	cmd.Flags().StringVar(&f.group, "group", "", "price step that a book's levels are summed by, such as 0.5")
	cmd.Flags().StringVar(&f.bar, "bar", wire.DefaultBar, "length of bars: 1s, 1m, 5m, 1h or 1d")
}

// intervalValue reads an interval flag: a duration, where "0" needs no unit.
type intervalValue struct{ d *time.Duration }

func (v *intervalValue) String() string {
	if v.d == nil || *v.d == 0 {
		return ""
	}
	return v.d.String()
}

func (v *intervalValue) Type() string { return "duration" }

func (v *intervalValue) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > wire.MaxInterval {
		return fmt.Errorf("want 0 or a duration up to %s, such as 250ms", wire.MaxInterval)
	}
	*v.d = d
	return nil
}

// requests returns one subscription a channel.
func (f *subscribeFlags) requests() ([]wire.Request, error) {
	var out []wire.Request
	if f.group != "" && !slices.Contains(f.channels, "book") {
		return nil, errors.New("--group: is for --channel book")
	}
	if !slices.Contains([]string{"1s", "1m", "5m", "1h", "1d"}, f.bar) {
		return nil, fmt.Errorf("--bar %q: want 1s, 1m, 5m, 1h or 1d", f.bar)
	}
	for i, name := range f.channels {
		ch, ok := wire.ParseChannel(name)
		if !ok {
			return nil, fmt.Errorf("--channel: no channel %q%s", name, suggest(name, channelNames()))
		}
		r := wire.Request{Op: wire.OpSubscribe, ID: jsonNumber(i + 1), Channel: ch, Symbols: f.symbols,
			Given: wire.FieldChannel | wire.FieldSymbols}
		if ch == wire.ChannelBar {
			r.Bar, r.Given = f.bar, r.Given|wire.FieldBar
		}
		if f.venue != wire.Consolidated {
			r.Venue, r.Given = f.venue, r.Given|wire.FieldVenue
		}
		if ch == wire.ChannelBook {
			r.Depth, r.Given = f.depth, r.Given|wire.FieldDepth
			if f.venues {
				r.Venues, r.Given = true, r.Given|wire.FieldVenues
			}
			if f.group != "" {
				var err error
				if r.Group, r.GroupDecimals, err = wire.ParseGroup(f.group); err != nil {
					return nil, fmt.Errorf("--%w", err)
				}
				r.Given |= wire.FieldGroup
			}
		}
		if f.cmd.Flags().Changed("interval") {
			r.Interval, r.Given = f.interval, r.Given|wire.FieldInterval
		}
		r.Resolve()
		out = append(out, r)
	}
	return out, nil
}
