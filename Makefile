# `make demo` and `make test` set up .venv from nothing and reuse it afterwards.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A release that is known to work; the package itself takes any torch from 2.6 on.
TORCH ?= torch==2.13.0
DEMO_OUT ?= demo-output

.PHONY: help demo test lint docs clean

help:
	@echo "make demo   train, export, synthesize, build and run a face network on the virtual board"
	@echo "make test   all tests"
	@echo "make lint   style, types and import walls"
	@echo "make docs   the pages of docs/ as a site, in build/site"
	@echo "make clean  remove what was built (not .venv)"

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable ".[board,dev]"
	touch $@

demo: $(VENV)/.ready
	$(BIN)/max78k demo --out $(DEMO_OUT)

test: $(VENV)/.ready
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.ready
	$(BIN)/python -m mkdocs build --strict

clean:
	rm -rf build dist demo-output .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
