# What people and CI type. Each recipe is one or two plain commands, so everything also works without make.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

BIN := .venv/bin
SETUP := scripts/setup_environment.sh
CODE := libs services cli tests scripts bench
# uv comes with the development environment; one on the PATH does as well.
UV = $(if $(wildcard $(BIN)/uv),$(BIN)/uv,uv)
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)
RUN_SOURCES := --extra embedded --group embedded pyproject.toml
DEV_SOURCES := --group dev -c requirements.txt
# What speech needs beyond requirements.txt, which is installed first.
SPEECH_SOURCES := --extra speech --group speech pyproject.toml -c requirements.txt -c requirements-dev.txt \
	$$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' requirements.txt)
# What a cluster needs beyond requirements.txt, likewise.
KUBERNETES_SOURCES := --extra kubernetes pyproject.toml -c requirements.txt -c requirements-dev.txt \
	$$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' requirements.txt)
# What compiles modules for a wheel, beyond requirements.txt, which has the build backend.
COMPILE_SOURCES := --group compile -c requirements.txt -c requirements-dev.txt \
	$$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' requirements.txt)
# Foreign clients, each in an environment of its own (scripts/compat_environment.sh).
COMPAT := $(wildcard tests/compat/requirements-*.in)
# uv alone, pinned as in the development lock, for machines that have none.
UV_LINES := awk '/^uv==/ {found = 1} found && !/^uv==/ && /^[^ ]/ {exit} found && !/^ *\#/'
# The router's own tests, again, with its modules compiled.
COMPILED_TESTS := $(wildcard tests/unit/router tests/properties/test_router_*.py tests/integration/router tests/integration/router_limits)
AS_COMPILED := HOSTLER_TEST_COMPILED=1 PYTHONPATH=$(CURDIR)/build/compiled
ARGS ?=
# Tests that only compute run beside each other on all processors, those with servers two at a time because they mostly wait. Some have
# the machine to themselves: they look at how soon something is over. Files come in their order, in which the long ones are first.
BESIDE := $(wildcard tests/integration/api tests/simulation tests/properties tests/integration/router tests/conformance tests/unit tests/contract)
ALONE := $(wildcard tests/faults/test_router_faults.py tests/faults/test_single_faults.py tests/faults/test_thousand_streams.py)
PARALLEL := --dist loadfile --no-loadscope-reorder -n logical --maxprocesses 8
TWO := --dist loadfile --no-loadscope-reorder -n 2
# Since when the time to the first token counts, the making of the environment included.
export DEMO_STARTED_AT := $(shell date +%s)

export PYTHON INSTALLER

.PHONY: help setup setup-dev setup-speech demo up down test test-unit compiled test-compiled wheels manifests compose-test fmt lint lock lock-check check clean test-cluster bench bench-relist bench-append bench-placement bench-router bench-autoscaler storm storm-kubernetes

help: ## Show these targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv with what Hostler needs to run (PYTHON=..., INSTALLER=pip).
	@$(SETUP) run

setup-dev: ## Make .venv with the tools for development as well.
	@$(SETUP) dev

setup-speech: ## Make .venv with what speech to text needs as well (400 MB more).
	@$(SETUP) speech

demo: setup ## Start the stack, deploy the small model, ask it one question (STOP=1 stops the stack).
	@$(BIN)/python scripts/demo.py $(if $(STOP),--stop)

up: setup ## Run the stack in the foreground (ARGS='--scale router=2').
	@$(BIN)/hostler up $(ARGS)

down: setup ## Stop the stack.
	@$(BIN)/hostler down $(ARGS)

test: setup-dev lint ## Everything that must pass: lint, types, layers, all tests.
	@$(if $(ARGS),$(BIN)/pytest $(ARGS),status=0; rm -rf build/tests; \
		$(BIN)/pytest --junitxml=build/tests/beside.xml $(PARALLEL) $(BESIDE) || status=$$?; \
		$(BIN)/pytest --junitxml=build/tests/two.xml $(TWO) $(addprefix --ignore=,$(BESIDE) $(ALONE)) || status=$$?; \
		$(BIN)/pytest --junitxml=build/tests/alone.xml $(ALONE) || status=$$?; \
		compiled=; scripts/compile.sh && compiled=build/tests/compiled.xml || [ $$? = 69 ] || status=1; \
		[ -z "$$compiled" ] || $(AS_COMPILED) $(BIN)/pytest --junitxml=$$compiled $(TWO) $(COMPILED_TESTS) || status=$$?; \
		$(BIN)/python scripts/test_total.py build/tests/beside.xml build/tests/two.xml build/tests/alone.xml $$compiled || status=$$?; \
		exit $$status)

test-unit: setup-dev ## The tests without servers; seconds.
	@$(BIN)/pytest $(PARALLEL) $(wildcard tests/unit tests/properties tests/contract) $(ARGS)

compiled: setup-dev ## Compile the router's modules into build/compiled, for PYTHONPATH (needs a C compiler; a minute).
	@scripts/compile.sh

test-compiled: compiled ## The router's tests with its modules compiled.
	@$(AS_COMPILED) $(BIN)/pytest $(TWO) $(COMPILED_TESTS) $(ARGS)

test-cluster: setup-dev ## The Kubernetes API and the KubeVirt backend against the cluster of KUBECONFIG (the fake one as well).
	@test -n "$$KUBECONFIG" || { echo "KUBECONFIG must name the file of a cluster to test" >&2; exit 2; }
	@$(BIN)/pytest tests/conformance/kubernetes $(ARGS)

