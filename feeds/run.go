package feeds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// run is one Supervisor.Run. It belongs to that goroutine.
type run struct {
	s          *Supervisor
	policy     Policy
	retry      *retry
	downstream func(Frame) error
	logger     *slog.Logger
	told       DisconnectCause // of the last Down; empty at first and after Up

	emitMu  sync.Mutex // one frame at a time goes downstream
	failed  error      // of downstream
	cadence cadence    // of the connection
	silent  State      // StateSuspect or StateStale, as told; "" while it speaks

	usual atomic.Int64 // silence of the connection while it is well, ns; 0 unknown
}

var (
	errMute           = errors.New("mute")
	errConnectTimeout = errors.New("connect timeout")
)

// attempt makes one attempt and serves what comes of it to its end. It returns
// why that ended, or an error of downstream.
func (r *run) attempt(parent context.Context) (*DisconnectError, error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	try := &Attempt{logger: r.logger}
	if r.s.Demand != nil {
		try.demand = r.s.Demand.Symbols()
	}
	r.s.transition(func(st *Status) {
		st.State, st.NextRetry = StateConnecting, time.Time{}
		st.Attempts++
		r.s.try = try
	})

	if r.s.Dials != nil {
		if err := r.s.Dials.Wait(ctx); err != nil {
			return r.explain(parent, ctx, err), nil // only with ctx
		}
	}
	timeout := time.AfterFunc(r.policy.ConnectTimeout, func() { cancel(errConnectTimeout) })
	conn, err := r.s.Connector.Connect(ctx, try)
	timeout.Stop()
	if err != nil {
		end := r.explain(parent, ctx, err)
		if err := r.emitKept(try); err != nil {
			return nil, err
		}
		return end, r.emitDown(end)
	}

	began := time.Now()
	end, err := r.serve(parent, ctx, cancel, try, conn)
	r.retry.lived(time.Unix(0, r.s.lastFrame.Load()).Sub(began))
	return end, err
}

// serve tells that conn is up, hands on its messages to its end, tells of that
// and closes it.
func (r *run) serve(parent, ctx context.Context, cancel context.CancelCauseFunc, try *Attempt, conn Connection) (*DisconnectError, error) {
	// In this order at the end: what helps is told to stop, the connection is
	// closed, which frees a helper stuck in a write, and the helpers are
	// waited for.
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer conn.Close()
	defer cancel(nil)

	r.s.transition(func(st *Status) {
		st.State = StateLive
		r.s.ups++
		r.s.conn, r.s.upSince = conn, time.Now()
	})
	r.begin()
	defer r.s.transition(func(*Status) { r.s.conn = nil })
	r.logger.Info("feed is up")
	defer try.end()
	if err := r.emitUp(try, conn, cancel); err != nil {
		return nil, err
	}

	if r.policy.Mute > 0 {
		helpers.Go(func() { r.watch(ctx, func() { cancel(errMute) }) })
	}
	if c, ok := conn.(interface{ Resync(string) error }); ok {
		queue := r.s.resyncs.open()
		defer r.s.resyncs.close()
		helpers.Go(func() { r.s.sendResyncs(ctx, queue, r.policy.ResyncGap, c.Resync, r.logger) })
	}

	if c, ok := conn.(Demander); ok && r.s.Demand != nil {
		helpers.Go(func() { r.follow(ctx, c, try.demand, func() { cancel(errIdle) }) })
	}

	lost, err := r.pump(conn)
	try.end()
	if err == nil {
		err = r.failure() // of an answer, and so of the connection
	}
	if err != nil {
		return nil, err
	}
	end := r.explain(parent, ctx, lost)
	if end.Cause == CauseMute && !r.isStale() {
		// The connection found it by itself.
		r.s.transition(func(st *Status) { st.State, st.Cause = StateStale, end.Error() })
		if err := r.emitText(Stale, end.Error()); err != nil {
			return nil, err
		}
	}
	return end, r.emitDown(end)
}

// begin forgets what was learned of the connection before.
func (r *run) begin() {
	r.emitMu.Lock()
	defer r.emitMu.Unlock()
	r.cadence, r.silent = cadence{}, ""
	r.usual.Store(0)
}

func (r *run) isStale() bool {
	r.emitMu.Lock()
	defer r.emitMu.Unlock()
	return r.silent == StateStale
}

// pump hands on messages until the connection is lost or downstream fails.
// This is the path of every frame: no lock that is ever long held, no
// allocation.
func (r *run) pump(conn Connection) (lost, failed error) {
	f := Frame{Kind: Data, Feed: r.s.Feed, Provider: r.s.Provider}
	for {
		payload, binary, err := conn.Next()
		if err != nil {
			return err, nil
		}
		f.Payload, f.Binary = payload, binary
		if err := r.emit(f); err != nil {
			return nil, err
		}
	}
}

// wait shows why and until when nothing happens, and lets that time pass.
func (r *run) wait(ctx context.Context, end *DisconnectError) error {
	d := r.retry.next(end)
	state := StateDown
	switch end.Cause {
	case CauseRefused:
		state = StateRefused
	case CauseEvicted:
		state = StateEvicted
	}
	r.s.transition(func(st *Status) { st.State, st.Cause, st.NextRetry = state, end.Error(), time.Now().Add(d).UTC() })
	r.logger.Warn("feed is down", "cause", end.Error(), "retry_in", d.Round(time.Millisecond))
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// explain says what the end of a connection means: its context may know better
// than the read that was interrupted.
func (r *run) explain(parent, ctx context.Context, err error) *DisconnectError {
	switch cause := context.Cause(ctx); {
	case parent.Err() != nil:
		return &DisconnectError{Cause: CauseClosed, Err: errors.New("stopped")}
	case cause == errIdle:
		return &DisconnectError{Cause: CauseClosed, Err: errIdle}
	case cause == errMute:
		return &DisconnectError{Cause: CauseMute, Err: fmt.Errorf("no message for %v", r.policy.limits(time.Duration(r.usual.Load())).giveUp.Round(time.Millisecond))}
	case cause == errConnectTimeout:
		return &DisconnectError{Cause: CauseLost, Err: fmt.Errorf("not signed in within %v", r.policy.ConnectTimeout)}
	}
	return asDisconnect(err)
}
