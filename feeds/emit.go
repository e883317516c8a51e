package feeds

import "time"

// emit hands a frame downstream, and lets the watchdog know that meanwhile we
// do not wait for the provider.
func (r *run) emit(f Frame) error {
	r.s.emitting.Store(true)
	err := r.downstream(f)
	r.s.emitting.Store(false)
	return err
}

func (r *run) emitData(f Frame) error {
	r.s.frames.Add(1)
	r.s.bytes.Add(uint64(len(f.Payload)))
	r.s.lastFrame.Store(f.Received)
	return r.emit(f)
}

func (r *run) emitText(kind FrameKind, text string) error {
	return r.emit(Frame{Kind: kind, Feed: r.s.Feed, Provider: r.s.Provider,
		Received: time.Now().UnixNano(), Payload: []byte(text)})
}

// emitDown tells of the end of a connection, and of a failed attempt if that
// is news.
func (r *run) emitDown(end *DisconnectError) error {
	if end.Cause == r.told || end.Cause == CauseClosed && !r.isUp() {
		return nil
	}
	r.told = end.Cause
	return r.emitText(Down, end.Error())
}

func (r *run) isUp() bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.conn != nil
}

// emitUp hands on Up, then what came while connecting.
func (r *run) emitUp(try *Attempt, conn Connection) error {
	r.told = ""
	f := Frame{Kind: Up, Feed: r.s.Feed, Provider: r.s.Provider, Received: try.firstReceived()}
	if f.Received == 0 {
		f.Received = time.Now().UnixNano()
	}
	if c, ok := conn.(interface{ URL() string }); ok {
		f.URL = c.URL()
	}
	if err := r.emit(f); err != nil {
		return err
	}
	return r.emitKept(try)
}

// emitKept hands on what came while connecting.
func (r *run) emitKept(try *Attempt) error {
	for _, m := range try.takeKept() {
		if err := r.emitData(Frame{Kind: Data, Binary: m.binary, Feed: r.s.Feed, Provider: r.s.Provider,
			Received: m.received, Payload: m.payload}); err != nil {
			return err
		}
	}
	return nil
}
