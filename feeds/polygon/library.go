package polygon

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	polygonws "github.com/polygon-io/client-go/websocket"
)

// lifeline hears the library's log, which is the only place where it tells
// that its reader or writer ended. It holds the goroutine that says so until
// the library can no longer reconnect; see the package documentation.
//
// The library logs from these goroutines and calls Debugf in a deferred
// function before the goroutine ends, so holding the call holds the goroutine.
type lifeline struct {
	logger *slog.Logger
	redact *strings.Replacer // takes the key out of texts

	readerOnce, writerOnce, closingOnce sync.Once

	reader  chan struct{} // closed when the reader has ended
	writer  chan struct{} // closed when the writer has ended
	closing chan struct{} // closed just before Close is called
	gone    chan struct{} // closed when Close has returned or cannot be called

	mu    sync.Mutex
	cause error // why the reader or writer ended, once Close knows
}

func newLifeline(logger *slog.Logger, key string) *lifeline {
	return &lifeline{
		logger:  logger,
		redact:  strings.NewReplacer(key, "***"),
		reader:  make(chan struct{}),
		writer:  make(chan struct{}),
		closing: make(chan struct{}),
		gone:    make(chan struct{}),
	}
}

// The library's words. A change of them is found by TestKillDoesNotReconnect.
const (
	readerEnded  = "read thread closed"
	writerEnded  = "write thread closed"
	threadsEnded = "r/w threads closed: %v"
)

const (
	// lockWait is how long the writer is held so that Close, just started in
	// another goroutine, has the client's lock before the library's reconnect.
	lockWait = 20 * time.Millisecond
	// causeWait is how long it is held so that the reader's reason, which is
	// the better one, is noted before its own.
	causeWait = 5 * time.Millisecond
)

// Debugf implements polygonws.Logger.
func (l *lifeline) Debugf(template string, args ...any) {
	l.log(template, args)
	switch template {
	case readerEnded:
		// Held until the writer ends, which only Close brings about as long
		// as the reader has not reported its end: so Close has the lock.
		l.readerOnce.Do(func() { close(l.reader) })
		select {
		case <-l.writer:
		case <-l.gone:
		}
	case writerEnded:
		l.writerOnce.Do(func() { close(l.writer) })
		select {
		case <-l.reader:
			time.Sleep(causeWait)
		default:
			// Either Close ended the writer, or a write failed; then the
			// library reconnects as soon as this returns.
			select {
			case <-l.closing:
				time.Sleep(lockWait)
			case <-l.gone:
			}
		}
	}
}

// Infof implements polygonws.Logger.
func (l *lifeline) Infof(template string, args ...any) { l.log(template, args) }

// Errorf implements polygonws.Logger.
func (l *lifeline) Errorf(template string, args ...any) {
	l.log(template, args)
	if template != threadsEnded || len(args) != 1 {
		return
	}
	if err, ok := args[0].(error); ok {
		l.mu.Lock()
		l.cause = err
		l.mu.Unlock()
	}
}

// log keeps what the library says for those who debug it. Nothing of it is
// news: failures are told by the supervisor.
func (l *lifeline) log(template string, args []any) {
	l.logger.Debug("polygon library", "says", l.text(fmt.Sprintf(template, args...)))
}

// text returns s without the key.
func (l *lifeline) text(s string) string { return l.redact.Replace(s) }

// why returns why the connection ended.
func (l *lifeline) why() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause == nil {
		return errors.New("closed by the provider")
	}
	if errors.Is(l.cause, websocket.ErrReadLimit) {
		return l.cause
	}
	return errors.New(l.text(l.cause.Error()))
}

// end closes the client, once, and drains it meanwhile. It returns without
// waiting; gone tells when all is over.
func (l *lifeline) end(client *polygonws.Client) {
	l.closingOnce.Do(func() {
		close(l.closing)
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			client.Close()
		}()
		go func() {
			defer close(l.gone)
			output := client.Output()
			for {
				select {
				case <-returned:
					return
				case <-client.Error():
				case _, ok := <-output:
					if !ok {
						output = nil
					}
				}
			}
		}()
	})
}
