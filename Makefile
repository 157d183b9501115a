# Development commands. Each installs its dependencies into .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export REQUIRE_ALL
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help install run demo test node-client bench screenshot lint format clean

help:
	@echo 'make install     create .venv with the dependencies of the service'
	@echo 'make run         run the service on 127.0.0.1:8080'
	@echo 'make demo        run a sample shop and the service, and look up all covers'
	@echo 'make test        run all tests (REQUIRE_ALL=1: fail if a program is missing, instead of skipping)'
	@echo 'make bench       run the benchmarks of the service and its peers; needs wrk'
	@echo 'make screenshot  update docs/page.png, the screenshot of the web page; needs chromium'
	@echo 'make lint        check format, lint rules, types, import layers and spelling'
	@echo 'make format      format the code'
	@echo 'make clean       remove .venv and the caches of the tools'

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: requirements.txt $(VENV)/.made
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(PIP) -r requirements-dev.txt
	@touch $@

$(VENV)/.installed-bench: requirements-bench.txt $(VENV)/.installed-dev
	$(PIP) -r requirements-bench.txt
	@touch $@

install: $(VENV)/.installed

run: install
	exec $(BIN)/gunicorn -c gunicorn.conf.py app:wsgi

demo: install
	exec $(BIN)/python -m demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m $(if $(ARGS),pytest $(ARGS),tests)

# The XML-RPC client for Node.js, for the tests. Those for other languages are system packages (see .ci/run).
node-client:
	npm install --silent --no-save --no-package-lock --no-audit --no-fund --prefix tests/clients/node xmlrpc@1.3.2

bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks.wire
	$(BIN)/python -m benchmarks.transport
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.counting
	$(BIN)/python -m benchmarks $(ARGS)

screenshot: $(VENV)/.installed-dev
	$(BIN)/python -m tests.support.screenshot docs/page.png

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
