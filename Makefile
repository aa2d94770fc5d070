# Every line can be typed by hand. `make` alone lists the commands.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

demo: .venv/server ## fetch a small model and let it answer a question here
	$(BIN)/roci get smollm2-135m-instruct
	$(BIN)/roci run --stats -m local:smollm2-135m-instruct "Why is the sky blue?" --max-tokens 300

test: .venv/dev clients ## run every test, with the real engine and the starter model
	$(BIN)/pytest

clients: .venv/clients/installed .venv/instructor/installed tests/conformance/node/node_modules ## fetch the client libraries that are tested

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

fuzz: .venv/dev ## made-up requests against a live server, many more than the tests make; minutes
	ROCI_FUZZ_EXAMPLES=50 $(BIN)/pytest --timeout 3600 tests/conformance/test_schemathesis.py

compatibility: .venv/dev ## write docs/compatibility.md from the marks on tests
	$(BIN)/python -m tests.support.compatibility

bench: .venv/dev clients ## measure, print tables, write docs/benchmarks.md
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

.venv/clients/installed .venv/instructor/installed: .venv/%/installed: pyproject.toml tests/conformance/clients/%-constraints.txt
	$(PYTHON) -m venv .venv/$*
	.venv/$*/bin/python -m pip install --quiet --constraint constraints.txt pip
	.venv/$*/bin/python -m pip install --quiet --constraint tests/conformance/clients/$*-constraints.txt --group $*
	touch $@

tests/conformance/node/node_modules: tests/conformance/node/package-lock.json
	if command -v npm > /dev/null; then npm ci --prefix tests/conformance/node --no-audit --no-fund && touch $@; else echo "no npm: the clients from there are not tested"; fi

clean: ## remove the environment and caches
	rm -rf .venv .cache tests/conformance/node/node_modules .pytest_cache .ruff_cache .hypothesis

.PHONY: help demo test clients check fix serve fuzz compatibility bench clean
