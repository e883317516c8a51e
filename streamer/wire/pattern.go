package wire

import (
	"fmt"
	"strings"

	"github.com/quotewire/quotewire/market"
)

// CheckPattern reports why a text can be neither a canonical symbol nor a
// pattern, in which "*" matches any run of characters.
func CheckPattern(s string) error {
	if len(s) > market.MaxSymbol {
		return fmt.Errorf("symbol %s: want at most %d characters, got %d", quoteCut(s), market.MaxSymbol, len(s))
	}
	plain := s
	if IsPattern(s) {
		plain = strings.ReplaceAll(s, "*", "x")
	}
	if market.CheckSymbol(plain) != nil {
		return fmt.Errorf("symbol %s: want 1 to %d printable ASCII characters without spaces, quotes or backslashes", quoteCut(s), market.MaxSymbol)
	}
	return nil
}

// IsPattern reports whether a symbol of a request is a pattern.
func IsPattern(s string) bool { return strings.IndexByte(s, '*') >= 0 }

// Match reports whether the whole symbol matches the pattern, in which "*"
// stands for any run of characters, also none. It allocates nothing and takes at
// most len(pattern) × len(symbol) steps.
func Match(pattern, symbol string) bool {
	p, s := 0, 0
	star, resume := -1, 0 // last star, and where in symbol its run ends so far
	for s < len(symbol) {
		switch {
		// The star first: a symbol cannot contain one, but Match need not know.
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, s
			p++
		case p < len(pattern) && pattern[p] == symbol[s]:
			p++
			s++
		case star >= 0:
			resume++
			p, s = star+1, resume
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
