package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quotewire/quotewire/streamer/auth"
)

// What a config says of access: files beside it, what the environment holds, ends of
// keys and delays.
func TestAccessOfAConfig(t *testing.T) {
	dir := t.TempDir()
	_, one := auth.NewKey()
	_, two := auth.NewKey()
	t.Setenv("QUOTEWIRE_TEST_HASH", one)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("keys.yaml", fmt.Sprintf("keys:\n  - {name: b, hash: %q, plan: late, expires: '2027-01-31T12:00:00Z'}\n", two))
	const text = `auth:
  delay: 20m
  plans:
    late:
      grants: [{symbols: [A], delayed: true}, {symbols: [B], delayed: true, delay: 1m}, {symbols: [C]}]
  keys: [{name: a, hash: '${QUOTEWIRE_TEST_HASH}', plan: late, expires: 2027-01-31}]
  keys_file: keys.yaml
`
	path := filepath.Join(dir, "q.yaml")
	c, err := parseConfig(path, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.Auth.access()
	if err != nil {
		t.Fatal(err)
	}
	var delays []time.Duration
	for _, g := range a.Plans["late"].Grants {
		delays = append(delays, g.Delay)
	}
	if got := fmt.Sprint(delays); got != "[20m0s 1m0s 0s]" {
		t.Errorf("delays %s", got)
	}
	want := []auth.Key{{Name: "a", Hash: one, Plan: "late", Expires: time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)},
		{Name: "b", Hash: two, Plan: "late", Expires: time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)}}
	if fmt.Sprint(a.Keys) != fmt.Sprint(want) {
		t.Errorf("keys %v, want %v", a.Keys, want)
	}
	// The file's faults are told as the file's.
	write("keys.yaml", "keys:\n  - {name: b, hash: secret, plan: late}\n")
	if _, err := parseConfig(path, []byte(text)); err == nil || !strings.Contains(err.Error(), "keys.yaml:2: keys[0].hash: want sha256:") {
		t.Errorf("a key in clear in the file: %v", err)
	}
	if _, err := parseConfig(path, []byte(strings.Replace(text, "keys.yaml", filepath.Join(dir, "keys.yaml"), 1))); err == nil || !strings.Contains(err.Error(), "want sha256:") {
		t.Errorf("by its whole path: %v", err)
	}
}

// A key that verifies tokens may be in a file beside the config.
func TestTokenKeyOfAFile(t *testing.T) {
	dir := t.TempDir()
	text := newTokenKey(t, filepath.Join(dir, "token.pem"))
	c, err := parseConfig(filepath.Join(dir, "q.yaml"), []byte(tokensOfAFile))
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.Auth.access()
	if err != nil {
		t.Fatal(err)
	}
	want := []auth.TokenKey{{ID: "a", Algorithm: "ES256", PEM: text}}
	if got := a.Tokens.Keys; !slices.Equal(got, want) {
		t.Errorf("keys %+v, want %+v", got, want)
	}
}

const tokensOfAFile = `auth:
  plans:
    open: {grants: [{symbols: ['*']}]}
  jwt: {algorithms: [ES256], audience: quotes, plan: open, keys: [{kid: a, algorithm: ES256, pem_file: token.pem}]}
`
