# make demo   set up (light: no torch) and measure the reference server, baseline against optimized
# make test   set up everything and pass the tests; also: lint, bench, readme, lock, clean

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CODE := slokit scenarios reference_server

.PHONY: demo test lint unit wheel bench readme lock clean
.DEFAULT_GOAL := demo

demo: $(STAMPS)/server
	@$(BIN)/slokit demo

# -- set-up: each stamp is made once and again only when what it depends on changes ------------

$(STAMPS)/venv: Makefile deploy/debian.sh
	@bash deploy/debian.sh venv $(PYTHON)
	@echo "setting up: a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install "pip>=25.1"
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/server: $(STAMPS)/venv pyproject.toml constraints.txt
	@echo "setting up: slokit and its reference server (no torch)"
	@$(PIP) install --constraint constraints.txt --editable ".[server]"
	@touch $@

$(STAMPS)/dev: $(STAMPS)/server
	@bash deploy/debian.sh test
	@echo "setting up: what the tests need (torch and transformers: the oracle)"
	@$(PIP) install --constraint constraints.txt --group dev
	@touch $@

# -- checks ------------------------------------------------------------------------------------

test: lint unit wheel

lint: $(STAMPS)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	@! grep -nE '://|index-url|find-links' constraints.txt || { echo "constraints.txt: no URLs"; exit 1; }

unit: $(STAMPS)/dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "not wheel"
	$(BIN)/coverage report --include='slokit/core/*' --fail-under=100
	$(BIN)/coverage report --fail-under=85 --skip-covered --format=total

wheel: $(STAMPS)/dev
	$(BIN)/python -m pytest tests/e2e -m wheel

bench: $(STAMPS)/dev
	$(BIN)/python benchmarks/run_all.py

readme: $(STAMPS)/dev
	$(BIN)/python docs/update_readme.py

lock: $(STAMPS)/dev
	$(BIN)/python -m pip freeze --exclude-editable | sed -E "s#\+cpu\$\$##; / @ /d" > constraints.txt

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
