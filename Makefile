# The same few commands for people and for CI. Each makes the environment it needs first.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check servers docs bench clean
.DEFAULT_GOAL := test

demo: .venv/.package        ## the main job on real files, printed as it happens
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/demo.sh

test: .venv/.development servers        ## all tests, against real storage servers
	$(BIN)/python -m pytest

check: .venv/.development        ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict -p refstore

servers: .venv/.development        ## the storage servers that the tests run against, in .servers/
	$(BIN)/python -m tests.servers.install

docs: .venv/.development        ## the generated pages of docs/
	$(BIN)/python scripts/docs.py

bench: .venv/.development servers        ## the measurements of benchmarks/
	$(BIN)/python -m benchmarks

clean:        ## everything that the other commands made
	rm -rf .venv .servers .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.package: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable .
	touch $@

.venv/.development: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable '.[all,dev]'
	touch $@ .venv/.package
