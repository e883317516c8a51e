package coinbaseadvanced

import (
	"bytes"
	"encoding/json"
	"strings"
)

// maxRefusal is more than an error message ever has. Longer messages are data.
const maxRefusal = 4 << 10

// readRefusal returns what an error message says, false for data. For data it
// costs a look at the first bytes.
func readRefusal(payload []byte) (string, bool) {
	if len(payload) > maxRefusal || !bytes.Contains(payload[:min(len(payload), 256)], []byte(`"error"`)) {
		return "", false
	}
	var m struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}
	if json.Unmarshal(payload, &m) != nil || m.Type != "error" {
		return "", false
	}
	return m.Message, true
}

// isAuth reports whether a refusal is about credentials, which Coinbase tells in
// words alone ("authentication failure").
func isAuth(text string) bool { return strings.Contains(strings.ToLower(text), "authenticat") }

// named returns which of our products a refusal names, "" for none.
func named(text string, products []string) string {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool {
		return !(r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z')
	}) {
		for _, p := range products {
			if strings.EqualFold(word, p) {
				return p
			}
		}
	}
	return ""
}
