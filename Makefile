# What people do here. `make` lists it.
PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test check chaos bench compare clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1#/p' $(MAKEFILE_LIST) | awk -F'#' '{ printf "%-14s%s\n", $$1, $$2 }'

demo: $(VENV)/demo.stamp ## Tune a classifier of handwritten digits
	@$(BIN)/python examples/digits.py $(ARGS)

test: $(VENV)/test.stamp ## Run the tests, with coverage (ARGS="-k sobol" picks some)
	$(BIN)/python -m pytest --cov $(ARGS)

check: $(VENV)/check.stamp ## Check format, lint, types and layers
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

chaos: $(VENV)/test.stamp ## Hurt workers and stores, check that nothing is lost (ARGS="T1 T6 --seed 3"; ARGS=--help)
	@$(BIN)/python benchmarks/chaos.py $(ARGS)

bench: $(VENV)/bench.stamp ## Print the benchmarks beside their budgets
	@$(BIN)/python benchmarks/core.py $(ARGS)
	@$(BIN)/python benchmarks/throughput.py $(ARGS)

compare: $(VENV)/bench.stamp ## Compare searchers with other libraries (ARGS="--on own --seeds 2 --jobs 2"; ARGS=--help)
	@$(BIN)/python benchmarks/search.py $(ARGS)

clean: ## Remove the environment, caches and builds; studies stay
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One environment; each target adds only the extras that it needs.
$(VENV)/demo.stamp: EXTRAS = demo
$(VENV)/test.stamp: EXTRAS = test
$(VENV)/check.stamp: EXTRAS = dev,test
$(VENV)/bench.stamp: EXTRAS = bench,test
$(VENV)/%.stamp: $(VENV)/made pyproject.toml constraints.txt
	@echo "Installing tuneful[$(EXTRAS)] into $(VENV) (minutes the first time)"
	@$(PIP) -e '.[$(EXTRAS)]'
	@touch $@

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Tuneful needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	         "Name a newer one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@
