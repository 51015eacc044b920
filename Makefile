# Two commands set everything up on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= demo-out
GRAPH ?= digits_cuba

.PHONY: demo test check frameworks graphs bench clean

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

# All frameworks in the versions that are tested together. torch first: with it in place no other
# package asks for another build of it. Sinabs pins an old nir: without what it asks for.
TESTED = PIP_CONSTRAINT=.ci/constraints.txt $(BIN)/pip install --quiet
$(VENV)/.frameworks: pyproject.toml .ci/constraints.txt | $(BIN)/pip
	$(TESTED) torch
	$(TESTED) -e ".[snntorch,norse,rockpool,spikingjelly,spyx,nengo,jaxsnn,dask]"
	$(TESTED) torch nirtorch pbr && $(TESTED) --no-deps sinabs
	touch $@

frameworks: $(VENV)/.frameworks

# Convert an example network, run its test set on the chip, check it against the float network.
demo: $(VENV)/.demo
	$(BIN)/nirbridge convert graphs/$(GRAPH).nir --output $(OUT)/$(GRAPH) --force
	$(BIN)/nirbridge simulate $(OUT)/$(GRAPH) graphs/digits.npz --output $(OUT)/$(GRAPH).npz --force
	$(BIN)/nirbridge check $(OUT)/$(GRAPH) graphs/digits.npz
	@echo "configuration and graphs: $(OUT)/$(GRAPH)/  output spikes: $(OUT)/$(GRAPH).npz"

# On all processors; a file's tests stay together, because they share what is slow to make.
test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --dist loadfile

check: $(VENV)/.check
	$(BIN)/ruff check .
	$(BIN)/mypy

# Train the example networks again.
graphs: $(VENV)/.frameworks
	$(BIN)/pip install --quiet -e ".[train]"
	cd graphs/make && ../../$(BIN)/python all.py

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks.simulator
	$(BIN)/python -m benchmarks.conformance

clean:
	rm -rf $(VENV) $(OUT) build *.egg-info
