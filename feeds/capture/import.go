package capture

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/quotewire/quotewire/feeds"
)

// The formats of recordings that [Import] reads.
const (
	// JSONL has one record a line, {"t":"header|connect|send|recv|http|note",
	// "conn":…,"ts":…,"data":…}: what was seen, on which connection, when.
	JSONL = "jsonl"
	// NDJSON has the bare text of one frame a line, without receive times.
	NDJSON = "ndjson"
)

// maxLine bounds a line: a payload of MaxPayload, escaped.
const maxLine = 2 * MaxPayload

// ImportOptions are what [Import] need not be told.
type ImportOptions struct {
	// SkipMalformed skips malformed lines, counted; by default the first ends
	// the import.
	SkipMalformed bool
	// FeedName, if set, turns the name of a connection in a JSONL recording
	// into the feed's. It joins the REST answers to the stream that they belong to,
	// where the recording names them apart. Several connections may be one feed:
	// it is up from the first on, and down when any of them connects anew.
	FeedName func(conn string) string
}

// ImportStats counts what an import found and wrote.
type ImportStats struct {
	Lines     uint64 // read, malformed and blank ones included
	Blank     uint64
	Malformed uint64 // skipped, with ImportOptions.SkipMalformed
	Headers   uint64 // not written
	Sends     uint64 // what was sent to the provider; not written
	Notes     uint64 // not written
	Joined    uint64 // connects of one more connection to a feed that is up; not written

	Frames  uint64 // written: the sum of those below
	Data    uint64
	Replies uint64
	Ups     uint64 // for connects, and before the first data of a feed without one
	Downs   uint64 // before a connect of a feed that was up
	Untimed uint64 // frames without a time of their own, which took a neighbour's

	First, Last int64 // earliest and latest receive time, ns since the Unix epoch
}

// LineError says which line of a recording could not be imported.
type LineError struct {
	Line   uint64 // from 1
	Reason string
}

// Error returns the line's number and what was wrong.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Import reads a recording from r, plain or compressed with zstd, in the given
// format, and writes its frames to w, which it neither flushes nor closes. All
// frames get the given provider.
//
// In a [JSONL] recording a feed is named as its connection, or feed where the
// record names none. "connect" becomes an Up frame with the address as URL,
// "recv" a Data frame, "http" a Reply frame with its URL; what was sent, notes
// and headers are counted only. Receive times are taken to the nanosecond from
// the digits of "ts".
//
// In an [NDJSON] recording every line is a Data frame of feed, after one Up.
//
// Where there is no receive time, the time that the venue put into the message
// stands for it: kraken "timestamp" or "time_in"; coinbase "time"; binance "E";
// bitstamp "microtimestamp" or "timestamp"; else the first of "time", "timestamp", "t", "ts" and "E", wherever in the message, that
// holds an RFC 3339 time or a Unix time of the years 2000 to 2099. Such times
// never go back: a message with an earlier one gets the time before it. A message
// without one gets the time of the frame before, or of the first that has any;
// if none has, 0.
//
// No Down is written at the end: a recording that ends says nothing of its
// connection.
//
// A malformed line is a [*LineError]. What was imported before it is in w.
func Import(r io.Reader, format, provider, feed string, w *Writer, opts ImportOptions) (ImportStats, error) {
	m := &importer{w: w, provider: provider, feed: feed, opts: opts, names: timeNames(provider), up: make(map[string]bool), open: make(map[string]bool)}
	err := m.run(r, format)
	if err != nil {
		err = fmt.Errorf("import: %w", err)
	}
	return m.stats, err
}

type importer struct {
	w              *Writer
	provider, feed string
	opts           ImportOptions
	names          []string
	stats          ImportStats
	up             map[string]bool // by feed
	open           map[string]bool // by connection of a JSONL recording

	// last is the time of the latest frame; until one is known, frames wait.
	last    int64
	timed   bool
	waiting []feeds.Frame
	bytes   int // of their payloads
}

