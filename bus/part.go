package bus

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// PartHeader is the NATS header of a message that is only a part of one that
// exceeds the server's limit. Its value is "ID N/OF": parts 1 to OF with the same
// ID, joined in order, are the whole message. A publisher sends the parts of one
// message one after the other on one subject.
const PartHeader = "Quotewire-Part"

// Bounds of what is put together from parts.
const (
	maxParts    = 1 << 10
	maxWhole    = 64 << 20
	maxPartials = 256
)

// partSlack is what is kept free in a message for its header.
const partSlack = 1 << 10

func partValue(id uint64, n, of int) string {
	return strconv.FormatUint(id, 16) + " " + strconv.Itoa(n) + "/" + strconv.Itoa(of)
}

func parsePart(s string) (id string, n, of int, err error) {
	id, rest, ok1 := strings.Cut(s, " ")
	a, b, ok2 := strings.Cut(rest, "/")
	n, err1 := strconv.Atoi(a)
	of, err2 := strconv.Atoi(b)
	if !ok1 || !ok2 || err1 != nil || err2 != nil || n < 1 || of < n || of > maxParts {
		return "", 0, 0, fmt.Errorf("%w: header %s %q", errMalformed, PartHeader, s[:min(len(s), 64)])
	}
	return id, n, of, nil
}

// publishParts publishes data on subject, in parts if it is longer than limit.
func publishParts(nc *nats.Conn, subject string, data []byte, limit int, id uint64) error {
	if len(data) <= limit {
		return nc.Publish(subject, data)
	}
	of := (len(data) + limit - 1) / limit
	for n := range of {
		m := nats.NewMsg(subject)
		m.Header.Set(PartHeader, partValue(id, n+1, of))
		m.Data = data[n*limit : min((n+1)*limit, len(data))]
		if err := nc.PublishMsg(m); err != nil {
			return err
		}
	}
	return nil
}

// assembler puts messages together from their parts, one at a time per subject.
// Its memory is bounded. It belongs to one goroutine.
type assembler struct {
	partials map[string]*partial
	lost     uint64 // parts thrown away because others are missing
}

type partial struct {
	id   string
	next int
	of   int
	data []byte
}

// add takes a message and returns its whole payload once it is complete.
func (a *assembler) add(m *nats.Msg) (data []byte, complete bool, err error) {
	var value string
	if m.Header != nil {
		value = m.Header.Get(PartHeader)
	}
	if value == "" {
		if len(a.partials) > 0 {
			a.drop(m.Subject)
		}
		return m.Data, true, nil
	}
	id, n, of, err := parsePart(value)
	if err != nil {
		a.drop(m.Subject)
		return nil, false, err
	}
	p := a.partials[m.Subject]
	if n == 1 {
		a.drop(m.Subject)
		if len(a.partials) >= maxPartials || len(m.Data)*of > maxWhole {
			a.lost++
			return nil, false, fmt.Errorf("%w: %d parts of %d bytes are too large", errMalformed, of, len(m.Data))
		}
		if a.partials == nil {
			a.partials = make(map[string]*partial)
		}
		p = &partial{id: id, next: 1, of: of}
		a.partials[m.Subject] = p
	}
	if p == nil || p.id != id || p.next != n || p.of != of || len(p.data)+len(m.Data) > maxWhole {
		a.drop(m.Subject)
		a.lost++
		return nil, false, nil
	}
	p.data = append(p.data, m.Data...)
	p.next++
	if n < of {
		return nil, false, nil
	}
	delete(a.partials, m.Subject)
	return p.data, true, nil
}

// drop forgets what was collected on a subject.
func (a *assembler) drop(subject string) {
	if p := a.partials[subject]; p != nil {
		a.lost += uint64(p.next - 1)
		delete(a.partials, subject)
	}
}
