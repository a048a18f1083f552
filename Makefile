# What a person calls and what CI calls are the same targets. `make` alone lists them.

GO ?= go
# More flags for every go test, such as TESTFLAGS='-v -run Handshake'.
TESTFLAGS ?=
# For make bench and bench-quick, such as BENCHFLAGS='-run echo'.
BENCHFLAGS ?=
FUZZTIME ?= 10s
# What `make deps` looks for, see scripts/deps.sh.
DEPS ?= build

export GO FUZZTIME TESTFLAGS

.PHONY: help deps build test test-race test-asan test-checkptr test-offload test-all fuzz bench bench-quick bench-go bench-test check-c demo interop container clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

deps: ## install what the build needs (DEPS="build demo interop" for more)
	@scripts/deps.sh $(DEPS)

build: ## compile and vet every package
	@scripts/deps.sh build
	$(GO) build ./...
	$(GO) vet ./...

test: ## vet, compile the C files with every warning an error, and run the tests
	@scripts/deps.sh build
	$(GO) vet ./...
	@scripts/check-c.sh
	$(GO) test $(TESTFLAGS) ./...
	@echo 'test: all passed'

test-race: ## the tests under the race detector
	@scripts/deps.sh build
	$(GO) test -race $(TESTFLAGS) ./...
	@echo 'test-race: all passed'

test-asan: ## the tests, Go and C, under the address sanitizer (Linux)
	@scripts/deps.sh build
	$(GO) test -asan $(TESTFLAGS) ./...
	@echo 'test-asan: all passed'

test-checkptr: ## the tests shuffled, five times, with every pointer conversion checked
	@scripts/deps.sh build
	$(GO) test -count=5 -shuffle=on -gcflags=all=-d=checkptr $(TESTFLAGS) ./...
	@echo 'test-checkptr: all passed'

test-offload: ## the tests of sockets without trains of datagrams, and with a card that refuses them after a few
	@scripts/deps.sh build
	$(GO) test -tags ossldtls_offload_off $(TESTFLAGS) ./internal/udpbatch ./dtls
	$(GO) test -tags ossldtls_offload_failing $(TESTFLAGS) ./internal/udpbatch ./dtls
	@echo 'test-offload: all passed'

test-all: test test-race test-asan test-checkptr test-offload ## the five above
	@echo 'test-all: all passed'

fuzz: ## each fuzz target for FUZZTIME (10s)
	@scripts/deps.sh build
	@scripts/fuzz.sh

# Built first, so that no figure has the compiler beside it. The servers of a run are the same program once more.
bench: ## side by side with pion, plain UDP, C and Qt: table, bench/results/latest.json and plots, in ten minutes
	@scripts/deps.sh build
	cd bench && $(GO) build -o build/bench . && ./build/bench -out results -docs ../docs/performance.md $(BENCHFLAGS)

bench-quick: ## the rows of it that have a goal, in a minute: the table alone
	@scripts/deps.sh build
	@cd bench && $(GO) build -o build/bench . && ./build/bench -quick $(BENCHFLAGS)

bench-test: ## vet the bench and run the tests of its arithmetic
	@scripts/deps.sh build
	cd bench && $(GO) vet ./... && $(GO) test $(TESTFLAGS) ./...

bench-go: ## the benchmarks of the packages
	@scripts/deps.sh build
	$(GO) test -run '^$$' -bench . -benchmem $(TESTFLAGS) ./...

check-c: ## compile the C files with every warning an error
	@scripts/deps.sh build
	@scripts/check-c.sh

demo: ## a DTLS server and client of ours, and openssl's, talking
	@scripts/deps.sh demo
	@scripts/demo.sh

# Run inside the folder, where go test passes on what the tests print, their table, even when all is well.
interop: ## tests against OpenSSL's own tools and Qt's QDtls, with a table
	@scripts/deps.sh interop
	$(MAKE) -C interop/qt
	$(GO) vet -tags interop ./interop
	cd interop && $(GO) test -count=1 -tags interop $(TESTFLAGS)

container: ## build and test everything in a container (Dockerfile.build)
	@scripts/container.sh

clean: ## remove what the targets left in the tree
	$(GO) clean ./...
	$(MAKE) -C interop/qt clean
