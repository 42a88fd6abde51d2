# pilotfish: `make demo` and `make test` do all the set-up on a fresh machine; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTENSION := python/pilotfish/_core.abi3.so
RUST_SOURCES := $(shell find rust -name '*.rs' -o -name 'Cargo.toml') Cargo.toml Cargo.lock
DEMO_ARGS ?=
BENCH_ARGS ?= --quick
QUALITY_ROWS ?= 1e8
SOAK_ARGS ?=
ROTATION_ARGS ?=

.PHONY: help demo test check test-peers conformance bench bench-tools quality soak build wheel tools clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: build ## a real model, a dirty lens, a drift alarm (DEMO_ARGS="--for 60s" for scripts)
	$(BIN)/pilotfish demo $(DEMO_ARGS)

build: $(EXTENSION) ## the virtual environment and the Rust extension

wheel: build bench-tools ## the wheel as it is released: compiled twice, the second time for the way calls take (target/wheels)
	deploy/wheel.sh $(BIN)/python

tools:
	@command -v $(PYTHON) >/dev/null || { echo "make: no '$(PYTHON)': install Python 3.10 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "make: $$($(PYTHON) --version) is too old: Python 3.10 or newer is needed: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $$($(PYTHON) --version) cannot make virtual environments: install its venv module (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@command -v cargo >/dev/null || { echo "make: no 'cargo': install the Rust toolchain, 1.89 or newer (https://rustup.rs)" >&2; exit 1; }

$(VENV)/.made: | tools
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python 'maturin>=1.14,<2'
	@touch $@

$(EXTENSION): $(VENV)/.made pyproject.toml $(RUST_SOURCES)
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --release --uv --quiet --extras dev,demo
	@touch $@

check: build ## format, lints, types, the extension against its stub, generated documents
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets --locked -- -D warnings
	$(BIN)/ruff format --quiet --check .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest pilotfish._core
	$(BIN)/lint-imports --no-cache

test: build ## unit, property, behaviour and conformance tests
	cargo test --quiet --workspace --exclude pilotfish-binding --locked
	$(BIN)/python -m pytest -m "not peers"

test-peers: build ## end to end with real servers and clients that others wrote (installed under .peers, 1.5 GB)
	tests/e2e/peers.sh
	$(BIN)/python -m pytest -m peers

conformance: build ## suites that others wrote, through the native plane (tools from Go modules under .peers/go)
	PYTHONPATH=.:tests tests/suites/run.sh $(BIN)/python

bench-tools: build ## what the benchmarks compare with: Debian packages (as root) and Python peers under .peers
	bench/tools.sh

bench: bench-tools ## proxies and statistics beside their peers (BENCH_ARGS="--rounds 5" for the whole table)
	$(BIN)/python -m bench.peers $(BENCH_ARGS)
	$(BIN)/python -m bench.disturbance
	$(BIN)/python -m bench.statistics
	cargo run --release --quiet --package pilotfish-core --example per_feature

soak: build ## calls, cancels, connections, reloads and certificates by the thousand: what is lost, how memory grows (SOAK_ARGS="--calls 100000")
	$(BIN)/python -m bench.soak $(SOAK_ARGS)
	PYTHONPATH=tests $(BIN)/python -m bench.rotation $(ROTATION_ARGS)

quality: build ## what the statistics promise, beside others that are installed: false alarms, delays, tables (QUALITY_ROWS=1e9 for all)
	cargo run --quiet --release --locked -p pilotfish-core --example quality $(QUALITY_ROWS)
	$(BIN)/python -m bench.quality
	$(BIN)/python -m bench.exchangeable
	$(BIN)/python -m bench.brackets

clean: ## remove everything that was built
	rm -rf target $(VENV) .peers $(EXTENSION)
