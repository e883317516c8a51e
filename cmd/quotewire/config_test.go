package main

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestConfigErrors holds that every mistake is told with file, line and what
// would be right.
func TestConfigErrors(t *testing.T) {
	t.Setenv("QUOTEWIRE_TEST_EMPTY", "")
	for _, tt := range []struct{ name, yaml, want string }{
		{"unknown key", "listen: :8080\nfeeds:\n  - provider: kraken\n    symbolz: [BTC-USD]\n", `q.yaml:4: unknown key "symbolz"; did you mean "symbols"?`},
		{"unknown top key", "lisen: :8080\n", `q.yaml:1: unknown key "lisen"; did you mean "listen"?`},
		{"unknown provider", "feeds:\n  - provider: krakn\n    symbols: [BTC-USD]\n", `q.yaml:2: feeds[0].provider: no provider "krakn"; did you mean "kraken"?`},
		{"no provider", "feeds:\n  - symbols: [BTC-USD]\n", `q.yaml:2: feeds[0]: provider is missing; want one of `},
		{"bad duration", "server:\n  heartbeat: soon\n", `q.yaml:2:`},
		{"bad duration says what", "server:\n  heartbeat: soon\n", `want a duration such as 250ms`},
		{"bad depth", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    depth: 11\n", `q.yaml:2: feeds[0]:`},
		{"bad channel", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    channels: [book, trades]\n", `q.yaml:4: feeds[0].channels[1]: kraken has no channel "trades"; did you mean "trade"?`},
		{"no symbols", "feeds:\n  - provider: kraken\n", `q.yaml:2: feeds[0]: symbols is missing`},
		{"bad symbol", "feeds:\n  - provider: kraken\n    symbols: ['BTC USD']\n", `q.yaml:3: feeds[0].symbols[0]: symbol "BTC USD": character ' ' is not allowed`},
		{"no key", "feeds:\n  - provider: polygon\n    market: stocks\n    channels: [T]\n    symbols: [AAPL]\n", `api_key is missing`},
		{"key from nowhere", "feeds:\n  - provider: polygon\n    market: stocks\n    api_key: ${QUOTEWIRE_TEST_UNSET}\n    channels: [T]\n    symbols: [AAPL]\n", `q.yaml:4: feeds[0].api_key: environment variable QUOTEWIRE_TEST_UNSET is not set`},
		{"no category", "feeds:\n  - provider: bybit\n    symbols: [BTC-USDT]\n", `q.yaml:2: feeds[0]: market is missing; want spot, linear or inverse`},
		{"symbol of another market", "feeds:\n  - provider: bybit\n    market: linear\n    symbols: [BTC-USDT]\n", `symbol "BTC-USDT": bybit linear has none of this form`},
		{"two of a name", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n  - provider: kraken\n    symbols: [ETH-USD]\n", `q.yaml:4: feeds[1]: a second feed is named "kraken"`},
		{"too many lines", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    lines: 5\n", `q.yaml:4: feeds[0].lines: want 1 to 4, not 5`},
		{"lines with one key", "feeds:\n  - provider: polygon\n    lines: 2\n    market: stocks\n    api_key: k\n    channels: [T]\n    symbols: [AAPL]\n", `q.yaml:3: feeds[0].lines: want 1, because Polygon allows a key one connection a market`},
		{"more urls than lines", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    urls: [ws://a, ws://b]\n", `q.yaml:4: feeds[0].urls: 2 hosts for lines: 1`},
		{"a line's name", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    lines: 2\n  - provider: kraken\n    name: kraken/2\n    symbols: [BTC-USD]\n", `q.yaml:5: feeds[1]: a second feed is named "kraken/2"`},
		{"bad address", "listen: here\n", `q.yaml:1: listen: want an address`},
		{"no fee", "fees:\n  kraken: much\n", `q.yaml:2: fees.'kraken': want a part of the amount such as 0.0026, not "much"`},
		{"a fee in percent", "fees:\n  kraken: 0.1\n  '*': 2.6\n", `q.yaml:3: fees.'*': 2.6: want a part`},
		{"no pair", "net:\n  - pair: BTCUSD\n", `q.yaml:2: net[0]: pair "BTCUSD": want a symbol such as BTC-USD`},
		{"a pair twice", "net:\n  - pair: BTC-USD\n  - pair: BTC-USD\n", `q.yaml:3: net[1]: BTC-USD is there twice`},
		{"keys without plans", "auth:\n  anonymous: open\n", `q.yaml:2: auth: plans is missing`},
		{"no such plan", "auth:\n  plans:\n    open:\n      grants: [{symbols: ['*']}]\n  anonymous: opn\n", `q.yaml:5: auth.anonymous: no plan "opn"; did you mean "open"?`},
		{"a plan without grants", "auth:\n  plans:\n    open: {}\n", `q.yaml:3: auth.plans.open: grants is missing`},
		{"a grant's channel", "auth:\n  plans:\n    open:\n      grants: [{symbols: ['*'], channels: [quotes]}]\n", `q.yaml:4: auth.plans.open.grants[0].channels[0]: no channel "quotes"; did you mean "quote"?`},
		{"a delay too short", "auth:\n  plans:\n    open:\n      grants: [{symbols: ['*'], delay: 1ms}]\n", `grants[0].delay: want 1s to 24h`},
		{"a key in clear", "auth:\n  plans:\n    open:\n      grants: [{symbols: ['*']}]\n  keys:\n    - name: a\n      hash: secret\n      plan: open\n", `q.yaml:7: auth.keys[0].hash: want sha256:`},
		{"a key's end", "auth:\n  plans:\n    open:\n      grants: [{symbols: ['*']}]\n  keys:\n    - name: a\n      hash: sha256:0000000000000000000000000000000000000000000000000000000000000000\n      plan: open\n      expires: soon\n", `q.yaml:9: auth.keys[0].expires: want a day`},
		{"a key twice", "auth:\n  plans:\n    open:\n      grants: [{symbols: ['*']}]\n  keys:\n    - {name: a, hash: 'sha256:0000000000000000000000000000000000000000000000000000000000000000', plan: open}\n    - {name: b, hash: 'sha256:0000000000000000000000000000000000000000000000000000000000000000', plan: open}\n", `two keys have the hash`},
		{"no keys file", "auth:\n  plans:\n    open:\n      grants: [{symbols: ['*']}]\n  keys_file: nowhere.yaml\n", `q.yaml:5: auth.keys_file: open nowhere.yaml`},
		{"tokens of anybody", "auth:\n  plans:\n    open:\n      grants: [{symbols: ['*']}]\n  jwt: {audience: a}\n", `auth.jwt: jwks_url or keys is missing`},
		{"half a certificate", "tls:\n  cert: a.pem\n", `q.yaml:2: tls: want both cert and key`},
		{"certificates without a cache", "tls:\n  acme:\n    hosts: [example.com]\n", `tls.acme: cache is missing`},
		{"a log level", "log:\n  level: loud\n", `q.yaml:2: log.level: want debug`},
		{"a proxy", "server:\n  trusted_proxies: [10.0.0.1]\n", `q.yaml:2: server.trusted_proxies[0]: want a network such as 10.0.0.0/8`},
		{"an admin address", "admin_listen: here\n", `q.yaml:1: admin_listen: want an address`},
		{"quotes of nothing", "quotes:\n  - min_venues: 2\n", `q.yaml:2: quotes[0]: symbols is missing`},
		{"bad least size", "quotes:\n  - symbols: [BTC-USD]\n    min_size: dust\n", `quotes[0]: min_size: want a size such as "0.01", not "dust"`},
		{"bad settle", "quotes:\n  - symbols: ['*']\n    settle: soon\n", `quotes[0].settle: want a duration`},
		{"bars that wait for ever", "tape:\n  bar_lateness: 1m\n", `q.yaml:2: tape.bar_lateness: want 0s to 20s, not 1m0s`},
		{"bars that wait backwards", "tape:\n  bar_lateness: -1s\n", `q.yaml:2: tape.bar_lateness: want a duration such as 250ms, 5s or 1m30s, not "-1s"`},
		{"no prints kept", "tape:\n  prints_kept: 0\n", `q.yaml:2: tape.prints_kept: want 1 to 1000000000, not 0`},
		{"a key of the tape", "tape:\n  print_kept: 5\n", `unknown key "print_kept"; did you mean "prints_kept"?`},
		{"a key in another's place", "server:\n  listen: :8080\n", `q.yaml:2: unknown key "listen" here; it belongs elsewhere`},
		{"a provider's list in another's place", "feeds:\n  - provider: kraken\n    symbols: ['*']\n", `q.yaml:3: feeds[0].symbols[0]:`},
		{"connections below none", "server:\n  max_connections: -1\n", `q.yaml:2: server.max_connections: want a positive number`},
		{"subscriptions below none", "server:\n  max_subscriptions: -1\n", `q.yaml:2: server.max_subscriptions: want a positive number`},
		{"an address's limits below none", "server:\n  per_address: {connections: -1}\n", `server.per_address: limits: want positive numbers`},
		{"a write that waits for words", "server:\n  write_timeout: soon\n", `server.write_timeout: want a duration`},
		{"a secret from nowhere", "feeds:\n  - provider: kraken\n    api_secret: ${QUOTEWIRE_TEST_UNSET}\n    symbols: [BTC-USD]\n", `feeds[0].api_secret: environment variable QUOTEWIRE_TEST_UNSET is not set`},
		{"a passphrase from nowhere", "feeds:\n  - provider: kraken\n    passphrase: ${QUOTEWIRE_TEST_UNSET}\n    symbols: [BTC-USD]\n", `feeds[0].passphrase: environment variable QUOTEWIRE_TEST_UNSET is not set`},
		{"two sources of hosts", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    url: ws://a\n    urls: [ws://b]\n", `feeds[0].urls: url and urls are both set`},
		{"a short life", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    lifetime: 1s\n", `feeds[0].lifetime: want 1m0s at least`},
		{"symbols below none", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    symbols_per_connection: -1\n", `feeds[0].symbols_per_connection: want a positive number`},
		{"two ways to a certificate", "tls:\n  cert: a.pem\n  key: b.pem\n  acme: {hosts: [example.com], cache: c}\n", `tls: cert and acme are both set`},
		{"a log format", "log:\n  format: xml\n", `q.yaml:2: log.format: want text or json, not "xml"`},
		{"a memory below none", "auth:\n  delay_memory: -1\n", `auth.delay_memory: want a number of bytes`},
		{"too many delays", "auth:\n  plans:\n    open:\n      grants: [{symbols: [A], delay: 1s}, {symbols: [B], delay: 2s}, {symbols: [C], delay: 3s}, {symbols: [D], delay: 4s}, {symbols: [E], delay: 5s}]\n", `5 different delays; want at most 4`},
		{"tokens of no plan", "auth:\n  plans:\n    open:\n      grants: [{symbols: ['*']}]\n  jwt: {jwks_url: 'https://a/keys', plan: opn}\n", `auth.jwt.plan: no plan "opn"; did you mean "open"?`},
		{"a token's secret from nowhere", "auth:\n  plans:\n    open:\n      grants: [{symbols: ['*']}]\n  jwt: {algorithms: [HS256], keys: [{kid: a, algorithm: HS256, secret: '${QUOTEWIRE_TEST_UNSET}'}]}\n", `auth.jwt.keys[0].secret: environment variable QUOTEWIRE_TEST_UNSET is not set`},
		{"an interval of words", "server:\n  min_interval: soon\n", `q.yaml:2: server.min_interval: want a duration`},
		{"a mute of words", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    mute: soon\n", `q.yaml:4: feeds[0].mute: want a duration`},
		{"a backoff of words", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    backoff: soon\n", `q.yaml:4: feeds[0].backoff: want a duration`},
		{"a longest backoff of words", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    max_backoff: soon\n", `q.yaml:4: feeds[0].max_backoff: want a duration`},
		{"a refused retry of words", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    refused_retry: soon\n", `q.yaml:4: feeds[0].refused_retry: want a duration`},
		{"an evicted retry of words", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    evicted_retry: soon\n", `q.yaml:4: feeds[0].evicted_retry: want a duration`},
		{"a life of words", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    lifetime: soon\n", `q.yaml:4: feeds[0].lifetime: want a duration`},
		{"a linger of words", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    linger: soon\n", `q.yaml:4: feeds[0].linger: want a duration`},
		{"sizes in dozens", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    quote_size_unit: dozens\n", `q.yaml:4: feeds[0].quote_size_unit: want shares or lots, not "dozens"`},
		{"no market", "feeds:\n  - provider: polygon\n    api_key: k\n    channels: [T]\n    symbols: [AAPL]\n", `q.yaml:2: feeds[0]: market is missing; want one of `},
		{"no channels", "feeds:\n  - provider: polygon\n    market: stocks\n    api_key: k\n    symbols: [AAPL]\n", `q.yaml:2: feeds[0]: channels is missing; want some of `},
		{"an empty secret", "feeds:\n  - provider: kraken\n    api_secret: ${QUOTEWIRE_TEST_EMPTY}\n    symbols: [BTC-USD]\n", `feeds[0].api_secret: environment variable QUOTEWIRE_TEST_EMPTY is not set`},
		{"a key like no other", "frobnicate: 1\n", `q.yaml:1: unknown key "frobnicate"; want one of `},
		{"a second line's host", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    lines: 2\n    urls: [ws://a, http://b]\n", `url "http://b" is not ws://host or wss://host`},
		{"no such PEM file", "auth:\n  plans:\n    open:\n      grants: [{symbols: ['*']}]\n  jwt: {keys: [{kid: a, algorithm: ES256, pem_file: nowhere.pem}]}\n", `auth.jwt.keys[0].pem_file: open nowhere.pem`},
		{"lines below none", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    lines: -1\n", `q.yaml:4: feeds[0].lines: want 1 to 4, not -1`},
		{"symbols spread where one connection is allowed", "feeds:\n  - provider: polygon\n    market: stocks\n    api_key: k\n    channels: [T]\n    symbols: [AAPL]\n    symbols_per_connection: 1\n", `feeds[0].symbols_per_connection: want none, because Polygon allows a key one connection a market`},
		{"a life where one connection is allowed", "feeds:\n  - provider: polygon\n    market: stocks\n    api_key: k\n    channels: [T]\n    symbols: [AAPL]\n    lifetime: 1h\n", `feeds[0].lifetime: want none, because Polygon allows a key one connection a market`},
		{"not YAML", "feeds: [\n", `q.yaml:`},
		{"wrong type", "feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    depth: deep\n", `q.yaml:4:`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseConfig("q.yaml", []byte(tt.yaml))
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is\n%v\nwant in it\n%s", err, tt.want)
			}
		})
	}
}

// TestExampleConfig holds that the example file is a config.
func TestExampleConfig(t *testing.T) {
	t.Setenv("POLYGON_API_KEY", "k")
	src, err := os.ReadFile("quotewire.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseConfig("quotewire.example.yaml", src)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Feeds) == 0 || c.Feeds[0].APIKey != "k" {
		t.Errorf("feeds = %+v", c.Feeds)
	}
}

// TestConfigKeys: a hint may name every key that a config may have.
func TestConfigKeys(t *testing.T) {
	known := configKeys()
	var visit func(at string, of reflect.Type)
	visit = func(at string, of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct {
			return
		}
		for i := range of.NumField() {
			key := of.Field(i).Tag.Get("yaml")
			if key == "" {
				continue
			}
			if !slices.Contains(known, key) {
				t.Errorf("%s%s is not among the keys", at, key)
			}
			visit(at+key+".", of.Field(i).Type)
		}
	}
	visit("", reflect.TypeFor[config]())
}

// TestSecretsAreWholeValues: a variable is taken where it is all that is written; in
// the middle of a key it is part of the key.
func TestSecretsAreWholeValues(t *testing.T) {
	t.Setenv("QUOTEWIRE_TEST_SECRET", "s")
	c, err := parseConfig("q.yaml", []byte("feeds:\n  - provider: kraken\n    symbols: [BTC-USD]\n    api_key: ${QUOTEWIRE_TEST_SECRET}\n    api_secret: a${QUOTEWIRE_TEST_SECRET}b\n"))
	if err != nil {
		t.Fatal(err)
	}
	if f := c.Feeds[0]; f.APIKey != "s" || f.APISecret != "a${QUOTEWIRE_TEST_SECRET}b" {
		t.Errorf("the key is %q, the secret %q", f.APIKey, f.APISecret)
	}
}
