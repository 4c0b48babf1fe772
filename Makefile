# Two commands set everything up on a bare machine:
#   make demo    environment, install, the demo with its report; opens the viewer where there is a display
#   make test    environment, system packages (Debian, where allowed), the whole suite under a virtual screen
# Another place for the environment: make test VENV=/some/where

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= fossiledit-demo
SCREEN := -screen 0 1600x1200x24
# Nobody's napari settings are read or written by tests.
# Threads that wait by spinning make two busy cores crawl: OMP_WAIT_POLICY. Two workers, of one
# thread each.
TEST_ENV := NAPARI_CONFIG= NAPARI_STRICT_QT=1 MPLBACKEND=Agg OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1
PYTEST_ARGS ?= -n 2 --dist loadfile

.PHONY: help demo test lint types manifest bench screenshots docs system clean

help:
	@sed -n 's/^#   //p' Makefile

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1" wheel
	$(BIN)/python -m pip install --quiet -e . --group test --group lint
	touch $@

demo: $(VENV)/.installed
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] || [ "$$(uname)" = Darwin ]; then \
		.ci/system-packages; $(BIN)/fossiledit demo --out $(OUT) --viewer; \
	else $(BIN)/fossiledit demo --out $(OUT); fi

system:
	@.ci/system-packages

test: system $(VENV)/.installed
	@if command -v xvfb-run >/dev/null; then \
		$(TEST_ENV) xvfb-run -a -s "$(SCREEN)" $(BIN)/python -m pytest $(PYTEST_ARGS); \
	else $(TEST_ENV) $(BIN)/python -m pytest $(PYTEST_ARGS); fi

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

manifest: $(VENV)/.installed
	$(BIN)/npe2 validate napari-fossiledit

bench: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group bench
	xvfb-run -a -s "$(SCREEN)" $(BIN)/python benchmarks/run.py

screenshots: $(VENV)/.installed
	$(TEST_ENV) xvfb-run -a -s "$(SCREEN)" $(BIN)/python docs/make_screenshots.py
	$(BIN)/python docs/make_mesh_picture.py

docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group docs
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
