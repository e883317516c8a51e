package feedtest

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// Pipe is a listener in memory: a server that serves it and a transport that
// dials it need no network, so that both can run in a synctest bubble, on a clock
// of the test's own.
type Pipe struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	open  atomic.Int64
}

// pipeEnd is the dialer's end of a connection.
type pipeEnd struct {
	net.Conn
	close func()
}

func (e *pipeEnd) Close() error {
	e.close()
	return e.Conn.Close()
}

// Open is how many connections the dialers have not closed.
func (p *Pipe) Open() int { return int(p.open.Load()) }

// NewPipe returns a Pipe on which nobody has dialed.
func NewPipe() *Pipe { return &Pipe{conns: make(chan net.Conn), done: make(chan struct{})} }

// Dial connects to whoever accepts, whatever the address. It is a NetDial of the
// transports' configs.
func (p *Pipe) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		p.open.Add(1)
		return &pipeEnd{ours, sync.OnceFunc(func() { p.open.Add(-1) })}, nil
	case <-p.done:
		return nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements [net.Listener].
func (p *Pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. Connections that were made stay.
func (p *Pipe) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

// Addr implements [net.Listener].
func (p *Pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
