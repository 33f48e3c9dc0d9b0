# `make` or `make help` lists what can be made. Everything goes to .venv/ and build/; `make clean` removes both.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

BIN := .venv/bin
PIP := $(BIN)/python -m pip install -qq --no-warn-script-location
TYPED_SCRIPTS = $(wildcard scripts/*.py)
TYPED_TESTS = $(shell find tests fake_ecs -name '*.py' -not -name 'test_*' -not -path 'tests/clients/*')
PYTHON_SCRIPTS = scripts/debian13 scripts/demo scripts/engine scripts/engines scripts/lock scripts/sample-image scripts/third-party scripts/with-engine

.PHONY: help demo test judges drills unit engines debian13 bench lint fmt coverage lock clean .venv FORCE

help: ## this list
	@grep -hE '^[a-z.]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z.]+):.*## /\1\t/' | expand -t 12

demo: .venv/.runtime src/ecscope/_build.py ## ECS on this machine with two sample tasks, live; ONCE=1 prints, cleans up and ends
	@$(BIN)/python scripts/demo

test: lint ## all checks and all tests, with an engine (20 minutes at most)
	@$(BIN)/python -m compileall -q src # else each of the hundreds of processes does, where PYTHONDONTWRITEBYTECODE is set
	@$(BIN)/python scripts/with-engine --optional $(BIN)/python -m pytest -q $(ARGS)

judges: .venv/.dev src/ecscope/_build.py ## third-party programs (ansible, Airflow, Terraform, …) against the control plane; writes docs/judges.md
	@JUDGES_TABLE=docs/judges.md $(BIN)/python -m pytest -q tests/judges $(ARGS)

drills: .venv/.dev src/ecscope/_build.py ## tasks that are broken on purpose, and what `ecscope why` says of each; writes docs/causes.md
	@DRILLS_TABLE=docs/causes.md $(BIN)/python scripts/with-engine $(BIN)/python -m pytest -q tests/drills $(ARGS)

unit: .venv/.dev src/ecscope/_build.py ## the quick tests: no engine, no network
	@$(BIN)/python -m pytest -q tests/unit tests/property $(ARGS)

engines: .venv/.dev src/ecscope/_build.py ## the tests that an engine can fail on engines of several versions, and docs/engines.md (an hour)
	@$(BIN)/python scripts/engines $(ARGS)

debian13: ## the demo and all tests in a new root of Debian 13 (half an hour); ARGS="bash" looks around in it
	@"$$(scripts/python)" scripts/debian13 $(ARGS)

bench: .venv/.dev src/ecscope/_build.py ## the figures; ARGS="--peer URL" measures another agent beside ours
	@$(BIN)/python scripts/with-engine $(BIN)/python -m bench $(ARGS)

lint: .venv/.dev src/ecscope/_build.py ## format, style, types and import rules
	@$(BIN)/ruff format --check -q .
	@$(BIN)/ruff check -q .
	@$(BIN)/mypy --no-error-summary -p ecscope
	@$(BIN)/mypy --no-error-summary -p bench
	@$(BIN)/mypy --no-error-summary $(TYPED_SCRIPTS)
	@$(BIN)/mypy --no-error-summary --explicit-package-bases $(TYPED_TESTS)
	@for script in $(PYTHON_SCRIPTS); do $(BIN)/mypy --no-error-summary "$$script"; done
	@$(BIN)/lint-imports --no-logo >build/imports.txt 2>&1 || { cat build/imports.txt; exit 1; }
	@echo "lint: format, style, types and import rules hold"

fmt: .venv/.dev ## format, and mend what can be mended
	@$(BIN)/ruff format -q .
	@$(BIN)/ruff check -q --fix .

coverage: .venv/.dev src/ecscope/_build.py ## branch coverage of the quick tests
	@$(BIN)/coverage run -m pytest -q tests/unit tests/property
	@$(BIN)/coverage report

lock: ## resolve all locks anew (requirements/, npm's clients), and with them THIRD-PARTY
	@"$$(scripts/python)" scripts/lock
	@$(MAKE) .venv
	@$(BIN)/python scripts/third-party

clean: ## remove all that was made, also what a crashed run left in the engine
	@if python=$$(scripts/python 2>/dev/null); then "$$python" scripts/demo --clean; "$$python" scripts/engine release; fi
	@rm -rf .venv build dist bench-results .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov
	@rm -f src/ecscope/_build.py
	@find src scripts tests -name __pycache__ -prune -exec rm -rf {} +

.venv: .venv/.dev src/ecscope/_build.py ## the environment with the command .venv/bin/ecscope and the tools

.venv/.runtime: requirements/runtime.lock requirements/build.lock pyproject.toml
	@python=$$(scripts/python); mkdir -p build; \
	if ! $(BIN)/python -c '' 2>/dev/null; then \
	    echo "venv: making .venv with $$("$$python" --version)"; rm -rf .venv; "$$python" -m venv .venv; fi
	@echo "venv: installing the locked libraries and ecscope itself"
	@$(PIP) --require-hashes -r requirements/runtime.lock -r requirements/build.lock || { echo "venv: pip could not get a library (see above); it needs a package index, by network or by pip's configuration" >&2; exit 1; }
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: .venv/.runtime requirements/dev.lock
	@echo "venv: installing the locked tools for tests and checks"
	@$(PIP) --require-hashes -r requirements/dev.lock || { echo "venv: pip could not get a tool (see above); it needs a package index, by network or by pip's configuration" >&2; exit 1; }
	@touch $@

# Written only when it changes, so that nothing is rebuilt for it.
src/ecscope/_build.py: FORCE
	@mkdir -p build; commit=$$(git rev-parse HEAD 2>/dev/null || echo 00000000); line="COMMIT = \"$${commit:0:8}\""; \
	if [ "$$(tail -n 1 $@ 2>/dev/null)" != "$$line" ]; then printf '%s\n' '"""Generated by make: the commit that this build was made from."""' '' "$$line" >$@; fi

FORCE:
