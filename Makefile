SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
DATE     := $(shell git show -s --format=%cI 2>/dev/null)
BIN      := bin/webadmin
GO_FILES  = $$(find . -name node_modules -prune -o -name '*.go' -print)
# Go packages are looked for in our own folders only: node_modules may hold Go files too.
PACKAGES := ./cmd/... ./internal/... ./web/... ./demo/... ./e2e/bench
FUZZTIME ?= 20s
ARGS     ?=
CHAOS    ?=
# A prettier that happens to be installed would format otherwise than here.
TEMPL_FMT := go tool templ fmt -log-level error -prettier-command none

.PHONY: help setup generate fmt lint test race fuzz e2e screenshots build assets run check bench soak chaos clean
.PHONY: check-generated check-fmt check-reproducible image dist

help: ## Show this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing to run and test (redis-server, chromium, npm packages)
	@scripts/setup test
	@$(MAKE) node_modules/.package-lock.json

run: ## Build and serve with demo data on http://127.0.0.1:8080; ARGS="--listen :9000" adds flags
	@scripts/setup run
	@$(MAKE) build
	@exec $(BIN) serve --demo $(ARGS)

build: assets ## Make bin/webadmin
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION) -X main.date=$(DATE)' -o $(BIN) ./cmd/webadmin

dist: check-reproducible ## A release in bin/dist: the binary, and its SHA-256 sum
	@mkdir -p bin/dist && rm -f bin/dist/*
	@name=webadmin-$(VERSION)-$$(go env GOOS)-$$(go env GOARCH); cp $(BIN) bin/dist/$$name; cd bin/dist; sha256sum $$name | tee SHA256SUMS

image: build ## What the Dockerfile copies, into bin/image
	@scripts/image $(BIN)

assets: web/static/dist/app.css ## Build web/static/dist from npm packages and web/static/src

# Class names and icons are looked for in templates and handlers, so these are sources too.
ASSET_SOURCES := $(shell find web/static/src web/static/build.mjs web/templates internal/handlers -type f ! -name '*_templ.go' ! -name '*_test.go' 2>/dev/null)
web/static/dist/app.css: node_modules/.package-lock.json package.json $(ASSET_SOURCES)
	@echo "assets: building web/static/dist"
	@npm run --silent build
	@touch $@

node_modules/.package-lock.json: package-lock.json
	@echo "assets: npm ci"
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@

generate: ## Make the Go files of the templates
	go tool templ generate -log-level error

fmt: ## Format Go and templates
	gofmt -w $(GO_FILES)
	$(TEMPL_FMT) web

lint: ## go vet and staticcheck
	go vet $(PACKAGES)
	go vet -tags e2e,screenshots ./e2e/...
	go tool staticcheck $(PACKAGES)
	go tool staticcheck -tags e2e,screenshots ./e2e/...

check-fmt:
	@unformatted=$$(gofmt -l $(GO_FILES)); \
	if [[ -n $$unformatted ]]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi
	@$(TEMPL_FMT) -fail web || { echo "templates are not formatted (make fmt)"; exit 1; }

check-generated:
	@sums() { find web -name '*_templ.go' -exec sha256sum {} + | sort; }; before=$$(sums); \
	go tool templ generate -log-level error; \
	if [[ $$before != "$$(sums)" ]]; then echo "generated files were stale; they are made anew: commit them"; exit 1; fi

check-reproducible: build
	@scripts/reproducible $(BIN) VERSION=$(VERSION) DATE=$(DATE)

race: assets ## Unit and integration tests, with the race detector
	go test -race -shuffle=on -count=1 $(PACKAGES)

# playwright-go can use the driver of the npm package of the same version, from a folder laid out as it expects.
DRIVER := node_modules/.playwright-driver
$(DRIVER)/package: | node_modules/.package-lock.json
	@mkdir -p $(DRIVER) && ln -sfn ../playwright-core $@

e2e: export PLAYWRIGHT_DRIVER_PATH = $(CURDIR)/$(DRIVER)
e2e: export PLAYWRIGHT_NODEJS_PATH = $(shell command -v node)
e2e: build $(DRIVER)/package ## Browser tests on the built binary
	go test -tags e2e -count=1 -timeout 20m ./e2e

screenshots: export PLAYWRIGHT_DRIVER_PATH = $(CURDIR)/$(DRIVER)
screenshots: export PLAYWRIGHT_NODEJS_PATH = $(shell command -v node)
screenshots: build $(DRIVER)/package ## Pictures of all pages, empty, full and failing, into e2e/artifacts/screenshots/index.html
	go test -tags e2e,screenshots -count=1 -timeout 30m -run TestScreenshots ./e2e

check: assets check-fmt check-generated lint race e2e check-reproducible ## Everything that a change has to pass

test: ## Install what tests need, then make check
	@scripts/setup test
	@$(MAKE) check

fuzz: assets ## Fuzz each target for FUZZTIME (20s)
	@for pkg in $$(go list $(PACKAGES)); do \
	  for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "fuzz: $$pkg $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; \
	done

bench: build ## Benchmarks of packages, then what is promised of speed and memory, into docs/benchmarks.md
	go test -run '^$$' -bench . -benchmem $(PACKAGES)
	go run ./e2e/bench -bin $(BIN) -report docs/benchmarks.md

soak: assets ## The tests that take minutes: millions of rows, long chaos (build tag soak)
	go test -tags soak -run Soak -count=1 -timeout 60m -v $(PACKAGES)

chaos: build ## Two replicas under load and faults on Sentinel and cluster, 5 minutes each; CHAOS="-seed 17 -for 40s -world cluster"
	go run ./e2e/chaos -bin $(BIN) $(CHAOS)

clean: ## Remove what was built; keep data/
	rm -rf bin node_modules
	find web/static/dist -mindepth 1 ! -name .keep -delete
