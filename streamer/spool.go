package streamer

import "sync"

// spool has frames that the kernel holds and sends to any number of sockets: they take
// references to its pages, where a write copies the same bytes for each client. It
// pays where much of a stream waits for many, and what they do not read yet is held
// but once.
//
// A frame is handed to the kernel when it is wanted for the second time: what only one
// client is sent is not worth it.
type spool struct {
	mu     sync.Mutex
	frames map[spoolKey]*spooled
	ring   [maxSpooled]spoolKey // the order in which they came
	next   int
}

const (
	// maxSpooled is how many frames are remembered, of at most batchSize each. They are
	// wanted within moments of each other or not at all.
	maxSpooled = 64
	// spoolSize is from what size on it is less work for the kernel to refer to pages
	// than to copy.
	spoolSize = 16 << 10
	// spoolRuns is of how many runs of logs a frame may be.
	spoolRuns = 4
)

// spoolKey names a frame by where in logs it comes from. What remembers it keeps that
// there.
type spoolKey [spoolRuns]runKey

// spooled is a frame that was wanted.
type spooled struct {
	file  *memFile // nil the first time, and where the kernel does not take it
	users int      // who send it; under spool.mu, like all here
	gone  bool     // forgotten
	keeps [spoolRuns][]byte
}

// hold returns the kernel's copy of a frame of the parts, to be released; nil if it is
// to be written. The frame is made of nothing but the sources, whose memory never
// changes.
func (s *spool) hold(parts, sources [][]byte, size int) *spooled {
	if size < spoolSize || size > batchSize+maxHeader || len(sources) == 0 || len(sources) > spoolRuns {
		return nil
	}
	var key spoolKey
	for i, b := range sources {
		key[i] = runKey{&b[0], len(b)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.frames[key]
	if f == nil {
		s.forget()
		f = &spooled{}
		copy(f.keeps[:], sources)
		if s.frames == nil {
			s.frames = make(map[spoolKey]*spooled)
		}
		s.frames[key], s.ring[s.next] = f, key
		s.next = (s.next + 1) % maxSpooled
		return nil
	}
	if f.file == nil {
		if f.file = newMemFile(parts); f.file == nil {
			return nil
		}
	}
	f.users++
	return f
}

// forget makes room for one more.
func (s *spool) forget() {
	f := s.frames[s.ring[s.next]]
	if f == nil {
		return
	}
	delete(s.frames, s.ring[s.next])
	s.ring[s.next] = spoolKey{}
	if f.gone = true; f.users == 0 {
		f.file.close()
	}
}

// release is called by who held a frame, once it is sent. Sockets that have not sent
// it all keep its pages.
func (s *spool) release(f *spooled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.users--; f.users == 0 && f.gone {
		f.file.close()
	}
}

// close forgets all. Nobody may hold any.
func (s *spool) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range maxSpooled {
		s.forget()
		s.next = (s.next + 1) % maxSpooled
	}
}
