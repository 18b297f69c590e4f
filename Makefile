# Everything here works in a fresh clone: each target sets up what it needs first.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Pinned versions of BuildKit and Helm are built into this folder where PATH has none.
TOOLS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/shipway/tools
export SHIPWAY_TOOLS := $(TOOLS)
export PATH := $(CURDIR)/$(BIN):$(PATH):$(TOOLS)/bin

# What to build; see `make help`.
REPO ?=
REVISION ?=
IMAGE ?=
REGISTRY ?=
ENGINE ?= local
NAMESPACE ?=
JOBS ?=
ARGS ?=
# pytest's arguments: make test T=tests/unit/images/test_names.py
T ?=
# Processes that share the tests (by default tests/conftest.py says how many), or none: make test WORKERS=0
WORKERS ?= auto

.PHONY: help
help: ## Show this help
	@echo "usage: make TARGET [NAME=VALUE …]"
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "examples:"
	@echo "  make submit                           build examples/ into a registry of this machine"
	@echo "  make submit REPO=https://git.example.com/shop.git REVISION=main IMAGE=apps/web"
	@echo "  make submit REPO=../shop REGISTRY=registry.example.com/team ARGS=--json"
	@echo "  make submit ENGINE=argo NAMESPACE=ci REPO=https://git.example.com/shop.git"
	@echo "  make test T='tests/unit -k images'"

# --- the main job ---------------------------------------------------------------------------------------------------

# Without REPO, the examples.
RUN_FLAGS = $(if $(REPO),'$(REPO)',--examples) $(if $(REVISION),--revision '$(REVISION)') \
  $(if $(REGISTRY),--registry '$(REGISTRY)') $(if $(JOBS),--jobs $(JOBS)) --engine $(ENGINE) \
  $(if $(NAMESPACE),--namespace '$(NAMESPACE)') $(ARGS)

.PHONY: submit
submit: run-ready ## Build and publish images: REPO, REVISION, IMAGE, REGISTRY, JOBS, ENGINE, ARGS (default: examples/)
	@shipway build $(if $(IMAGE),--image '$(IMAGE)') $(RUN_FLAGS)

.PHONY: release
release: run-ready helm ## Build, release and deploy a commit: REPO, REVISION, REGISTRY, JOBS, ARGS (default: examples/)
	@$(if $(IMAGE),$(error IMAGE= is for `make submit`: a release is of the whole commit))
	@shipway release $(RUN_FLAGS)

.PHONY: check-pr
check-pr: run-ready helm ## Try a commit, publish nothing: REPO, REVISION, REGISTRY, JOBS, ARGS (default: examples/)
	@$(if $(IMAGE),$(error IMAGE= is for `make submit`: a check is of the whole commit))
	@shipway check $(RUN_FLAGS)

.PHONY: compile
compile: run-ready ## Write the workflows as YAML into charts/shipway/files, and the chart's values into docs/values.md
	@shipway compile
	@$(BIN)/python -m tests.chart.reference

.PHONY: registry-stop registry-clean
registry-stop: run-ready ## Stop the registry of this machine; its images stay
	@shipway embedded down
registry-clean: run-ready ## Stop the registry of this machine and forget images, logs and caches
	@shipway embedded clean

# --- checks ---------------------------------------------------------------------------------------------------------

