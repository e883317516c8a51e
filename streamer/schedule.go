package streamer

// schedule holds the topics that have something to send and may not yet, the
// earliest first: a binary heap that knows each topic's place.
type schedule struct{ heap []*topic }

func (s *schedule) push(t *topic) {
	t.slot = len(s.heap)
	s.heap = append(s.heap, t)
	s.up(t.slot)
}

// next returns when the earliest topic is due, false if none waits.
func (s *schedule) next() (int64, bool) {
	if len(s.heap) == 0 {
		return 0, false
	}
	return s.heap[0].due, true
}

// pop removes and returns the earliest topic if it is due at the time.
func (s *schedule) pop(now int64) *topic {
	if len(s.heap) == 0 || s.heap[0].due > now {
		return nil
	}
	t := s.heap[0]
	s.remove(t)
	return t
}

func (s *schedule) remove(t *topic) {
	i, last := t.slot, len(s.heap)-1
	s.swap(i, last)
	s.heap[last] = nil
	s.heap = s.heap[:last]
	t.slot = -1
	if i < last {
		s.down(i)
		s.up(i)
	}
}

// less orders by time, then by the stream's number: two topics due together go
// in the same order in every replay.
func (s *schedule) less(i, j int) bool {
	a, b := s.heap[i], s.heap[j]
	return a.due < b.due || a.due == b.due && a.sid < b.sid
}

func (s *schedule) swap(i, j int) {
	s.heap[i], s.heap[j] = s.heap[j], s.heap[i]
	s.heap[i].slot, s.heap[j].slot = i, j
}

func (s *schedule) up(i int) {
	for i > 0 && s.less(i, (i-1)/2) {
		s.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (s *schedule) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(s.heap) {
			return
		}
		if c+1 < len(s.heap) && s.less(c+1, c) {
			c++
		}
		if !s.less(c, i) {
			return
		}
		s.swap(i, c)
		i = c
	}
}
