# Two commands set everything up on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= demo-out
GRAPH ?= digits_cuba

.PHONY: demo test check graphs bench clean

# What is installed follows pyproject.toml; each stamp is remade when that changes.
$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet -e .
	touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet -e ".[test]"
	touch $@

$(VENV)/.check: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet -e ".[test,check]"
	touch $@

# Convert an example network, run its test set on the chip, check it against the float network.
demo: $(VENV)/.demo
	$(BIN)/nirbridge convert graphs/$(GRAPH).nir --output $(OUT)/$(GRAPH) --force
	$(BIN)/nirbridge simulate $(OUT)/$(GRAPH) graphs/digits.npz --output $(OUT)/$(GRAPH).npz --force
	$(BIN)/nirbridge check $(OUT)/$(GRAPH) graphs/digits.npz
	@echo "configuration and graphs: $(OUT)/$(GRAPH)/  output spikes: $(OUT)/$(GRAPH).npz"

test: $(VENV)/.test
	$(BIN)/python -m pytest

check: $(VENV)/.check
	$(BIN)/ruff check .
	$(BIN)/mypy

# Train the example networks again (needs the frameworks: see README).
graphs:
	cd graphs/make && ../../$(BIN)/python all.py

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks.simulator
	$(BIN)/python -m benchmarks.conformance

clean:
	rm -rf $(VENV) $(OUT) build *.egg-info
