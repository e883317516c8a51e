package wire

import (
	"encoding/json"
	"net/url"
	"sort"
	"strings"
	"unicode/utf8"
)

// ParseQuery reads a subscription from a query string, such as
// channel=quote&symbols=AAPL,MSFT&interval=250ms. It takes the fields of a
// subscribe except resume, and token; symbols are separated by commas.
func ParseQuery(q url.Values) (Request, *Error) {
	fields := []field{{"op", json.RawMessage(`"subscribe"`)}}
	keys := make([]string, 0, len(q))
	for k := range q {
		keys = append(keys, k)
	}
	sort.Strings(keys) // the same query gives the same error
	token := ""
	for _, k := range keys {
		f, ok := fieldByName(k)
		if !ok || (subscribeFields|FieldToken)&^FieldResume&f == 0 {
			return Request{}, bad("unknown query parameter %s; known are %s", quoteCut(k),
				names((subscribeFields|FieldToken)&^FieldResume)).error("")
		}
		if len(q[k]) != 1 {
			return Request{}, bad("query parameter %q is given %d times, want once; symbols are separated by commas",
				k, len(q[k])).error("")
		}
		v := q[k][0]
		if len(v) > MaxRequestBytes || !utf8.ValidString(v) {
			return Request{}, bad("query parameter %q is too long or not UTF-8", k).error("")
		}
		raw := json.RawMessage(v)
		switch f {
		case FieldToken:
			token = v
			continue
		case FieldSymbols:
			raw, _ = json.Marshal(strings.Split(v, ","))
		case FieldDepth, FieldWeight, FieldFrom, FieldUntil, FieldVenues, FieldChecksum:
			// Numbers and booleans are written the same in both forms.
		case FieldSpeed:
			if v == "max" {
				raw = json.RawMessage(`"max"`)
			}
		default:
			raw, _ = json.Marshal(v)
		}
		fields = append(fields, field{k, raw})
	}
	r, ref := fromFields(fields)
	if ref != nil {
		return r, ref.error("")
	}
	if token != "" {
		if len(token) > MaxToken {
			return r, bad("a token is at most %d bytes", MaxToken).error("")
		}
		r.Token, r.Given = token, r.Given|FieldToken
	}
	return r, nil
}
