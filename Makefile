# make demo and make test work in a fresh clone with Python 3.11 and pip alone.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Test processes; each runs one thread.
WORKERS ?= 2
# One thread a process: two torch processes with two threads each slow each other down.
export OMP_NUM_THREADS := 1

.PHONY: demo test lint bench bench-search bench-service bench-finalists clean

demo: $(VENV)/installed
	$(BIN)/slimfront demo

test: lint $(VENV)/browser
	$(BIN)/python -m pytest -n $(WORKERS)

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed
	$(BIN)/python -m benchmarks

bench-search: $(VENV)/installed
	$(BIN)/python -m benchmarks.search
	$(BIN)/python -m benchmarks.survival
	$(BIN)/python -m benchmarks.alone
	$(BIN)/python -m benchmarks.rungs
	$(BIN)/python -m benchmarks.workers
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks.coding

bench-service: $(VENV)/installed
	$(BIN)/python -m benchmarks.service

bench-finalists: $(VENV)/installed
	$(BIN)/python -m benchmarks.finalists

clean:
	rm -rf $(VENV) build *.egg-info

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# Tests open reports in Chromium: the one that is there, else Debian's where root may install it, else Playwright's own.
$(VENV)/browser: $(VENV)/installed
	command -v chromium > $@.found \
		|| { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } \
		|| $(BIN)/playwright install chromium
	mv $@.found $@
