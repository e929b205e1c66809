# One word per chore. `make demo` and `make test` are all that a newcomer needs; each makes the virtual environment first.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types imports unit bench clean

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

help:  ## what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## the virtual environment, with everything in it

# uv when it is there, since it takes seconds where pip takes minutes; like pip it compiles what it installs, else every kernel would, where
# PYTHONDONTWRITEBYTECODE is set. An environment that exists is used as it is.
$(READY): pyproject.toml
	@if [ ! -x $(BIN)/python ]; then \
		if command -v uv >/dev/null; then uv venv --quiet --seed $(VENV); else $(PYTHON) -m venv $(VENV); fi; \
	fi
	@if command -v uv >/dev/null; then uv pip install --quiet --compile-bytecode --python $(BIN)/python -e '.[lab,dev]'; \
	else $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[lab,dev]'; fi
	@touch $@

demo: $(READY)  ## the lab, a fault, its alert, and the report that it leads to
	@$(BIN)/python -m runbook_lab.demo

test: lint types imports unit  ## all that must hold before a commit

lint: $(READY)  ## style of code, and of the service files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/runbook lint

types: $(READY)  ## mypy, strict, on the library
	$(BIN)/mypy

imports: $(READY)  ## the layers
	$(BIN)/lint-imports

unit: $(READY)  ## the tests, those on the lab included; PYTEST='-m "not lab"' leaves them out
	$(BIN)/python -m pytest $(PYTEST)

bench: $(READY)  ## ratios side by side, see benchmarks/
	@for benchmark in benchmarks/bench_*.py; do $(BIN)/python $$benchmark; done

clean:  ## caches and the virtual environment; incidents in outputs/ stay
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
