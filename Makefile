# `make` alone lists the commands. Everything happens in .venv (VENV=DIR takes another folder).
VENV ?= .venv
PYTHON ?= python3
RUN := $(VENV)/bin/python
PYTEST := $(RUN) -m pytest

.DEFAULT_GOAL := help
.PHONY: help install demo lab test test-fast lint types check bench clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

install:  ## set up .venv: the engine built for this processor, and everything else
	@$(PYTHON) tools/make_env.py "$(VENV)"

demo: install  ## a Jupyter server, a streamed answer of the bundled model, the quickstart's results
	@$(RUN) tools/demo.py

lab: install  ## open JupyterLab on the quickstart notebook
	$(RUN) -m jupyterlab notebooks/01-quickstart.ipynb

test: install  ## run all tests, two files at a time
	$(PYTEST) -n 2 --dist loadfile

test-fast: install  ## run the tests that take no time
	$(PYTEST) -m "not slow and not browser and not real"

lint: install  ## ruff and the contracts between the rooms
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/lint-imports

types: install  ## mypy --strict on both packages
	$(RUN) -m mypy

check: lint types test  ## what CI runs

bench: install  ## all benchmarks; figures in benchmarks/README.md
	$(RUN) -m benchmarks

clean:  ## remove .venv and caches
	rm -rf "$(VENV)" .mypy_cache .ruff_cache .pytest_cache