wheels: ## Download the locked packages for the image, with pip as it is set up here (then: PIP_NO_INDEX=1).
	@mkdir -p build/wheels
	@$(if $(PYTHON),$(PYTHON),python3) -m pip --disable-pip-version-check download --quiet --no-deps --require-hashes \
		--only-binary=:all: --python-version 3.11 --dest build/wheels \
		-r requirements.txt -r requirements-kubernetes.txt -r requirements-compile.txt

manifests: setup-dev ## Write deploy/kubernetes anew from the chart and from the permissions at NATS.
	@$(BIN)/python scripts/render_nats_users.py
	@$(BIN)/python scripts/render_kubernetes.py

compose-test: ## Try compose.yaml for real: needs a Docker engine (ARGS=--no-build takes the image that is there).
	@$(if $(PYTHON),$(PYTHON),python3) scripts/compose_test.py $(ARGS)

bench: setup ## What the log costs with 10,000 jobs; prints figures, judges nothing.
	@$(BIN)/python bench/projection.py $(ARGS)

bench-relist: setup ## What it costs to hold a projection of 10,000 jobs against the log.
	@$(BIN)/python bench/relist.py $(ARGS)

bench-append: setup ## What it costs to have every append on disk before it is acknowledged.
	@$(BIN)/python bench/append_rate.py $(ARGS)

bench-router: $(if $(COMPILED),compiled,setup) ## What the router costs beside nginx: needs nginx and wrk (ARGS=--quick takes a minute; COMPILED=1).
	@$(if $(COMPILED),PYTHONPATH=$(CURDIR)/build/compiled) $(BIN)/python -m bench.router $(ARGS)

bench-autoscaler: setup ## How scaling policies compare (ARGS='--quick --traces DIR'; the public traces are not in the repository).
	@$(BIN)/python -m bench.autoscaler $(ARGS)

bench-placement: setup ## How long the scheduler plans for 10,000 replicas on 1,000 nodes.
	@$(BIN)/python bench/placement.py $(ARGS)

storm-kubernetes: setup-dev ## Kill services two hundred times in a storm of fifty jobs with machines of a fake Kubernetes.
	@HOSTLER_STORM_KILLS=$${HOSTLER_STORM_KILLS:-200} HOSTLER_STORM_JOBS=$${HOSTLER_STORM_JOBS:-50} \
		HOSTLER_NATS_KILLS=$${HOSTLER_NATS_KILLS:-25} HOSTLER_FROZEN_SECONDS=$${HOSTLER_FROZEN_SECONDS:-60} \
		$(BIN)/pytest -s tests/faults/test_kubernetes_storm.py tests/faults/test_kubernetes_twins.py $(ARGS)

storm: setup-dev ## Kill processes of a stack at random, 200 by default, and judge what is left (ARGS='--kills 50 --seed 3').
	@$(BIN)/python -m tests.faults.storm $(ARGS)

fmt: setup-dev ## Format the code and mend what ruff can mend.
	@$(BIN)/ruff format $(wildcard $(CODE))
	@$(BIN)/ruff check --fix $(wildcard $(CODE))

lint: setup-dev ## Format, lint, types and import rules, changing nothing.
	@$(BIN)/ruff format --check $(wildcard $(CODE))
	@$(BIN)/ruff check $(wildcard $(CODE))
	@$(BIN)/mypy $(wildcard libs services cli scripts)
	@$(BIN)/lint-imports

lock: ## Renew the lock files from pyproject.toml (UPGRADE=1 takes newer versions).
	@$(COMPILE) $(RUN_SOURCES) -o requirements.txt
	@$(COMPILE) $(DEV_SOURCES) -o requirements-dev.txt
	@$(COMPILE) $(SPEECH_SOURCES) -o requirements-speech.txt
	@$(COMPILE) $(KUBERNETES_SOURCES) -o requirements-kubernetes.txt
	@$(COMPILE) $(COMPILE_SOURCES) -o requirements-compile.txt
	@$(UV_LINES) requirements-dev.txt > requirements-uv.txt
	@for each in $(COMPAT); do $(COMPILE) $$each -o $${each%.in}.txt || exit 1; done

# The present pins are the wish for the new ones, so a newer release alone changes nothing.
lock-check: setup-dev ## Tell whether the lock files fit pyproject.toml.
	@mkdir -p build && cp requirements.txt build/lock-run.txt && cp requirements-dev.txt build/lock-dev.txt
	@cp requirements-speech.txt build/lock-speech.txt && cp requirements-kubernetes.txt build/lock-kubernetes.txt
	@cp requirements-compile.txt build/lock-compile.txt
	@$(COMPILE) $(RUN_SOURCES) -o build/lock-run.txt && diff -u requirements.txt build/lock-run.txt
	@$(COMPILE) $(DEV_SOURCES) -o build/lock-dev.txt && diff -u requirements-dev.txt build/lock-dev.txt
	@$(COMPILE) $(SPEECH_SOURCES) -o build/lock-speech.txt && diff -u requirements-speech.txt build/lock-speech.txt
	@$(COMPILE) $(KUBERNETES_SOURCES) -o build/lock-kubernetes.txt && diff -u requirements-kubernetes.txt build/lock-kubernetes.txt
	@$(COMPILE) $(COMPILE_SOURCES) -o build/lock-compile.txt && diff -u requirements-compile.txt build/lock-compile.txt
	@$(UV_LINES) requirements-dev.txt | diff -u requirements-uv.txt -
	@for each in $(COMPAT:.in=); do cp $$each.txt build/lock-compat.txt && \
		$(COMPILE) $$each.in -o build/lock-compat.txt && diff -u $$each.txt build/lock-compat.txt || exit 1; done

check: lock-check test ## What must pass before a change is handed in.

clean: ## Remove caches and build outputs; .venv and the stack's data stay.
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	@find libs services cli tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
