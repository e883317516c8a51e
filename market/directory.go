package market

import (
	"fmt"
	"strings"
	"sync"
)

// InstrumentID is an instrument's number in this process, from 1. Numbers are
// given out by a [Directory] and mean nothing elsewhere; between processes an
// instrument is its symbol.
type InstrumentID uint32

// VenueID is a venue's number in this process, from 1. 0 is the consolidated
// view.
type VenueID uint16

// FeedID is a feed connection's number in this process, from 1. A lower number
// takes precedence where two feeds carry the same venue.
type FeedID uint16

// Consolidated is the venue of the view over all venues; its name is "*".
const Consolidated VenueID = 0

// Class is an instrument's asset class.
type Class uint8

// The asset classes.
const (
	ClassUnknown Class = iota
	ClassStock
	ClassOption
	ClassForex
	ClassCrypto
	ClassIndex
	ClassFuture
)

var classNames = [...]string{"unknown", "stock", "option", "forex", "crypto", "index", "future"}

// String returns the class's lower-case name.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}

// Instrument is what is traded, whatever the venue calls it.
type Instrument struct {
	ID     InstrumentID
	Symbol string // canonical: "AAPL", "BTC-USD", "O:AAPL261218C00200000"
	Class  Class
}

// MaxSymbol is the longest canonical symbol in bytes.
const MaxSymbol = 64

// Directory gives instruments, venues and feeds their numbers. It is safe for
// concurrent use: it is shared by all decoders, but asked only when a name is
// seen for the first time, never per event.
type Directory struct {
	mu          sync.RWMutex
	instruments []Instrument
	bySymbol    map[string]InstrumentID
	venues      names
	feeds       names
}

type names struct {
	list []string
	ids  map[string]int
}

func (n *names) id(name string, limit int) (int, error) {
	if id, ok := n.ids[name]; ok {
		return id, nil
	}
	if len(n.list) >= limit {
		return 0, fmt.Errorf("register %q: more than %d names", name, limit)
	}
	if n.ids == nil {
		n.ids = make(map[string]int)
	}
	name = strings.Clone(name)
	n.list = append(n.list, name)
	n.ids[name] = len(n.list)
	return len(n.list), nil
}

// NewDirectory returns an empty directory.
func NewDirectory() *Directory {
	return &Directory{bySymbol: make(map[string]InstrumentID)}
}

// Instrument returns the number of the instrument with the canonical symbol,
// giving it one if it is new. It fails on an empty, overlong or unprintable
// symbol. A class that is known replaces one that was not.
func (d *Directory) Instrument(symbol string, class Class) (InstrumentID, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id, ok := d.bySymbol[symbol]; ok {
		if in := &d.instruments[id-1]; in.Class == ClassUnknown {
			in.Class = class
		}
		return id, nil
	}
	if err := CheckSymbol(symbol); err != nil {
		return 0, err
	}
	symbol = strings.Clone(symbol)
	id := InstrumentID(len(d.instruments) + 1)
	d.instruments = append(d.instruments, Instrument{ID: id, Symbol: symbol, Class: class})
	d.bySymbol[symbol] = id
	return id, nil
}

// CheckSymbol reports why a text cannot be a canonical symbol: 1 to MaxSymbol
// printable ASCII characters without space, quote, backslash or "*".
func CheckSymbol(symbol string) error {
	if symbol == "" || len(symbol) > MaxSymbol {
		return fmt.Errorf("symbol %q: want 1 to %d characters", symbol[:min(len(symbol), MaxSymbol)], MaxSymbol)
	}
	for i := range len(symbol) {
		if c := symbol[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '*' {
			return fmt.Errorf("symbol %q: character %q is not allowed", symbol, c)
		}
	}
	return nil
}

// Lookup returns the number of a known instrument.
func (d *Directory) Lookup(symbol string) (InstrumentID, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	id, ok := d.bySymbol[symbol]
	return id, ok
}

// InstrumentByID returns a known instrument; the zero Instrument for a number
// that was never given out.
func (d *Directory) InstrumentByID(id InstrumentID) Instrument {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if id == 0 || int(id) > len(d.instruments) {
		return Instrument{}
	}
	return d.instruments[id-1]
}

// Symbol returns an instrument's canonical symbol, "" for an unknown number.
func (d *Directory) Symbol(id InstrumentID) string { return d.InstrumentByID(id).Symbol }

// Instruments returns all instruments, in the order of their numbers, from the
// one after the given number on: Instruments(0) is all of them.
func (d *Directory) Instruments(after InstrumentID) []Instrument {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if int(after) >= len(d.instruments) {
		return nil
	}
	return append([]Instrument(nil), d.instruments[after:]...)
}

// Venue returns a venue's number by its name (an ISO 10383 MIC, or a lower-case
// name where there is none), giving it one if it is new.
func (d *Directory) Venue(name string) (VenueID, error) {
	if name == "*" {
		return Consolidated, nil
	}
	if err := CheckSymbol(name); err != nil {
		return 0, fmt.Errorf("venue: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	id, err := d.venues.id(name, 1<<16-1)
	return VenueID(id), err
}

// LookupVenue returns the number of a known venue; "*" is [Consolidated].
func (d *Directory) LookupVenue(name string) (VenueID, bool) {
	if name == "*" {
		return Consolidated, true
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	id, ok := d.venues.ids[name]
	return VenueID(id), ok
}

// VenueName returns a venue's name; "*" for [Consolidated], "" if unknown.
func (d *Directory) VenueName(id VenueID) string {
	if id == Consolidated {
		return "*"
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if int(id) > len(d.venues.list) {
		return ""
	}
	return d.venues.list[id-1]
}

// Feed returns the number of a feed connection by its name, giving it one if it
// is new.
func (d *Directory) Feed(name string) (FeedID, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, err := d.feeds.id(name, 1<<16-1)
	return FeedID(id), err
}

// FeedName returns a feed connection's name, "" if unknown.
func (d *Directory) FeedName(id FeedID) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if id == 0 || int(id) > len(d.feeds.list) {
		return ""
	}
	return d.feeds.list[id-1]
}
