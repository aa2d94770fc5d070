# Every line can be typed by hand. `make` alone lists the commands.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' Makefile

demo: .venv/server ## fetch a small model and let it answer a question here
	$(BIN)/roci get smollm2-135m-instruct
	$(BIN)/roci run --stats -m local:smollm2-135m-instruct "Why is the sky blue?" --max-tokens 300

test: .venv/dev ## run every test, with the real engine and the starter model
	$(BIN)/pytest

check: .venv/dev ## format, lint, types, import arrows, sync and async twins; seconds
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/pytest -q tests/test_arrows.py tests/test_sync_async_parity.py tests/test_public_names.py

fix: .venv/dev ## format, sort imports, apply safe lint fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

serve: .venv/server ## serve the models on this machine at http://127.0.0.1:1234
	$(BIN)/roci serve --verbose

bench: .venv/dev ## measure, print tables, write docs/benchmarks.md
	$(BIN)/python -m bench

.venv/pip: constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip
	touch .venv/pip

.venv/server: .venv/pip pyproject.toml
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[server]'
	touch .venv/server

.venv/dev: .venv/server
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	touch .venv/dev

clean: ## remove the environment and caches
	rm -rf .venv .cache .pytest_cache .ruff_cache .hypothesis

.PHONY: help demo test check fix serve bench clean
