package streamer

import (
	"bytes"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
)

// packer compresses what several clients are sent, once. permessage-deflate (RFC
// 7692) without context takeover lets a message be put together from pieces that
// know nothing of each other: runs of a log, compressed once for all who are sent
// the same, and stored blocks for the rest, which is too small to gain from it.
//
// A run is compressed when it is wanted for the second time: what only one client
// is sent is not worth it.
type packer struct {
	mu   sync.Mutex
	runs map[runKey]*packed
	ring [maxPacked]runKey // the order in which they came
	next int
}

// maxPacked is how many runs are remembered. They are wanted within moments of each
// other or not at all.
const maxPacked = 256

// runKey names bytes of a log by where they are. An entry keeps them there.
type runKey struct {
	first *byte
	size  int
}

type packed struct {
	run  []byte
	once sync.Once
	data []byte // ends with an empty stored block; nil if it is no shorter
}

func newPacker() *packer { return &packer{runs: make(map[runKey]*packed)} }

// get returns a run compressed, nil if it is to be sent as it is.
func (k *packer) get(run []byte) []byte {
	key := runKey{&run[0], len(run)}
	k.mu.Lock()
	p := k.runs[key]
	if p == nil {
		delete(k.runs, k.ring[k.next])
		k.runs[key] = &packed{run: run}
		k.ring[k.next] = key
		k.next = (k.next + 1) % maxPacked
		k.mu.Unlock()
		return nil
	}
	k.mu.Unlock()
	p.once.Do(func() {
		var b bytes.Buffer
		b.Grow(len(run) / 2)
		if err := flate.StatelessDeflate(&b, run, false, nil); err == nil && b.Len() < len(run) {
			p.data = bytes.Clone(b.Bytes())
		}
	})
	return p.data
}

// The last bytes of what was flushed, which a message leaves out (RFC 7692, section
// 7.2.1).
const deflateTail = "\x00\x00\xff\xff"

// maxStored is the most that a stored block holds.
const maxStored = 0xffff

// deflate puts a compressed message together; nil if nothing in it can be
// compressed. It takes parts of which some are runs of logs, and the length of the
// separator between messages, which the last part does not end with.
func (k *packer) deflate(parts [][]byte, runs []bool, sep int) (out [][]byte, size int) {
	var done [][]byte // by part
	for i, b := range parts {
		if !runs[i] {
			continue
		}
		if i < len(parts)-1 {
			b = b[:len(b)-sep]
		}
		if data := k.get(b); data != nil {
			if done == nil {
				done = make([][]byte, len(parts))
			}
			done[i] = data
		}
	}
	if done == nil {
		return nil, 0
	}
	store := func(b []byte) {
		for len(b) > 0 {
			n := min(len(b), maxStored)
			out = append(out, []byte{0, byte(n), byte(n >> 8), ^byte(n), ^byte(n >> 8)}, b[:n])
			b = b[n:]
		}
	}
	last := len(parts) - 1
	for i, b := range parts {
		if done[i] == nil {
			store(b)
			continue
		}
		out = append(out, done[i])
		if i < last {
			store(b[len(b)-sep:])
		}
	}
	if done[last] != nil {
		tail := &out[len(out)-1]
		*tail = (*tail)[:len(*tail)-len(deflateTail)]
	} else {
		out = append(out, []byte{0}) // an empty stored block, without its tail
	}
	for _, b := range out {
		size += len(b)
	}
	return out, size
}

// offersDeflate reports whether a client can take compressed messages.
func offersDeflate(h http.Header) bool {
	for _, line := range h.Values("Sec-WebSocket-Extensions") {
		for offer := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(offer, ";")
			if strings.TrimSpace(name) == "permessage-deflate" {
				return true
			}
		}
	}
	return false
}