.PHONY: test
test: dev-ready test-packages tools ## Run every test that needs no cluster: T='pytest arguments'
	@$(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal $(T)

.PHONY: lint
lint: dev-ready ## Style, types, layers, and drift of the compiled files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config pyproject.toml
	@$(BIN)/shipway compile --check

.PHONY: format
format: dev-ready ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: bench
bench: dev-ready test-packages tools ## Measure against the bare tools typed by hand, in one interleaved run
	@$(BIN)/python -m tests.bench $(ARGS)

.PHONY: bench-cluster
bench-cluster: dev-ready tools ## Measure on the cluster that KUBECONFIG names: ARGS="--pairs 7 --only by-hand"
	@$(BIN)/python -m tests.bench.cluster $(ARGS)
	$(if $(ARGS),,@$(BIN)/python -m tests.bench.events)

.PHONY: bench-events
bench-events: dev-ready tools ## Measure what begins with a webhook: ARGS="--runs 20 --pairs 7 --only first"
	@$(BIN)/python -m tests.bench.events $(ARGS)

.PHONY: e2e
e2e: dev-ready test-packages tools ## Run on the cluster of KUBECONFIG, or skip with a line: T=tests/e2e/test_circle.py
	@$(BIN)/pytest -m cluster $(or $(T),tests/e2e)

.PHONY: soak
soak: dev-ready test-packages tools ## Kill releases here, and try histories: ARGS='--kills 10 --histories 10'
	@$(BIN)/python -m tests.soak.local $(ARGS)

.PHONY: soak-cluster
soak-cluster: dev-ready ## Break runs on the cluster, many times over, and count what came of them: ARGS=--runs 10
	@$(BIN)/python -m tests.soak $(ARGS)

.PHONY: soak-events
soak-events: dev-ready ## Break what carries events, on a cluster of one node, and count: ARGS=--runs 10
	@$(BIN)/python -m tests.soak.events $(ARGS)

.PHONY: soak-order
soak-order: dev-ready test-packages tools ## Miss, delay and overtake pushes of real releases, and count: ARGS=--runs 10
	@$(BIN)/python -m tests.soak.order $(ARGS)

.PHONY: soak-circle
soak-circle: dev-ready test-packages tools ## Push, tell and kill in random order with real webhooks: ARGS=--runs 10
	@$(BIN)/python -m tests.soak.circle $(ARGS)

.PHONY: soak-deployments soak-argo-cd
soak-deployments: dev-ready test-packages ## Race deployments against other writers, and count: ARGS='--times 100'
	@$(BIN)/python -m tests.soak.deployments $(ARGS)

soak-argo-cd: dev-ready test-packages tools ## Break what Argo CD needs to follow a commit, and count: ARGS=--runs 10
	@$(BIN)/python -m tests.soak.argo_cd $(ARGS)

# --- set-up ---------------------------------------------------------------------------------------------------------

.PHONY: run-ready dev-ready
run-ready: packages $(VENV)/run.stamp
dev-ready: packages $(VENV)/dev.stamp

.PHONY: packages
packages: ## Install the programs that are missing (as root, with apt) or say which they are
	@setup/packages

.PHONY: test-packages
test-packages:
	@setup/packages test

.PHONY: tools
tools: packages ## Build BuildKit and Helm at their pinned versions, where PATH lacks them
	@setup/tools '$(TOOLS)'

.PHONY: helm
helm: packages
	@SHIPWAY_WITHOUT_BUILDKIT=1 setup/tools '$(TOOLS)'

PIP_INSTALL := $(BIN)/pip --disable-pip-version-check --quiet install

$(VENV)/bin/pip: | packages
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(VENV)/bin/pip
	@echo "installing the pinned requirements into $(VENV)" >&2
	@setup/requirements $(VENV) requirements/run.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	@setup/requirements $(VENV) requirements/dev.txt
	@touch $@

.PHONY: requirements
requirements: dev-ready ## Pin the newest requirements that pyproject.toml allows
	@for part in run dev; do \
	  $(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras --no-header \
	    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --build-deps-for editable \
	    $$([ $$part = run ] || echo --extra dev -c requirements/run.txt) -o requirements/$$part.txt pyproject.toml; \
	done

.PHONY: clean
clean: ## Remove what was made here: the registry's data, caches, the virtual environment
	@[ ! -x $(BIN)/shipway ] || $(BIN)/shipway embedded clean
	@rm -rf $(VENV) .shipway/bench build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
