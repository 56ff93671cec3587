# Two commands do everything on a fresh machine with Python >= 3.11 and make: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/pytest
# One thread per worker: threads of several workers on the same cores wait for each other.
PARALLEL := OMP_NUM_THREADS=1 $(PYTEST) -q -n 2 --dist loadfile --benchmark-disable
# What `make test` leaves to `make test-rest`: no test runs twice. `make bench` alone measures speed.
REST := slow or documents or browser or cluster

# `make mutants`: how many faults, which ones, and how many processes.
N ?= 500
SEED ?= 1234
JOBS ?= 2

# Debian's chromium is the one that the tests start; installing it takes an administrator.
CHROMIUM = command -v chromium > /dev/null || { test "$$(id -u)" = 0 && command -v apt-get > /dev/null \
	&& apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium; }
NPM = command -v npm > /dev/null && npm install --prefix tests/report --no-package-lock --no-audit --no-fund

.PHONY: help install demo check browser test test-rest docs results bench mutants clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort

# Installed anew whenever the declared dependencies change, never otherwise. Not quiet: torch is a long download.
.venv/.installed: pyproject.toml constraints.txt requirements-peers.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hargcn needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps -r requirements-peers.txt
	@touch $@

install: .venv/.installed  ## create .venv with the tested versions

demo: install  ## train, explain and judge a small network on embedded data (under 3 minutes)
	$(BIN)/hargcn demo --out demo-out

check: install  ## style, types and the floors of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check  ## the check, and the tests everybody runs (under 4 minutes on two cores)
	$(PARALLEL) -m "not ($(REST) or remake)"

test-rest: install  ## every other test: slow, documents, browser, cluster
	$(PARALLEL) -m "$(REST)" --ignore=tests/benchmarks

# What cannot be had is said in a line, and its tests skip.
browser: install  ## what tests of report pages need, where it can be had: chromium, its driver, linters of JavaScript
	@$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[browser]' \
		|| echo "make browser: no playwright: pip could not install the extra 'browser'"
	@$(CHROMIUM) || echo 'make browser: no chromium: as root, where apt is, run apt-get install chromium'
	@$(NPM) || echo 'make browser: no eslint and no tsc: they need npm and its registry'

docs: install  ## the documents as HTML, examples executed, warnings as errors: docs/_build/html/index.html
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -b html -W --keep-going -j $(JOBS) -d docs/_build/doctrees -c docs . docs/_build/html

results: install  ## make every committed table of the experiments again, and compare (hours)
	$(PYTEST) -q -m remake --benchmark-disable

bench: install  ## speed beside its aims, as ratios against a floor in the same run; writes docs/benchmarks.csv
	$(PYTEST) -q tests/benchmarks --verdicts docs/benchmarks.csv

mutants: install  ## put N faults into the core and list those no test notices (goes on where it stopped)
	OMP_NUM_THREADS=1 $(BIN)/python tests/mutants/run.py --number $(N) --seed $(SEED) --jobs $(JOBS)

clean:  ## remove the environment and caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .mutants demo-out docs/_build docs/examples docs/reference tests/report/node_modules
