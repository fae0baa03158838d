# `make` alone runs what CI runs. `make help` lists the rest.

PACKAGE := pipeline_project
# Nothing where the framework is a wheel in vendor/; the template, and a fork that asked for it, have it as source.
ASSAY := $(wildcard assay/src/assay)

# The environment: made in .venv from the lock. `make PYTHON=...` uses one that is ready, and installs nothing.
ifeq ($(origin PYTHON),command line)
READY :=
else
PYTHON := .venv/bin/python
READY := .venv/.installed
endif

# Where Dagster keeps the history of runs between starts; `pipeline run` uses the same. Dry runs have their own.
HISTORY := $(or $(DAGSTER_HOME),$(CURDIR)/.dagster)$(if $(filter dry_run,$(PIPELINE_ENV)),/dry_run)

# Half of the time it takes to collect tests is to compile them, in each worker: what nobody would keep where the shell
# says so.
COMPILED := PYTHONDONTWRITEBYTECODE=

PORT ?= 3000
TESTS ?=
ARGS ?=
FROM ?=
# What the lock has of what pyproject.toml offers.
EXTRAS ?= kafka stores excel dlt

# template: more tests than a fork's, and what a fork no longer does
# One more than the cores, for some tests wait for servers more than they compute.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
# What the quick tests run of the code, in percent; `make coverage` fails below. It only ever rises: half of them run this
# much already, so that all of them run more.
FLOOR ?= 59
# Browsers, and what takes over a second of the processor: for what is to be merged, not for each change.
MARKED := -m "not browser and not slow and not spark"
NAME ?=
EXAMPLE ?=
FRAMEWORK ?=
TO ?=

.DEFAULT_GOAL := check
.DELETE_ON_ERROR:
.PHONY: run open test dev check lint format types layers coverage golden docs spark site bench lock install fork upgrade clean clean-all help

run: $(READY) ## Install, and run the whole pipeline on the real example data
	@"$(PYTHON)" -m compileall -q $(PACKAGE) $(ASSAY)
	@"$(PYTHON)" -m $(PACKAGE) run $(ARGS)

dev: $(READY) ## Dagster's UI on http://localhost:3000 (PORT=...), with history kept between starts
	@"$(PYTHON)" -m compileall -q $(PACKAGE) $(ASSAY)
	@mkdir -p "$(HISTORY)"
	@[ -e "$(HISTORY)/dagster.yaml" ] || ln -sf "$(CURDIR)/dagster.yaml" "$(HISTORY)/dagster.yaml"
	@"$(PYTHON)" -m assay.orchestration.history "$(HISTORY)"
	@# Started from the history's folder, since Dagster warns of any other dagster.yaml; and it prefers `dg dev`
	@# for projects of components, which this is not.
	@# The daemon would tell every second that a run waits, so only warnings are told.
	@echo "Dagster's UI: http://localhost:$(PORT) in half a minute; Ctrl-C ends it"
	@cd "$(HISTORY)" && DAGSTER_HOME="$(HISTORY)" "$(if $(filter /%,$(PYTHON)),,$(if $(findstring /,$(PYTHON)),$(CURDIR)/))$(PYTHON)" \
	    -W 'ignore:Function `dev_command` is superseded' \
	    -m dagster dev --workspace "$(CURDIR)/workspace.yaml" --port $(PORT) --log-level warning

open: $(READY) ## What the last run made for readers, in the browser
	@"$(PYTHON)" -m $(PACKAGE) open $(ARGS)

check: MARKED := -m "not spark" # template;
check: lint types layers test ## Lint, types, import layers, all tests: what CI runs

test: $(READY) ## All tests but those marked `browser` or `slow`, or TESTS="path ..." only
	MAKEFLAGS= $(COMPILED) "$(PYTHON)" -m pytest -n $(WORKERS) --dist worksteal $(or $(TESTS),$(MARKED))

lint: $(READY) ## Ruff: rules and format; deptry: what is imported is declared
	"$(PYTHON)" -m ruff check .
	"$(PYTHON)" -m ruff format --check .
	"$(PYTHON)" -m deptry --no-ansi $(PACKAGE)
	$(if $(ASSAY),"$(PYTHON)" -m deptry --no-ansi --config assay/pyproject.toml assay/src)

format: $(READY) ## Let Ruff mend what it can
	"$(PYTHON)" -m ruff check --fix .
	"$(PYTHON)" -m ruff format .

types: $(READY) ## Mypy
	"$(PYTHON)" -m mypy

layers: $(READY) ## Imports point one way
	"$(PYTHON)" -c "from importlinter.cli import lint_imports_command as lint; lint(['--no-logo'])"

