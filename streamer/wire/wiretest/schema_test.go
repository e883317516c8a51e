package wiretest

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestDocument: docs/asyncapi.yaml is an AsyncAPI 3 document by the schema that
// AsyncAPI publishes.
func TestDocument(t *testing.T) {
	doc, err := Document()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(dir, "testdata", "asyncapi", "3.0.0.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	text, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	meta, err := jsonschema.UnmarshalJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	const id = "http://asyncapi.com/definitions/3.0.0/asyncapi.json"
	c := jsonschema.NewCompiler()
	if err := c.AddResource(id, meta); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(doc); err != nil {
		t.Fatal(err)
	}
	doc.(map[string]any)["channels"].(map[string]any)["stream"].(map[string]any)["adress"] = "x"
	if schema.Validate(doc) == nil {
		t.Error("a field that AsyncAPI does not have was taken")
	}
}

// TestEveryMessageHasItsPlace: every message of the components is one of the
// channel's, and sent or received.
func TestEveryMessageHasItsPlace(t *testing.T) {
	doc, err := Document()
	if err != nil {
		t.Fatal(err)
	}
	get := func(v any, path ...string) any {
		for _, p := range path {
			m, ok := v.(map[string]any)
			if !ok {
				t.Fatalf("no %s", strings.Join(path, "."))
			}
			v = m[p]
		}
		return v
	}
	used := make(map[string]int)
	for _, op := range get(doc, "operations").(map[string]any) {
		for _, ref := range get(op, "messages").([]any) {
			path := strings.Split(get(ref, "$ref").(string), "/") // #/channels/NAME/messages/NAME
			name := path[4]
			used[name]++
			if get(doc, "channels", path[2], "messages", name, "$ref") != "#/components/messages/"+name {
				t.Errorf("message %s is not the channel's", name)
			}
		}
	}
	for name := range get(doc, "components", "messages").(map[string]any) {
		if used[name] == 0 {
			t.Errorf("message %s is in no operation", name)
		}
	}
}

func TestCheck(t *testing.T) {
	s, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for text, says := range map[string]string{
		`{"type":"heartbeat","tx":1764000000000000,"lag":0}`:                                       "",
		`{"op":"subscribe","id":2,"channel":"book","symbols":["BTC-USD","ETH-*"],"depth":10}`:      "",
		`{"type":"heartbeat","tx":1764000000000000}`:                                               "lag",
		`{"type":"heartbeat","tx":1764000000000000,"lag":0,"late":true}`:                           "late",
		`{"type":"delta","sid":1,"seq":2,"prev":1,"n":1,"rx":1,"tx":2,"bid":"1.50"}`:               "bid",
		`{"type":"delta","sid":1,"seq":2,"prev":1,"n":1,"rx":1,"tx":2,"bids":[["1","2"]],"crc":1}`: "",
		`{"type":"delta","sid":1,"seq":2,"prev":1,"n":1,"rx":1,"tx":2,"bids":[["1",2]],"crc":1}`:   "bids",
		`{"type":"news"}`: "no message",
		`[`:               "check",
	} {
		err := s.Check([]byte(text))
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
	if n := s.Seen(); n["heartbeat"] != 1 || n["delta"] != 1 || n["trade"] != 0 {
		t.Errorf("seen %v", n)
	}
}
