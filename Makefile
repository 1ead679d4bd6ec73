# Thin: each target is one script or one command. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help run setup test e2e lint types bench faults docs screenshots lock clean
PORT ?= 8000
export PORT

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## install, migrate, seed and serve on http://127.0.0.1:8000 (PORT=8001 for another port)
	@exec scripts/run.sh

setup: ## install everything that development and tests need
	@exec scripts/setup.sh dev

test: ## all tests: units and services, then the browser journeys
	@exec scripts/test.sh all

e2e: ## only the browser journeys, against the running product
	@exec scripts/test.sh journeys

lint: ## style, layers, templates, migrations, JavaScript, documentation
	@exec scripts/lint.sh

types: ## mypy --strict
	@exec scripts/types.sh

bench: ## all benchmarks (QUICK=1: under a minute each)
	@exec scripts/bench.sh

faults: ## the long fault tests (kills, stalls, full disks), not part of make test
	@exec scripts/test.sh faults

docs: ## build the documentation, which the product serves under /docs/
	@scripts/setup.sh dev && scripts/docs.sh

screenshots: ## pictures of every page of the running product (PICTURES=--readme: those of the documentation)
	@exec scripts/screenshots.sh $(PICTURES)

lock: ## compile requirements/*.in to the pinned .txt files
	@exec scripts/lock.sh

clean: ## remove everything that was installed or generated, but not var/ (your data)
	@exec scripts/clean.sh