# template: its floor is of the framework and the example together
coverage: $(READY) ## The quick tests, with the share of lines and branches they run; fails below FLOOR percent
	MAKEFLAGS= $(COMPILED) "$(PYTHON)" -m pytest -n $(WORKERS) --dist worksteal $(MARKED) --cov --cov-report=term \
	    --cov-report=html:build/coverage --cov-fail-under=$(FLOOR)

# framework: CI runs it beside `make check`; it needs Java, and pyspark's 320 MB stand beside the environment
spark: $(if $(READY),.venv/spark/.installed) ## The tests on a cluster of Apache Spark (needs Java 17)
	PYTHONPATH="$(CURDIR)/.venv/spark" "$(PYTHON)" -m pytest -m spark $(or $(TESTS),assay/tests/spark assay/tests/warehouse)

golden: $(READY) ## Golden cases (ARGS="CASE/TABLE" for some)
	@"$(PYTHON)" -m $(PACKAGE) golden $(ARGS)

docs: $(READY) ## A page about every table, build/docs.html (ARGS="--no-golden" is quicker)
	@"$(PYTHON)" -m $(PACKAGE) docs $(ARGS)

# template: its documents
site: $(if $(READY),.venv/site/.installed) ## The documents and the framework's reference as a site, build/site/
	@NO_MKDOCS_2_WARNING=1 PYTHONPATH="$(CURDIR)/.venv/site" "$(PYTHON)" -m mkdocs build --strict -f docs/site/mkdocs.yml
	@echo "site  build/site/index.html"

# template: the benchmarks measure the example
bench: $(READY) ## Measure; writes benchmarks/README.md
	@"$(PYTHON)" -m compileall -q $(PACKAGE) $(ASSAY) benchmarks
	@"$(PYTHON)" -m benchmarks $(ARGS)

lock: ## Resolve requirements.lock anew (needs uv); UPGRADE=1 takes the newest versions
	uv pip compile --quiet --universal --no-strip-extras --generate-hashes --no-emit-index-url --no-header \
	    $(if $(EXTRAS),$(EXTRAS:%=--extra %),--all-extras) --group dev $(if $(ASSAY),--no-emit-package dagster-assay,--find-links vendor) \
	    $(if $(UPGRADE),--upgrade) pyproject.toml -o requirements.lock
	[ ! -d assay/tests/spark ] || uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	    $(if $(UPGRADE),--upgrade) -c requirements.lock --group spark -o assay/tests/spark/requirements.lock
	[ ! -d docs/site ] || uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	    $(if $(UPGRADE),--upgrade) -c requirements.lock --group docs -o docs/site/requirements.lock

install: $(READY) ## Only set up .venv

# template: a fork is not forked again
fork: $(READY) ## Make it your own: NAME=my_team_pipeline EXAMPLE=no FRAMEWORK=yes TO=folder
	@"$(PYTHON)" scripts/fork.py "$(NAME)" --example "$(or $(EXAMPLE),yes)" --framework "$(or $(FRAMEWORK),no)" \
	    $(if $(TO),--to "$(TO)")

upgrade: $(READY) ## Take the framework of a newer checkout of the template: FROM=folder
	@[ -f "$(FROM)/scripts/upgrade.py" ] && [ -d "$(FROM)/assay" ] || \
	    { echo "upgrade: '$(FROM)' is no checkout of the template: make upgrade FROM=../template" >&2; exit 2; }
	@"$(PYTHON)" "$(FROM)/scripts/upgrade.py" .

clean: ## Remove caches and build output
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis golden/.pending
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

clean-all: clean ## Remove .venv, the warehouse and Dagster's history as well
	rm -rf .venv data .dagster

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

.venv/.installed: requirements.lock pyproject.toml scripts/install.sh $(wildcard assay/pyproject.toml vendor/*.whl)
	@sh scripts/install.sh .venv
	@touch $@

# framework: as the site's below
.venv/spark/.installed: assay/tests/spark/requirements.lock $(READY)
	@rm -rf .venv/spark
	@if uv --version >/dev/null 2>&1; then uv pip install --quiet --python .venv/bin/python --target .venv/spark --no-deps --require-hashes -r $<; \
	    else .venv/bin/python -m pip install --quiet --disable-pip-version-check --target .venv/spark --no-deps --require-hashes -r $<; fi
	@touch $@

# template: beside the environment, which stays what requirements.lock says
.venv/site/.installed: docs/site/requirements.lock $(READY)
	@rm -rf .venv/site
	@if uv --version >/dev/null 2>&1; then uv pip install --quiet --python .venv/bin/python --target .venv/site --no-deps --require-hashes -r $<; \
	    else .venv/bin/python -m pip install --quiet --disable-pip-version-check --target .venv/site --no-deps --require-hashes -r $<; fi
	@touch $@
