// Package wiretest holds messages of the client protocol against their schemas in
// docs/asyncapi.yaml, for tests that see some.
package wiretest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Schemas are the schemas of the protocol's messages. It may be used by many
// goroutines.
type Schemas struct {
	byName map[string]*jsonschema.Schema // messages by "type", requests by "op"

	mu   sync.Mutex
	seen map[string]int
}

// Load reads docs/asyncapi.yaml of the module that the working directory is in.
func Load() (*Schemas, error) {
	doc, err := Document()
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	const name = "asyncapi.json"
	if err := c.AddResource(name, doc); err != nil {
		return nil, fmt.Errorf("load schemas: %w", err)
	}
	s := &Schemas{byName: make(map[string]*jsonschema.Schema), seen: make(map[string]int)}
	components, _ := doc.(map[string]any)["components"].(map[string]any)
	messages, _ := components["messages"].(map[string]any)
	for message := range messages {
		compiled, err := c.Compile(name + "#/components/messages/" + message + "/payload")
		if err != nil {
			return nil, fmt.Errorf("compile the schema of %s: %w", message, err)
		}
		s.byName[message] = compiled
	}
	return s, nil
}

// Document returns docs/asyncapi.yaml of the module that the working directory is
// in, as JSON values.
func Document() (any, error) {
	root, err := root()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "asyncapi.yaml"))
	if err != nil {
		return nil, fmt.Errorf("load schemas: %w", err)
	}
	text, err = yaml.YAMLToJSON(text)
	if err != nil {
		return nil, fmt.Errorf("load schemas: %w", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("load schemas: %w", err)
	}
	return doc, nil
}

func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("load schemas: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("load schemas: no go.mod above the working directory")
		}
		dir = up
	}
}

// Check holds one message or request against its schema.
func (s *Schemas) Check(text []byte) error {
	var head struct{ Type, Op string }
	if err := json.Unmarshal(text, &head); err != nil {
		return fmt.Errorf("check %s: %w", text, err)
	}
	name := head.Type
	if name == "" {
		name = head.Op
	}
	schema := s.byName[name]
	if schema == nil {
		return fmt.Errorf("docs/asyncapi.yaml has no message %q: %s", name, text)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("check %s: %w", text, err)
	}
	if err := schema.Validate(v); err != nil {
		return fmt.Errorf("%s is not what docs/asyncapi.yaml says: %w", text, err)
	}
	s.mu.Lock()
	s.seen[name]++
	s.mu.Unlock()
	return nil
}

// Seen returns how many messages of each name were right.
func (s *Schemas) Seen() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]int, len(s.byName))
	for name := range s.byName {
		out[name] = s.seen[name]
	}
	return out
}
