# The same few commands for people and for CI. Each makes the environment it needs first.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check servers docs bench plots clean
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

bench: .venv/.development servers        ## refstore beside its peers, to benchmarks/results.md; QUICK=1: ten minutes, prints only
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

plots: .venv/.development        ## the plots of docs/costs.md, from benchmarks/scale.csv
	$(BIN)/python -m benchmarks.plots

clean:        ## everything that the other commands made
	rm -rf .venv .servers .bench .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.package: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable .
	touch $@

.venv/.development: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable '.[all,dev]'
	touch $@ .venv/.package