func (m *importer) run(r io.Reader, format string) error {
	var line func([]byte) error
	switch format {
	case JSONL:
		line = m.jsonl
	case NDJSON:
		line = m.ndjson
	default:
		return fmt.Errorf("unknown format %q, known are %q and %q", format, JSONL, NDJSON)
	}
	in, done, err := unpacked(r)
	if err != nil {
		return err
	}
	defer done()
	var buf []byte
	for {
		var long bool
		buf, long, err = readLine(in, buf[:0])
		if err != nil && err != io.EOF {
			return fmt.Errorf("line %d: %w", m.stats.Lines+1, err)
		}
		if end := err == io.EOF; end && len(buf) == 0 {
			return m.release()
		}
		m.stats.Lines++
		b := bytes.TrimSuffix(bytes.TrimSuffix(buf, []byte("\n")), []byte("\r"))
		switch {
		case long:
			err = m.malformed("longer than %d bytes", maxLine)
		case len(bytes.TrimSpace(b)) == 0:
			m.stats.Blank++
			err = nil
		default:
			err = line(b)
		}
		var bad *LineError
		if errors.As(err, &bad) && m.opts.SkipMalformed {
			m.stats.Malformed++
		} else if bad != nil {
			return errors.Join(err, m.release())
		} else if err != nil {
			return err
		}
	}
}

// unpacked returns r's text, whether it is compressed or not.
func unpacked(r io.Reader) (in *bufio.Reader, done func(), err error) {
	in = bufio.NewReaderSize(r, 256<<10)
	b, err := in.Peek(4)
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	switch {
	case bytes.Equal(b, magicBytes):
		return nil, nil, errors.New("the input is a capture already")
	case bytes.Equal(b, []byte{0x28, 0xB5, 0x2F, 0xFD}):
		dec, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return nil, nil, err
		}
		return bufio.NewReaderSize(dec, 256<<10), dec.Close, nil
	}
	return in, func() {}, nil
}

// readLine appends a line, with its end, to buf. Of a line beyond the bound it
// keeps only the beginning and tells so.
func readLine(in *bufio.Reader, buf []byte) (_ []byte, long bool, err error) {
	for {
		b, err := in.ReadSlice('\n')
		if len(buf)+len(b) > maxLine {
			long = true
		} else {
			buf = append(buf, b...)
		}
		if err != bufio.ErrBufferFull {
			return buf, long, err
		}
	}
}

func (m *importer) malformed(format string, args ...any) error {
	return &LineError{Line: m.stats.Lines, Reason: fmt.Sprintf(format, args...)}
}

// connected writes the Up of a feed that has none yet.
func (m *importer) connected(feed string, received int64, timed bool) error {
	if m.up[feed] {
		return nil
	}
	m.up[feed] = true
	return m.write(feeds.Frame{Kind: feeds.Up, Feed: feed, Received: received}, timed)
}

// write writes f or, while no time is known, keeps it. Without a time of its
// own (timed is false) it gets the latest.
func (m *importer) write(f feeds.Frame, timed bool) error {
	f.Provider = m.provider
	if !fits(f) {
		return m.malformed("%v", ErrTooLarge)
	}
	if timed {
		m.last = f.Received
		if !m.timed {
			m.timed = true
			if err := m.release(); err != nil {
				return err
			}
		}
	} else {
		m.stats.Untimed++
		f.Received = m.last
		if !m.timed {
			if m.bytes += len(f.Payload) + frameCost; m.bytes <= MaxPayload {
				f.Payload = bytes.Clone(f.Payload)
				m.waiting = append(m.waiting, f)
				return nil
			}
			// Enough: they get no time.
			m.timed = true
			if err := m.release(); err != nil {
				return err
			}
		}
	}
	return m.put(f)
}

// release writes what waited for a time.
func (m *importer) release() error {
	for _, f := range m.waiting {
		f.Received = m.last
		if err := m.put(f); err != nil {
			return err
		}
	}
	m.waiting = nil
	return nil
}

func (m *importer) put(f feeds.Frame) error {
	if err := m.w.Write(f); err != nil {
		return err
	}
	s := &m.stats
	if s.Frames == 0 {
		s.First, s.Last = f.Received, f.Received
	}
	s.Frames++
	s.First, s.Last = min(s.First, f.Received), max(s.Last, f.Received)
	switch f.Kind {
	case feeds.Up:
		s.Ups++
	case feeds.Down:
		s.Downs++
	case feeds.Reply:
		s.Replies++
	default:
		s.Data++
	}
	return nil
}
