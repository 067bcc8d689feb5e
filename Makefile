# Everything from nothing: each target builds .venv first where it is missing or out of date.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint gpu mutation kills clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## train on built-in scenes, print a table, draw pictures: runs/demo
	$(BIN)/mtpsl demo

test: lint ## lint, then run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadscope

lint: $(STAMP) ## ruff (lint and format) and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

mutation: $(STAMP) ## change the code at random places and see which changes no test notices (hours; MUTANTS=PATTERN for some)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,mutation]'
	OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES= $(BIN)/mutmut run $(MUTANTS)
	$(BIN)/mutmut results

gpu: $(STAMP) ## run the tests that need a GPU: full-size steps, bf16, torch.compile, memory, several GPUs
	$(BIN)/python -m pytest -s tests/gpu

kills: $(STAMP) ## kill commands at random moments, continue them, compare the end (an hour; KILLS="--only train --kills 5")
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 CUDA_VISIBLE_DEVICES= $(BIN)/python benchmarks/kills.py $(KILLS)

clean: ## remove the environment and the tools' caches, not runs/
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache build dist mutants src/*.egg-info
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or newer is needed, but $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo absent):" \
	    "choose one with \`make PYTHON=python3.12 ...\`" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
