.DEFAULT_GOAL := help
.PHONY: help run build test lint audit vulndb fmt bench bench-peers bench-dashboard bench-memory fuzz corpus chaos generate

GO ?= go

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## Serve the dashboard on a simulated market at http://127.0.0.1:8080
	$(GO) run ./cmd/quotewire demo

build: ## Build ./bin/quotewire
	$(GO) build -o bin/quotewire ./cmd/quotewire

test: ## Run all tests with the race detector, then ten thousand random tapes and three thousand markets without
	$(GO) test -race -timeout 30m ./...
	$(GO) test ./orderbook -run TestTapeEqualsModel -seeds 10000
	$(GO) test ./orderbook -run TestShardEqualsModel -rapid.checks 3000

lint: ## Check format, vet and staticcheck
	@bad=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$bad" ]; then echo "gofmt -w these:"; echo "$$bad"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# make audit VULNDB=proxy asks no other server than the module proxy: vuln.go.dev cannot be reached from everywhere.
VULNDB ?= vuln.go.dev
govulncheck = $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 $(if $(filter proxy,$(VULNDB)),-db file://$(CURDIR)/bin/vulndb)

audit: $(if $(filter proxy,$(VULNDB)),vulndb) ## Look for known vulnerabilities and for insecure code (docs/security.md has the answers)
	$(govulncheck) ./...
	cd bench && $(govulncheck) ./...
	$(GO) run github.com/securego/gosec/v2/cmd/gosec@v2.30.0 -quiet -exclude=G103,G115,G304,G404,G705,G706 \
	  ./streamer/... ./cmd/... ./bus/... ./client/... ./web/...
	$(GO) run github.com/securego/gosec/v2/cmd/gosec@v2.30.0 -quiet -exclude=G103,G104,G115,G302,G304,G404,G602,G705 \
	  ./feeds/... ./normalizer/... ./orderbook/... ./market/...

vulndb: ## Make the database of vulnerabilities in bin/vulndb, from its newest module
	@set -e; dir=$$($(GO) mod download -json golang.org/x/vulndb@latest | sed -n 's/^.*"Dir": "\(.*\)",$$/\1/p'); \
	  rm -rf bin/vulndb; $(GO) run golang.org/x/vulndb/cmd/indexdb@$${dir##*@} -vulns "$$dir/data/osv" -out bin/vulndb; echo "bin/vulndb: $${dir##*@}"

fmt: ## Format all Go files
	gofmt -w $$(git ls-files '*.go')

BENCH ?= .
bench: ## Run benchmarks, BENCH=regexp chooses; compare runs with go tool benchstat
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

# bench/ is a module of its own: the peers stay out of this one.
bench-peers: ## Measure fan-out beside plain TCP, NATS and centrifuge (5 minutes)
	cd bench && $(GO) run . peers

bench-dashboard: ## Measure 5,000 dashboards of 100 symbols
	cd bench && $(GO) run . dashboard

bench-memory: ## Measure 10,000 idle connections, and 1,000 that stop reading
	cd bench && $(GO) run . memory && $(GO) run . stall

FUZZTIME ?= 30s
fuzz: ## Run every fuzz target for FUZZTIME each
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
	  done; \
	done

corpus: ## Keep what fuzzing the decoders has found, for tests and the next fuzzing
	@mkdir -p normalizer/testdata/corpus
	@for d in $$($(GO) env GOCACHE)/fuzz/$$($(GO) list ./normalizer)/Fuzz*; do \
	  f=normalizer/testdata/corpus/$$(basename $$d).txt; touch $$f; \
	  { cat $$f; sed -n 's/^\[\]byte(\(.*\))$$/\1/p' $$d/*; } | awk 'length < 4096' | LC_ALL=C sort -u > $$f.new && mv $$f.new $$f; \
	done; wc -l normalizer/testdata/corpus/*.txt

SEEDS ?= 1000
chaos: ## Run SEEDS seeds of random faults through feeds, decoders and books
	$(GO) test -count=1 -timeout 60m -run '^TestChaos$$' -chaos.seeds=$(SEEDS) .

generate: ## Make generated code anew (needs protoc)
	$(GO) generate ./...
