package capture

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"github.com/quotewire/quotewire/feeds"
)

// Info is what a capture holds, found by reading all of it.
type Info struct {
	Header       Header
	Size         int64  // bytes of the file
	Blocks       int    // sound blocks
	Frames       uint64 // sound frames
	First, Last  int64  // earliest and latest receive time, ns since the Unix epoch; 0 without frames
	Payload      int64  // bytes of all payloads
	Uncompressed int64  // bytes of the blocks' content
	Compressed   int64  // the same as stored
	Complete     bool   // the index stands at the end: the capture was closed
	Kinds        map[feeds.FrameKind]uint64
	Feeds        []FeedInfo // sorted by name, then provider
	Lost         uint64     // frames that the recorder lost: the sum of the Lost frames
	Damaged      uint64     // frames known to be missing through damage to the file
	Damage       []error    // what was damaged, [*CorruptError] or [ErrTruncated]; at most 100
}

// FeedInfo is what a capture holds of one feed.
type FeedInfo struct {
	Name, Provider string
	Frames         uint64
	Payload        int64 // bytes
	First, Last    int64 // earliest and latest receive time, ns since the Unix epoch
	Kinds          map[feeds.FrameKind]uint64
}

const maxDamage = 100

// ReadInfo reads the capture at path to its end. Damage is no error: it is in
// the Info. An error is a file that cannot be read or is no capture.
func ReadInfo(path string) (*Info, error) {
	r, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("capture info: %w", err)
	}
	i, err := r.info()
	if err != nil {
		return nil, fmt.Errorf("capture info of %s: %w", path, err)
	}
	i.Size = st.Size()
	return i, nil
}

// info reads what is left of the capture.
func (r *Reader) info() (*Info, error) {
	i := &Info{Header: r.head, Kinds: make(map[feeds.FrameKind]uint64)}
	by := make(map[feedKey]*FeedInfo)
	block := int64(-1)
	for {
		f, err := r.Next()
		if err != nil {
			if done, err := i.fail(r, err); done {
				i.finish(by)
				return i, err
			}
			continue
		}
		if r.start != block {
			block = r.start
			i.Blocks++
			i.Uncompressed += int64(r.cur.raw)
			i.Compressed += int64(r.cur.stored)
		}
		k := feedKey{f.Feed, f.Provider}
		fi := by[k]
		if fi == nil {
			fi = &FeedInfo{Name: k.name, Provider: k.provider, First: f.Received, Last: f.Received, Kinds: make(map[feeds.FrameKind]uint64)}
			by[k] = fi
		}
		i.Frames++
		i.Payload += int64(len(f.Payload))
		i.Kinds[f.Kind]++
		fi.Frames++
		fi.Payload += int64(len(f.Payload))
		fi.First, fi.Last = min(fi.First, f.Received), max(fi.Last, f.Received)
		fi.Kinds[f.Kind]++
		if f.Kind == feeds.Lost {
			n, _ := strconv.ParseUint(string(f.Payload), 10, 64)
			i.Lost += n
		}
	}
}

// fail notes an error of Next; done tells that it was the last.
func (i *Info) fail(r *Reader, err error) (done bool, _ error) {
	var c *CorruptError
	switch {
	case err == io.EOF:
		i.Complete = true
		return true, nil
	case errors.Is(err, ErrTruncated), errors.As(err, &c):
	default:
		return true, err
	}
	if len(i.Damage) < maxDamage {
		i.Damage = append(i.Damage, err)
	}
	lost, err := r.SkipBlock()
	i.Damaged += lost
	if errors.Is(err, ErrTruncated) {
		if c != nil && len(i.Damage) < maxDamage {
			i.Damage = append(i.Damage, err)
		}
		return true, nil
	}
	return err != nil, err
}

func (i *Info) finish(by map[feedKey]*FeedInfo) {
	for _, fi := range by {
		if len(i.Feeds) == 0 {
			i.First, i.Last = fi.First, fi.Last
		}
		i.First, i.Last = min(i.First, fi.First), max(i.Last, fi.Last)
		i.Feeds = append(i.Feeds, *fi)
	}
	slices.SortFunc(i.Feeds, func(a, b FeedInfo) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Provider, b.Provider))
	})
}
