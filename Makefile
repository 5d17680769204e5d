# make run    the study of params.yaml, end to end; prints the table of deltas and where the page is
# make test   the whole test suite
# make lint   formatting, style and types
# make serve, make stop    Prefect's server, worker and schedules (docs/prefect.md)
# make ui     the page on which a trained generator makes images on request (docs/app.md); PORT=7870 moves it
# make study NAME=full    merge a named study of conf/ into params.yaml

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The environment's own programs first: dvc starts its stages with `python`.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run test lint ui study serve stop clean

run: $(VENV)/installed
	python -m pipeline.openings
	dvc repro
	python -m pipeline.report

test: $(VENV)/installed-dev
	python -m pytest -n 2 --dist loadfile

lint: $(VENV)/installed-dev
	ruff check .
	ruff format --check .
	mypy

ui: $(VENV)/installed-app
	python -m app --port $(or $(PORT),7860)

study: $(VENV)/installed
	python -m pipeline.studies $(NAME)

serve: $(VENV)/installed
	python -m flows.server start

stop: $(VENV)/installed
	python -m flows.server stop

clean:
	rm -rf .cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "synthgain needs Python 3.11 or newer; name one with make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/installed-app: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[app]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/installed $(VENV)/installed-app
