package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/quotewire/quotewire/feeds"
	"github.com/quotewire/quotewire/feeds/capture"
	"github.com/quotewire/quotewire/market"
	"github.com/quotewire/quotewire/normalizer"
	"github.com/quotewire/quotewire/orderbook"
)

// newCapture returns the commands for captures.
func newCapture() *cobra.Command {
	cmd := &cobra.Command{Use: "capture", Short: "Import, inspect and verify recordings"}
	cmd.AddCommand(newCaptureImport(), newCaptureInfo(), newCaptureVerify())
	return cmd
}

func newCaptureImport() *cobra.Command {
	var format, provider, feed string
	var skip bool
	cmd := &cobra.Command{
		Use:     "import --format jsonl|ndjson --provider NAME IN OUT",
		Short:   "Make a capture of a recording in another format",
		Example: `  quotewire capture import --format ndjson --provider kraken kraken.ndjson.zst kraken.qwc`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if format != "jsonl" && format != "ndjson" {
				return fmt.Errorf("--format %q: want jsonl or ndjson", format)
			}
			if provider == "" {
				return fmt.Errorf("--provider is missing; decoders exist for %v", normalizer.Providers())
			}
			if feed == "" {
				feed = provider
			}
			in, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("import: %w", err)
			}
			defer func() { _ = in.Close() }()
			info, err := in.Stat()
			if err != nil {
				return fmt.Errorf("import: %w", err)
			}
			w, err := capture.Create(args[1], capture.Header{Meta: map[string]string{"program": "quotewire " + version(), "imported": info.Name()}})
			if err != nil {
				return fmt.Errorf("import: %w", err)
			}
			step, finish := progress("import")
			stats, err := capture.Import(&progressReader{r: in, total: info.Size(), step: step}, format, provider, feed, w, capture.ImportOptions{SkipMalformed: skip, FeedName: joined(provider, feed)})
			finish()
			if err = errors.Join(err, w.Close()); err != nil {
				_ = os.Remove(args[1])
				return fmt.Errorf("import %s: %w", args[0], err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d frames (%d data, %d replies, %d connects) of %d lines, %d skipped\n",
				args[1], stats.Frames, stats.Data, stats.Replies, stats.Ups, stats.Lines, stats.Malformed)
			return err
		},
	}
	cmd.Flags().StringVar(&format, "format", "", "jsonl: records with receive times; ndjson: bare frames")
	cmd.Flags().StringVar(&provider, "provider", "", "whose frames they are")
	cmd.Flags().StringVar(&feed, "feed", "", "name of the feed where the recording has none (default: the provider)")
	cmd.Flags().BoolVar(&skip, "skip-malformed", false, "skip lines that cannot be read instead of ending")
	return cmd
}

// joined returns how the connections of a recording become feeds, nil for each
// its own. Where books start from REST answers, recordings name these apart from
// the stream; what is recorded together is then one feed.
func joined(provider, feed string) func(string) string {
	switch provider {
	case "binance", "binance-usdm", "bitstamp":
		return func(string) string { return feed }
	}
	return nil
}

// progressReader tells how much of a file has been read.
type progressReader struct {
	r           io.Reader
	done, total int64
	step        func(done, total int64)
}

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.done += int64(n)
	p.step(p.done, p.total)
	return n, err
}

func newCaptureInfo() *cobra.Command {
	return &cobra.Command{
		Use:   "info FILE",
		Short: "Tell what a capture holds",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := capture.ReadInfo(args[0])
			if err != nil {
				return fmt.Errorf("info: %w", err)
			}
			return printInfo(cmd.OutOrStdout(), args[0], info)
		},
	}
}

