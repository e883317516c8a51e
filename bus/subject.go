package bus

import (
	"fmt"
	"strings"
)

// DefaultPrefix is what all subjects begin with unless configured otherwise.
const DefaultPrefix = "quotewire.v1"

// Subjects makes the subjects of the bus under one prefix. The zero value uses
// [DefaultPrefix].
type Subjects struct {
	Prefix string // one or more tokens, without a trailing "."
}

func (s Subjects) prefix() string {
	if s.Prefix == "" {
		return DefaultPrefix
	}
	return s.Prefix
}

// Validate reports why the prefix cannot begin a subject.
func (s Subjects) Validate() error {
	for token := range strings.SplitSeq(s.prefix(), ".") {
		if token == "" || strings.ContainsAny(token, "*> \t\r\n") || token[0] == '$' || token[0] == '_' {
			return fmt.Errorf("subject prefix %q: want tokens joined by \".\", without space, \"*\" or \">\", "+
				"that do not begin with \"$\" or \"_\"", s.prefix())
		}
	}
	return nil
}

// Update is where the updates of an instrument are published.
func (s Subjects) Update(symbol string) string { return s.prefix() + ".update." + Token(symbol) }

// AllUpdates takes in the updates of all instruments.
func (s Subjects) AllUpdates() string { return s.prefix() + ".update.*" }

// Snapshot is where an instrument's snapshot is asked for.
func (s Subjects) Snapshot(symbol string) string { return s.prefix() + ".snapshot." + Token(symbol) }

// AllSnapshots takes in the requests for any instrument's snapshot.
func (s Subjects) AllSnapshots() string { return s.prefix() + ".snapshot.*" }

// Instruments is where the list of instruments is asked for.
func (s Subjects) Instruments() string { return s.prefix() + ".instruments" }

// Announce is where a feed node announces instruments that are new.
func (s Subjects) Announce(node string) string { return s.prefix() + ".announce." + Token(node) }

// AllAnnounces takes in the announcements of all feed nodes.
func (s Subjects) AllAnnounces() string { return s.prefix() + ".announce.*" }

// Node is where a feed node tells that it is alive.
func (s Subjects) Node(node string) string { return s.prefix() + ".node." + Token(node) }

// AllNodes takes in the signs of life of all feed nodes.
func (s Subjects) AllNodes() string { return s.prefix() + ".node.*" }

// Orders is where a feed node is asked for single orders.
func (s Subjects) Orders(node string) string { return s.prefix() + ".orders." + Token(node) }

// Watermark is where a feed node tells how far its bars are final.
func (s Subjects) Watermark(node string) string { return s.prefix() + ".watermark." + Token(node) }

// AllWatermarks takes in the watermarks of all feed nodes.
func (s Subjects) AllWatermarks() string { return s.prefix() + ".watermark.*" }

const upperHex = "0123456789ABCDEF"

// Token returns text as one token of a subject: the letters and digits of ASCII,
// "-" and "_" as they are, every other byte as "%" and two upper-case hex digits.
// "BTC-USD" stays "BTC-USD", "BRK.A" is "BRK%2EA", "O:AAPL261218C00200000" is
// "O%3AAAPL261218C00200000". No two texts share a token.
func Token(text string) string {
	n := 0
	for i := range len(text) {
		if !plain(text[i]) {
			n++
		}
	}
	if n == 0 {
		return text
	}
	out := make([]byte, 0, len(text)+2*n)
	for i := range len(text) {
		c := text[i]
		if plain(c) {
			out = append(out, c)
		} else {
			out = append(out, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(out)
}

// ParseToken returns the text that [Token] made into token. It refuses anything
// that Token does not produce.
func ParseToken(token string) (string, error) {
	if token == "" {
		return "", fmt.Errorf("subject token is empty")
	}
	if strings.IndexByte(token, '%') < 0 {
		for i := range len(token) {
			if !plain(token[i]) {
				return "", fmt.Errorf("subject token %q: character %q must be escaped", token, token[i])
			}
		}
		return token, nil
	}
	out := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c != '%' {
			if !plain(c) {
				return "", fmt.Errorf("subject token %q: character %q must be escaped", token, c)
			}
			out = append(out, c)
			continue
		}
		if i+2 >= len(token) {
			return "", fmt.Errorf("subject token %q: escape is cut short", token)
		}
		hi, lo := strings.IndexByte(upperHex, token[i+1]), strings.IndexByte(upperHex, token[i+2])
		if hi < 0 || lo < 0 {
			return "", fmt.Errorf("subject token %q: want two upper-case hex digits after \"%%\"", token)
		}
		c = byte(hi<<4 | lo)
		if plain(c) {
			return "", fmt.Errorf("subject token %q: character %q must not be escaped", token, c)
		}
		out = append(out, c)
		i += 2
	}
	return string(out), nil
}

// plain reports whether a byte stands for itself in a token.
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
