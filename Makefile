# Every task of the project. `make` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help install up demo test lint format bench lock test-tools clean

help: ## list the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed ## set up .venv, and nothing else

$(VENV)/.installed: requirements/runtime.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Mooring needs Python 3.11 or newer: call make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || { echo "setting up $(VENV) ..."; $(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing: install it (Debian: apt-get install python3-venv), remove $(VENV) and run make again"; rm -rf $(VENV); exit 1; }; }
	@echo "installing what Mooring needs (once, about half a minute) ..."
	@$(PIP) install --require-hashes -r requirements/runtime.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: requirements/dev.lock $(VENV)/.installed
	@echo "installing what tests and linters need (once) ..."
	@$(PIP) install --require-hashes -r requirements/dev.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

up: install ## install, start cloud and gateway, until Ctrl-C
	@exec $(BIN)/mooring up

demo: install ## both ways from nothing to connected, as a table
	@$(BIN)/mooring demo

test-tools: $(VENV)/.installed-dev ## install what the tests need
	@bash tests/install-tools.sh

test: test-tools ## run all tests
	@$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

lint: $(VENV)/.installed-dev ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.installed-dev ## format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.installed-dev ## measure against named peers, in one run
	@$(BIN)/python benchmarks/run.py $(ARGS)

lock: ## renew the lock files (needs uv)
	@bash requirements/lock.sh

clean: ## remove what make made
	rm -rf $(VENV) tests/interop/node/node_modules benchmarks/.build
