# Targets say what they do: make help

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 60s
TOOLS    := $(CURDIR)/.cache/tools

# The version is stamped by us; Go's own stamp fails in a checkout of somebody else's.
GOFLAGS ?= -buildvcs=false
export GOFLAGS FUZZTIME

# Go decides what is out of date.
.PHONY: help demo tour build test test-short lint fmt check bench fuzz screenshots tools

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

demo: build ## try it: provider, example application and people, on this machine
	bin/understudy demo

tour: build ## play the whole story against the demo and check every answer
	bin/understudy demo --tour --listen 127.0.0.1:0 --app-listen 127.0.0.1:0

build: ## build bin/understudy, one static binary
	CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.version=$(VERSION)" -o bin/understudy ./cmd/understudy

# SQLite is C made into Go: the race detector has nothing to find in it, and makes it several
# times slower. Its driver, which is Go by hand, is watched. make lint runs vet.
UNWATCHED := $(foreach package,sqlite/lib libc memory,'-gcflags=modernc.org/$(package)=-race=false -d=checkptr=0')

test: tools ## run every test under the race detector, PostgreSQL and browser included
	.ci/install-test-tools
	CGO_ENABLED=1 go run ./storage/pgtest/cmd/with-postgres \
		$(TOOLS)/gotestsum --format pkgname --format-icons text --format-hide-empty-pkg --jsonfile .cache/test.json \
		-- -race $(UNWATCHED) -vet=off -timeout 20m ./...

test-short: ## run the tests without the race detector, the slow ones left out
	go test -short ./...

lint: tools ## check format, vet, staticcheck and golangci-lint
	@unformatted=$$($(TOOLS)/gofumpt -l .); test -z "$$unformatted" || \
		{ printf 'not formatted; make fmt does it:\n%s\n' "$$unformatted"; exit 1; }
	go vet ./...
	$(TOOLS)/staticcheck ./...
	$(TOOLS)/golangci-lint run ./...

fmt: tools ## format the code
	$(TOOLS)/gofumpt -w .

check: lint test ## what a change passes before review

bench: ## run the benchmarks
	go test -run '^$$' -bench . -benchmem \
		$$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -r -n1 dirname | sort -u)

fuzz: ## run every fuzz target for FUZZTIME (60s) each
	.ci/fuzz

screenshots: ## draw every page into screenshots/
	.ci/install-test-tools
	UNDERSTUDY_SCREENSHOTS=$(CURDIR)/screenshots go test -count=1 -run '^TestScreenshots$$' ./...

# Pinned in a module of their own, so that they are no part of the product's.
tools:
	@CGO_ENABLED=0 go -C .ci/tools build -o $(TOOLS)/ tool
