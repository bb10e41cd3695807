# `make demo` and `make test` need Python >= 3.10, make and a package index; everything else they set up here.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DISTRIBUTIONS := proto daemon client compile
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export WIZARDTPU_TOOLCHAIN ?= $(CURDIR)/.toolchain

.DEFAULT_GOAL := help
.PHONY: help setup toolchain demo demo-tpu demo-bundles test unit lint fmt bench bench-compile golden golden-update buf lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The environment is made anew only when what it is made from changes.
STAMP := $(VENV)/.ready
MADE_FROM := requirements/dev.txt $(DISTRIBUTIONS:%=%/pyproject.toml) proto/generate.py $(wildcard proto/wizardtpu/v1/*.proto)
$(STAMP): $(MADE_FROM)
	@packaging/check-python $(PYTHON)
	@echo "setting up $(VENV) (about half a minute, once) ..."
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation $(DISTRIBUTIONS:%=--editable ./%)
	@touch $@

setup: $(STAMP) ## Make the project's environment in .venv

# The vendor's compiler and simulator: a third of a GB to download, once. Its front end for ONNX, which some tests
# compare with, needs CPython 3.10 besides.
toolchain: $(STAMP) ## Install the vendor's compiler and simulator in .toolchain
	@test -e $(WIZARDTPU_TOOLCHAIN)/toolchain.json || $(BIN)/wizardtpu-compile toolchain install --frontend-onnx \
	  || $(BIN)/wizardtpu-compile toolchain install

demo-bundles: toolchain ## Build the demonstration model for the BM1684X, in f16, int8 and int4
	@for precision in f16 int8 int4; do $(BIN)/wizardtpu-compile build compile/demo/checkpoint --target bm1684x \
	  --quantize $$precision --name demo -o build/demo-bm1684x-$$precision --force || exit 1; done

demo: $(STAMP) ## See the daemon load a model and the client print a working quicksort
	@packaging/demo $(BIN) cpu

demo-tpu: toolchain ## See the same on the vendor's simulator of a BM1684X (minutes; installs 0.3 GB once)
	@packaging/demo $(BIN) tpu

test: $(STAMP) ## Run all tests (unit and end to end)
	@# buf is a foreign client in some tests; where npm is missing they say that they could not run.
	@! command -v npm >/dev/null || $(MAKE) --silent proto/node_modules/.package-lock.json || true
	@# Without the vendor's compiler the tests that need it say that they could not run.
	@$(MAKE) --silent toolchain || true
	@$(BIN)/pytest tests

unit: $(STAMP) ## Run the unit tests only (seconds)
	@$(BIN)/pytest tests/unit

lint: $(STAMP) buf ## Check style, types and the wire protocol
	@$(BIN)/ruff format --check --quiet . || { echo "run: make fmt"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary proto/generate.py daemon/src client/src compile/src compile/demo tests

buf: proto/node_modules/.package-lock.json
	@cd proto && npx --no-install buf lint

proto/node_modules/.package-lock.json: proto/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: buf, which checks the protocol, comes as an npm package (apt install npm)"; exit 1; }
	@# Not "npm ci": it refuses the lock where an index carries no builds of buf for other systems.
	@cd proto && npm install --no-save --ignore-scripts --silent --no-progress

fmt: $(STAMP) ## Format the code
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix --exit-zero .

bench: $(STAMP) ## Measure serving, and write its part of docs/BENCHMARKS.md
	-@$(MAKE) --silent .venv-reference/.ready toolchain
	@$(BIN)/python -m tests.bench
	@$(BIN)/python -m tests.bench.chip

bench-compile: toolchain ## Measure compiling, and write its part of docs/BENCHMARKS.md (minutes, 10 GB of disk)
	@$(BIN)/python -m tests.bench.compile $(BENCH_OPTIONS)

# Foreign implementations, for comparison alone. The CPU build of torch is asked for by name, so that an index
# without it refuses at once instead of sending the build for GPUs.
.venv-reference/.ready: requirements/reference.txt
	@test -x .venv-reference/bin/pip || $(PYTHON) -m venv .venv-reference
	@.venv-reference/bin/pip install --quiet 'torch==2.13.0+cpu'
	@.venv-reference/bin/pip install --quiet --require-hashes -r requirements/reference.txt
	@touch $@

golden: .venv-reference/.ready ## Compare the golden files with Hugging Face transformers
	@.venv-reference/bin/python -m tests.golden.make --check
	@PYTHONPATH=compile/src .venv-reference/bin/python -m tests.golden.check_bin

golden-update: .venv-reference/.ready ## Write the golden files anew
	@.venv-reference/bin/python -m tests.golden.make

lock: ## Choose the newest versions of what requirements/*.in name (needs uv on PATH)
	@for lock in dev:3.10 reference:3.11; do name=$${lock%:*}; \
	  uv pip compile --quiet --universal --python-version $${lock#*:} --generate-hashes --no-annotate --no-header --upgrade \
	    requirements/$$name.in -o requirements/$$name.txt || exit 1; done

clean: ## Remove everything that was generated
	rm -rf .venv .venv-* .toolchain build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis proto/node_modules
	rm -f proto/wizardtpu/v1/*_pb2*
