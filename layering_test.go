package quotewire_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/quotewire/quotewire"

// layers is the import table of docs/architecture.md: which of our packages each
// package may import. Data flows one way; a package that is not here has no
// place yet.
var layers = map[string][]string{
	"market":                 {},
	"market/calendar":        {"market"},
	"feeds":                  {},
	"feeds/alpaca":           {"feeds"},
	"feeds/binance":          {"feeds"},
	"feeds/bitstamp":         {"feeds"},
	"feeds/polygon":          {"feeds"},
	"feeds/coinbase":         {"feeds"},
	"feeds/kraken":           {"feeds"},
	"feeds/coinbaseadvanced": {"feeds"},
	"feeds/okx":              {"feeds"},
	"feeds/bybit":            {"feeds"},
	"feeds/bitfinex":         {"feeds"},
	"feeds/gemini":           {"feeds"},
	"feeds/capture":          {"feeds"},
	"feeds/feedtest":         {"feeds"},
	"feeds/sim":              {},
	"normalizer":             {"feeds", "market"},
	"orderbook/best":         {"market", "orderbook"},
	"orderbook":              {"market", "market/calendar"},
	"bus":                    {"market", "market/calendar", "orderbook", "bus/busv1"},
	"bus/busv1":              {},
	"streamer":               {"market", "orderbook", "streamer/auth", "streamer/wire"},
	"streamer/auth":          {"streamer/wire"},
	"streamer/wire":          {"market", "streamer/wire/wirev1"},
	"streamer/wire/wirev1":   {},
	"streamer/wire/wiretest": {},
	"client":                 {"market", "streamer/wire"},
	"web":                    {},
	"cmd/quotewire":          {"*"},
}

// outside lists the libraries that only certain packages may use.
var outside = map[string][]string{
	"github.com/polygon-io/client-go": {"feeds/polygon"},
	"github.com/nats-io/":             {"bus", "cmd/quotewire"},
	"github.com/golang-jwt/":          {"streamer/auth"},
	"github.com/MicahParks/":          {"streamer/auth"},
	"github.com/spf13/cobra":          {"cmd/quotewire"},
	"github.com/goccy/go-yaml":        {"cmd/quotewire", "streamer/wire/wiretest"},
}

// TestLayering holds the import table against the code.
func TestLayering(t *testing.T) {
	seen := make(map[string]bool)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if d.IsDir() && path != "." {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
				return filepath.SkipDir // a module of its own, which nothing here imports
			}
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		allowed, ok := layers[pkg]
		if !ok {
			t.Errorf("%s: package %q is not in the import table. Decide what it may import, then add it to layers in layering_test.go and to docs/architecture.md.", path, pkg)
			return nil
		}
		seen[pkg] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			for lib, users := range outside {
				if strings.HasPrefix(name, lib) && !slices.Contains(users, pkg) {
					t.Errorf("%s imports %s, which only %s may. Hide it behind a type of that package.", path, name, strings.Join(users, ", "))
				}
			}
			ours, ok := strings.CutPrefix(name, module+"/")
			if !ok || slices.Contains(allowed, "*") || slices.Contains(allowed, ours) {
				continue
			}
			t.Errorf("%s imports %s, which %s may not: data flows feeds, normalizer, orderbook, streamer, and cmd wires. Move the shared word to market, or take what is needed as a parameter.", path, ours, pkg)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range layers {
		if !seen[pkg] {
			t.Errorf("the import table has package %q, which does not exist; remove it", pkg)
		}
	}
}
