package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// maxNesting is what the deepest request, one with resume, needs, and one more.
const maxNesting = 4

// field is one member of a JSON object, its value still as written.
type field struct {
	key string
	raw json.RawMessage
}

// objectFields returns the members of a JSON object in their order; what it read
// before a fault too.
func objectFields(b []byte, what string) ([]field, *refusal) {
	if i := invalidUTF8(b); i >= 0 {
		return nil, bad("%s is not UTF-8 at byte %d", what, i)
	}
	if nesting(b) > maxNesting {
		return nil, bad("%s is nested deeper than %d", what, maxNesting)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	t, err := dec.Token()
	if err != nil {
		return nil, bad("%s is not JSON: %s", what, syntax(err))
	}
	if t != json.Delim('{') {
		return nil, bad(`%s: want a JSON object such as {"op":"ping"}, got %s`, what, quoteCut(string(b)))
	}
	var fields []field
	seen := make(map[string]bool)
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return fields, bad("%s is not JSON: %s", what, syntax(err))
		}
		key, ok := t.(string)
		if !ok {
			return fields, bad("%s is not JSON: a key must be a text", what)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return fields, bad("%s is not JSON: %s", what, syntax(err))
		}
		if seen[key] {
			return fields, bad("%s has the field %s twice", what, quoteCut(key))
		}
		seen[key] = true
		fields = append(fields, field{key, raw})
	}
	if _, err := dec.Token(); err != nil {
		return fields, bad("%s is not JSON: %s", what, syntax(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fields, bad("%s goes on after its closing brace; send one request at a time", what)
	}
	return fields, nil
}

func syntax(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "it ends too early"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// maxID bounds what is repeated in a reply.
const maxID = 32

func isNumber(raw []byte) bool {
	return len(raw) > 0 && len(raw) <= maxID && (raw[0] == '-' || raw[0]-'0' <= 9) && json.Valid(raw)
}

// findID looks for the id of a request that is no JSON object as a whole: a
// member "id" of the outermost object with a number that is complete.
func findID(b []byte) json.Number {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			end := skipString(b, i)
			if depth == 1 && string(b[i:min(end, len(b))]) == `"id"` {
				j := skipSpace(b, end)
				if j < len(b) && b[j] == ':' {
					j = skipSpace(b, j+1)
					k := j
					for k < len(b) && strings.IndexByte("+-.0123456789eE", b[k]) >= 0 {
						k++
					}
					if k < len(b) && isNumber(b[j:k]) {
						return json.Number(b[j:k])
					}
				}
			}
			i = end - 1
		}
	}
	return ""
}

// skipString returns the index after the string that opens at i, len(b) if it
// does not end.
func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// nesting returns how deep brackets nest outside strings, before a decoder that
// recurses sees them.
func nesting(b []byte) int {
	depth, most := 0, 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			depth++
			most = max(most, depth)
		case '}', ']':
			depth--
		case '"':
			i = skipString(b, i) - 1
		}
	}
	return most
}

func invalidUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}
