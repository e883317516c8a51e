package feedtest

import (
	"fmt"
	"strings"

	"github.com/quotewire/quotewire/feeds"
)

// check holds a stream against what every stream keeps to.
func (l *line) check() {
	l.t.Helper()
	up := false
	var received int64
	for i, f := range l.all() {
		where := fmt.Sprintf("frame %d, %s %.60q", i, f.Kind, f.text)
		if f.Feed != "conformance" || f.Provider != l.a.Provider {
			l.t.Errorf("%s: feed %q, provider %q", where, f.Feed, f.Provider)
		}
		switch f.Kind {
		case feeds.Up:
			if up {
				l.t.Errorf("%s: Up twice without Down between", where)
			}
			up, received = true, f.Received
		case feeds.Down:
			up = false
		case feeds.Stale:
			if !up {
				l.t.Errorf("%s: nothing is up", where)
			}
		case feeds.Reply:
			if f.URL == "" {
				l.t.Errorf("%s: a Reply that does not tell what was asked", where)
			}
		}
		if up && f.Received < received {
			l.t.Errorf("%s: received %d ns before the frame before it", where, received-f.Received)
		}
		if up {
			received = f.Received
		}
		l.checkSecrets(where, f.text)
		l.checkSecrets(where, f.URL)
	}
	l.checkSecrets("the log", l.log.String())
	l.checkSecrets("the status", fmt.Sprintf("%+v", l.Status()))
	if l.t.Failed() {
		l.t.Logf("log:\n%s", l.log)
	}
}

func (l *line) checkSecrets(where, text string) {
	l.t.Helper()
	for _, s := range l.a.Secrets {
		if s != "" && strings.Contains(text, s) {
			l.t.Errorf("%s has a credential in it", where)
		}
	}
}
