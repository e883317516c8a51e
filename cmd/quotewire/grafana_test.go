package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quotewire/quotewire/feeds/sim"
)

// TestDashboard holds that every metric that the Grafana dashboard names exists.
func TestDashboard(t *testing.T) {
	s := start(t, world(t, sim.MarketConfig{Seed: 1}).feeds(), nil)
	have := make(map[string]bool)
	descs := make(chan *prometheus.Desc, 1<<12)
	s.registry.Describe(descs)
	close(descs)
	name := regexp.MustCompile(`fqName: "([^"]+)"`)
	for d := range descs {
		have[name.FindStringSubmatch(d.String())[1]] = true
	}
	b, err := os.ReadFile("../../docs/grafana/quotewire.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &board); err != nil {
		t.Fatal(err)
	}
	metric := regexp.MustCompile(`\b(?:quotewire|process|go)_[a-z0-9_]+`)
	n := 0
	for _, p := range board.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			for _, m := range metric.FindAllString(target.Expr, -1) {
				n++
				if !have[m] && !have[strings.TrimSuffix(m, "_bucket")] {
					t.Errorf("panel %q: there is no metric %s", p.Title, m)
				}
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d metrics are shown", n)
	}
}
