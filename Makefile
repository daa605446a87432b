# Every command here does its own set-up, may be repeated, and works as root and as an ordinary user.
# All it needs is Python 3.11 or newer with its venv module, and a package registry that pip can reach.

.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python

# The first Python that is new enough; PYTHON=... chooses another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
export PIP_NO_INPUT := 1

# Marks in the environment: installed is what these lock files (and this Python) say.
RUNTIME_MARK := $(VENV)/.installed-$(shell cat requirements.txt | cksum | tr ' ' -)
DEVELOPMENT_MARK := $(VENV)/.developing-$(shell cat requirements.txt requirements-dev.txt | cksum | tr ' ' -)
CATALOGUES := $(patsubst %.po,%.mo,$(wildcard locale/*/LC_MESSAGES/*.po))

# Processes of the test run; each has its own databases in the one pair of servers.
JOBS ?= logical
# What `make bench` measures; its installation is apart from the one that you use.
BENCHES ?= idle import dispatch memory growth

.PHONY: help
help: ## list the commands
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

# -- set-up -------------------------------------------------------------------------------------------

.PHONY: setup
setup: $(RUNTIME_MARK) $(CATALOGUES) ## make or update the environment in .venv

$(PY):
	@test -n "$(PYTHON)" || { echo "crmsync needs Python 3.11 or newer; none was found. PYTHON=/path/to/python3 names one." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "This Python ($(PYTHON)) has no venv module. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Making the environment in $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)

$(RUNTIME_MARK): | $(PY)
	@echo "Installing the locked requirements"
	@$(PY) -m pip install --quiet --require-hashes -r requirements.txt
	@rm -f $(VENV)/.installed-* && touch $@

$(DEVELOPMENT_MARK): | $(PY)
	@echo "Installing the locked requirements for development"
	@$(PY) -m pip install --quiet --require-hashes -r requirements.txt -r requirements-dev.txt
	@rm -f $(VENV)/.developing-* $(VENV)/.installed-* && touch $@ $(RUNTIME_MARK)

%.mo: %.po | $(RUNTIME_MARK)
	@$(VENV)/bin/pybabel --quiet compile --use-fuzzy --input-file $< --output-file $@

# -- use ----------------------------------------------------------------------------------------------

.PHONY: run
run: setup ## run everything on http://127.0.0.1:8000 until Ctrl-C (CRMSYNC_PORT, CRMSYNC_VAR move it)
	@exec $(PY) manage.py run --stop-with-parent

# -- proof --------------------------------------------------------------------------------------------

.PHONY: test
test: $(DEVELOPMENT_MARK) $(CATALOGUES) ## run every test, and hold the coverage of each app to its floor
	@rm -f .coverage .coverage.*
	@$(PY) -m pytest -n $(JOBS) --dist worksteal -m "not soak" --cov --cov-report= $(ARGS)
	@$(PY) tests/coverage_floor.py

.PHONY: lint
lint: $(DEVELOPMENT_MARK) ## style, types, layers, templates, migrations, settings of a production
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy .
	@$(VENV)/bin/lint-imports
	@$(VENV)/bin/djlint --quiet --lint templates
	@.ci/settings-check

.PHONY: bench
bench: $(DEVELOPMENT_MARK) ## measure; BENCHES="idle" chooses, CRMSYNC_VAR says where (default var/bench)
	@set -e; for name in $(BENCHES); do CRMSYNC_VAR="$${CRMSYNC_VAR:-var/bench}" $(PY) manage.py bench $$name; done

.PHONY: soak
soak: $(DEVELOPMENT_MARK) ## the full count of the proofs of which `make test` runs a sample
	@$(PY) -m pytest -m soak $(ARGS)

# -- upkeep -------------------------------------------------------------------------------------------

.PHONY: lock
lock: $(DEVELOPMENT_MARK) ## lock the requirements again after a change of an .in file
	@for name in requirements requirements-dev; do \
		$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes $$name.in -o $$name.txt || exit 1; done

.PHONY: clean
clean: ## remove the environment and what tools left behind; var/ stays
	@rm -rf $(VENV) .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -not -path './var/*' -type d -prune -exec rm -rf {} +
