# One command per chore. Everything lives in .venv and .build; nothing outside the checkout is touched
# (but Debian's chromium, which `make test` installs when root and missing).
.PHONY: setup setup-test demo test quick coverage campaign bench truth pictures lint format docs lock clean
.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
export UV_PYTHON_DOWNLOADS := never

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.venv/bin/python:
	python=$$(.ci/find-python) && uv=$$(.ci/find-uv "$$python") && "$$uv" venv --quiet --python "$$python" .venv

.venv/.run-ready: requirements.lock pyproject.toml | .venv/bin/python
	uv=$$(.ci/find-uv "$$(.ci/find-python)") && "$$uv" pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock \
	  && "$$uv" pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

.venv/.test-ready: tests/requirements.lock .venv/.run-ready
	uv=$$(.ci/find-uv "$$(.ci/find-python)") && "$$uv" pip install --quiet --python $(BIN)/python --require-hashes -r tests/requirements.lock
	@touch $@

setup: .venv/.run-ready ## make .venv with what the program needs
setup-test: .venv/.test-ready ## ... and what its tests need

demo: setup ## dashboard and worker on the sample mouse; Ctrl-C ends both
	@exec $(BIN)/trackmapper demo

lint: setup-test ## style, types, directions of import
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# The campaigns mostly wait, so everything else has its turn meanwhile, three at a time on two cores, as these wait,
# too; browsers come last and wait much.
# What the tests have counted, the controls that must fail included, closes the run, seeds and all.
test: lint ## every gate and every test, the browser's too
	TRACKMAPPER_TEST_CHROMIUM=$$(.ci/find-chromium) && export TRACKMAPPER_TEST_CHROMIUM && mkdir -p .build && \
	  export TRACKMAPPER_TEST_COUNTS=.build/counts.log && : >.build/counts.log && \
	  { $(BIN)/pytest -m slow -k code_ocean >.build/far.log 2>&1 & far=$$!; \
	    $(BIN)/pytest -m slow -k "not code_ocean" >.build/near.log 2>&1 & near=$$!; \
	    $(BIN)/pytest -n 3 --dist worksteal -m "not browser and not slow"; most=$$?; \
	    $(BIN)/pytest -n 3 --dist loadfile -m "browser and not slow" --durations=8; browsers=$$?; \
	    wait $$near; kills=$$?; wait $$far; kills=$$((kills | $$?)); \
	    cat .build/near.log .build/far.log; echo "what was counted in all of it:"; cat .build/counts.log; \
	    exit $$((most | browsers | kills)); }

quick: setup-test ## the tests without browser and kill campaigns
	$(BIN)/pytest -n 2 --dist worksteal -m "not browser and not slow"

coverage: setup-test ## which lines those tests run
	$(BIN)/pytest -n 2 --dist worksteal -m "not browser and not slow" --cov --cov-report=term:skip-covered

campaign: setup-test ## the large forms of the counting tests, hours long; CAMPAIGN="--seed 7 days" picks
	$(BIN)/python -m tests.campaign $(CAMPAIGN)

bench: setup-test ## print the figures of docs/architecture.md
	TRACKMAPPER_TEST_CHROMIUM=$$(.ci/find-chromium) && export TRACKMAPPER_TEST_CHROMIUM && $(BIN)/python -m tests.bench

truth: setup-test ## judge checks and suggestions on 1,000 synthetic mice, into docs/truth.md; TRUTH="--mice 50 --seed 0 --set tilt_deg=25" picks
	$(BIN)/python tests/truth.py --out docs/truth.md $(TRUTH)

pictures: setup-test ## take the README's screenshots anew
	TRACKMAPPER_TEST_CHROMIUM=$$(.ci/find-chromium) && export TRACKMAPPER_TEST_CHROMIUM && $(BIN)/python -m tests.pictures

format: setup-test ## put the code in the house's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup ## rewrite the tables in README and docs that come from the code
	$(BIN)/python docs/tables.py

lock: ## compile the two lock files anew from pyproject.toml
	uv=$$(.ci/find-uv "$$(.ci/find-python)") && for lock in requirements.lock "tests/requirements.lock --group test"; do \
	  "$$uv" pip compile --quiet --universal --python-version 3.12 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o $$lock; done

clean: ## remove what setup, demo and tests made
	rm -rf .venv .build .trackmapper build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
