package streamer

// entry is what a schedule holds.
type entry[T any] interface {
	dueAt() int64  // when it is due
	before(T) bool // whether it comes first: by time, and always the same way
	slotOf() *int  // its place in the schedule, -1 outside
}

// schedule holds what is to be done later, the earliest first: a binary heap whose
// entries know their places.
type schedule[T entry[T]] struct{ heap []T }

func (s *schedule[T]) push(x T) {
	n := len(s.heap)
	*x.slotOf() = n
	s.heap = append(s.heap, x)
	s.up(n)
}

// next returns when the earliest entry is due, false if there is none.
func (s *schedule[T]) next() (int64, bool) {
	if len(s.heap) == 0 {
		return 0, false
	}
	return s.heap[0].dueAt(), true
}

// pop removes and returns the earliest entry if it is due at the time, else the
// zero value.
func (s *schedule[T]) pop(now int64) (x T) {
	if len(s.heap) == 0 || s.heap[0].dueAt() > now {
		return x
	}
	x = s.heap[0]
	s.remove(x)
	return x
}

func (s *schedule[T]) remove(x T) {
	i, last := *x.slotOf(), len(s.heap)-1
	s.swap(i, last)
	var none T
	s.heap[last] = none
	s.heap = s.heap[:last]
	*x.slotOf() = -1
	if i < last {
		s.down(i)
		s.up(i)
	}
}

func (s *schedule[T]) swap(i, j int) {
	s.heap[i], s.heap[j] = s.heap[j], s.heap[i]
	*s.heap[i].slotOf(), *s.heap[j].slotOf() = i, j
}

func (s *schedule[T]) up(i int) {
	for i > 0 && s.heap[i].before(s.heap[(i-1)/2]) {
		s.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (s *schedule[T]) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(s.heap) {
			return
		}
		if c+1 < len(s.heap) && s.heap[c+1].before(s.heap[c]) {
			c++
		}
		if !s.heap[c].before(s.heap[i]) {
			return
		}
		s.swap(i, c)
		i = c
	}
}
