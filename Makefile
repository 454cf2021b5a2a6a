# Everything runs from .venv; nothing outside this folder is changed. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST_ARGS ?=
TESTS ?= tests/unit tests/contract tests/architecture
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-annotate

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Where packages come from is the reader's own pip configuration. What would change what is installed, or where, is not.
unexport PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PIP_CONSTRAINT PIP_REQUIREMENT PIP_EDITABLE PIP_REQUIRE_HASHES \
	PIP_REQUIRE_VIRTUALENV PIP_NO_DEPS PIP_NO_BUILD_ISOLATION PIP_USE_PEP517 PIP_DRY_RUN PIP_IGNORE_INSTALLED PIP_PYTHON \
	PYTHONPATH PYTHONHOME VIRTUAL_ENV

.PHONY: help install demo up test check lint types imports bench bench-ledger bench-limits residency lock format clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: $(STAMP) ## Create .venv with every dependency, locked by hash

demo: install ## Run everything on this machine: queues, workers, a stand-in vendor, a record of every job
	$(BIN)/pointsman demo

up: install ## Start an embedded Redis, a worker per tier and the recorder
	$(BIN)/pointsman up

test: install ## Run the tests; TESTS=tests adds the acceptance layer, which takes as long again
	$(BIN)/pytest $(PYTEST_ARGS) $(TESTS)

check: PYTEST_ARGS = --cov
check: TESTS = tests
check: lint types imports test ## Run exactly what CI runs

lint: install ## Check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: install ## Check types, strictly, tests too
	$(BIN)/mypy

imports: install ## Check that imports point one way
	$(BIN)/lint-imports

format: install ## Correct style and format in place
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: install ## Measure speed; prints a table and what it ran on
	$(BIN)/python -m benchmarks

bench-limits: install ## Measure how close to a vendor's limit the workers drive; about 20 minutes
	$(BIN)/python -m benchmarks.limits

bench-ledger: install ## Measure recording, asking and verifying at five million records; about half an hour
	PYTHONPATH=tests $(BIN)/python -m benchmarks.ledger

residency: install ## Send random jobs through a million random configurations; none may go where its class may not
	$(BIN)/python tests/residency_walk.py

lock: install ## Renew the lock files in requirements/ (UPGRADE=1 takes the newest versions)
	$(LOCK) $(if $(UPGRADE),--upgrade) --output-file requirements/runtime.txt pyproject.toml
	$(LOCK) $(if $(UPGRADE),--upgrade) --group pyproject.toml:build --output-file requirements/build.txt
	$(LOCK) $(if $(UPGRADE),--upgrade) --extra bedrock --extra demo --extra parquet --group dev --constraint requirements/runtime.txt \
		--output-file requirements/dev.txt pyproject.toml

clean: ## Remove .venv and what the tools leave behind
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis htmlcov dist .coverage .coverage.*

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --no-compile --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check --quiet
	@touch $@