func printInfo(w io.Writer, path string, i *capture.Info) error {
	at := func(ns int64) string {
		if ns == 0 {
			return "–"
		}
		return time.Unix(0, ns).UTC().Format("2006-01-02 15:04:05.000000")
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format, args...) }
	p("file\t%s\n", path)
	p("created\t%s UTC\n", i.Header.Created.UTC().Format("2006-01-02 15:04:05"))
	keys := make([]string, 0, len(i.Header.Meta))
	for k := range i.Header.Meta {
		if k != metaFeeds { // the table below has them
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	for _, k := range keys {
		p("%s\t%s\n", k, i.Header.Meta[k])
	}
	p("from\t%s UTC\n", at(i.First))
	p("to\t%s UTC\n", at(i.Last))
	p("frames\t%d in %d blocks\n", i.Frames, i.Blocks)
	p("payload\t%d bytes, %d on disk\n", i.Payload, i.Size)
	whole := "yes"
	if !i.Complete {
		whole = "no: its writer was stopped in the middle"
	}
	p("complete\t%s\n", whole)
	if i.Lost > 0 {
		p("lost\t%d frames that the disk could not keep up with\n", i.Lost)
	}
	for _, d := range i.Damage {
		p("damage\t%v\n", d)
	}
	p("\nFEED\tPROVIDER\tFRAMES\tBYTES\tUP\tDOWN\tSTALE\n")
	for _, f := range i.Feeds {
		p("%s\t%s\t%d\t%d\t%d\t%d\t%d\n", f.Name, f.Provider, f.Frames, f.Payload, f.Kinds[feeds.Up], f.Kinds[feeds.Down], f.Kinds[feeds.Stale])
	}
	return t.Flush()
}

func newCaptureVerify() *cobra.Command {
	var asJSON, together bool
	cmd := &cobra.Command{
		Use:   "verify FILE...",
		Short: "Replay captures through the books and check them",
		Long: `Verify replays a capture, or several together as one market, through decoders and
books. Every checksum of a venue is compared, every gap, crossed book and refused
frame counted. Of each symbol's consolidated quote it tells how long it was locked
or crossed, how long each venue was at the best price, and how long it was left out
and why. It ends with status 1 if a checksum did not match, a message was lost, or
a book could not be trusted at the end.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := verify(cmd.Context(), loggerOf(cmd), together, args...)
			if err != nil {
				return fmt.Errorf("verify %s: %w", strings.Join(args, " "), err)
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				err = enc.Encode(r)
			} else {
				err = r.print(cmd.OutOrStdout())
			}
			if err != nil {
				return fmt.Errorf("verify: %w", err)
			}
			return r.verdict()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object instead of a table")
	cmd.Flags().BoolVar(&together, "together", false, "let captures that were made one after the other begin at the same time, up to the end of the first")
	return cmd
}

// verification is what capture verify found.
type verification struct {
	Frames  uint64                      `json:"frames"`
	Events  uint64                      `json:"events"`
	Refused map[normalizer.Cause]uint64 `json:"refused"`
	Books   []verifiedBook              `json:"books"`
	Quotes  []verifiedQuote             `json:"quotes"`
}

// verifiedBook is one feed's book of one instrument at one venue.
type verifiedBook struct {
	Connection   string `json:"connection"`
	Venue        string `json:"venue"`
	VenueSymbol  string `json:"venue_symbol"`
	Symbol       string `json:"symbol"`
	BookMessages uint64 `json:"book_messages"`
	Checksums    struct {
		Matched    uint64 `json:"matched"`
		Mismatched uint64 `json:"mismatched"`
	} `json:"checksums"`
	Gaps    uint64      `json:"gaps"`
	Resyncs uint64      `json:"resyncs"`
	Crossed uint64      `json:"crossed"`
	Trusted bool        `json:"trusted"`
	State   string      `json:"state"`
	Levels  [2]int      `json:"levels"` // bids, asks
	Bids    [][2]string `json:"bids"`   // best 5
	Asks    [][2]string `json:"asks"`
	Trades  struct {
		Count  uint64 `json:"count"`
		Volume string `json:"volume"`
		Lost   uint64 `json:"lost"`
	} `json:"trades"`
}

// verifyLevels is how many levels a side are told.
const verifyLevels = 5

func verify(ctx context.Context, logger *slog.Logger, together bool, paths ...string) (*verification, error) {
	dir := market.NewDirectory()
	in := newIngest(dir, logger)
	if err := in.restore(paths); err != nil {
		return nil, err
	}
	shard := orderbook.NewShard(in.books())
	batch := &orderbook.Batch{}
	in.batch = func() *orderbook.Batch { return batch }
	in.take = func(_ context.Context, b *orderbook.Batch) error {
		shard.Apply(b.Events)
		return nil
	}
	step, finish := progress("verify")
	src := &capture.Source{Files: paths, Together: together, OnProgress: step}
	r := &verification{Refused: make(map[normalizer.Cause]uint64), Books: []verifiedBook{}, Quotes: []verifiedQuote{}}
	err := src.Run(ctx, func(f feeds.Frame) error {
		if f.Kind == feeds.Data {
			r.Frames++
		}
		return in.frame(ctx, f)
	})
	finish()
	if err != nil {
		return nil, err
	}
	for _, f := range in.list() {
		r.Events += f.events.Load()
		for c, n := range f.refusals() {
			r.Refused[c] += n
		}
	}
	for _, b := range shard.Report(verifyLevels) {
		if b.Messages == 0 && b.Quotes == 0 && b.Trades == 0 && !b.Levels {
			continue
		}
		r.Books = append(r.Books, verified(in, dir, &b))
	}
	for _, q := range shard.Quotes() {
		r.Quotes = append(r.Quotes, verifiedQuoteOf(dir, &q))
	}
	sort.SliceStable(r.Books, func(i, j int) bool { return r.Books[i].Connection < r.Books[j].Connection })
	return r, nil
}

func verified(in *ingest, dir *market.Directory, b *orderbook.BookReport) verifiedBook {
	v := verifiedBook{
		Connection: dir.FeedName(b.Feed), Venue: dir.VenueName(b.Venue), Symbol: dir.Symbol(b.Instrument),
		BookMessages: b.Messages, Gaps: b.Gaps, Resyncs: b.Resyncs, Crossed: b.Crossed,
		// A venue without levels has no book that could be wrong. One whose
		// snapshot never came has one that cannot be right.
		Trusted: b.State.Live() || b.State == orderbook.StateHalted || !b.Levels,
		State:   b.State.String(), Levels: [2]int{b.Bids, b.Asks},
		Bids: levelTexts(b.TopBids, b.Scale), Asks: levelTexts(b.TopAsks, b.Scale),
	}
	if f := in.feed(v.Connection); f != nil {
		v.VenueSymbol, _ = f.decoder.VenueSymbol(b.Instrument)
	}
	v.Checksums.Matched, v.Checksums.Mismatched = b.Matched, b.Mismatched
	v.Trades.Count, v.Trades.Lost = b.Trades, b.TradesLost
	v.Trades.Volume = market.Format(b.Volume, b.Scale.Size)
	return v
}

func levelTexts(levels []orderbook.Level, scale market.Scale) [][2]string {
	out := make([][2]string, 0, len(levels))
	for _, l := range levels {
		out = append(out, [2]string{market.Format(l.Price, scale.Price), market.Format(l.Size, scale.Size)})
	}
	return out
}

// verdict returns what makes the capture unsound, nil if nothing does.
func (r *verification) verdict() error {
	var errs []error
	for _, b := range r.Books {
		name := b.Connection + " " + b.VenueSymbol
		if b.Checksums.Mismatched > 0 {
			errs = append(errs, fmt.Errorf("%s: %d checksums did not match", name, b.Checksums.Mismatched))
		}
		if b.Gaps > 0 {
			errs = append(errs, fmt.Errorf("%s: %d gaps", name, b.Gaps))
		}
		if !b.Trusted {
			errs = append(errs, fmt.Errorf("%s: not trusted at the end (%s)", name, b.State))
		}
	}
	return errors.Join(errs...)
}

func (r *verification) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format, args...) }
	p("%d frames, %d events\n", r.Frames, r.Events)
	for c, n := range r.Refused {
		p("refused: %d × %s\n", n, c)
	}
	p("\nFEED\tVENUE\tSYMBOL\tMESSAGES\tCHECKSUMS\tGAPS\tRESYNCS\tCROSSED\tSTATE\tLEVELS\tBID\tASK\tTRADES\tVOLUME\n")
	best := func(l [][2]string) string {
		if len(l) == 0 {
			return "–"
		}
		return l[0][0]
	}
	for _, b := range r.Books {
		sums := "–"
		if n := b.Checksums.Matched + b.Checksums.Mismatched; n > 0 {
			sums = fmt.Sprintf("%d of %d", b.Checksums.Matched, n)
		}
		p("%s\t%s\t%s\t%d\t%s\t%d\t%d\t%d\t%s\t%d+%d\t%s\t%s\t%d\t%s\n", b.Connection, b.Venue, b.VenueSymbol, b.BookMessages, sums,
			b.Gaps, b.Resyncs, b.Crossed, b.State, b.Levels[0], b.Levels[1], best(b.Bids), best(b.Asks), b.Trades.Count, b.Trades.Volume)
	}
	printQuotes(t, r.Quotes)
	return t.Flush()
}
