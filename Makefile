# `make demo` and `make test` are all one needs; each installs by itself what is missing or stale.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MORE := $(VENV)/.installed-test-all
CORES ?= 2
PYTHON ?= python3
STUDY ?= studies/demo.yaml
UPGRADE ?= --upgrade
PYTEST := $(BIN)/python -m pytest --numprocesses $(CORES)
# For what the commands below start; they themselves are called by path, for the make of macOS ignores this one.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Nothing of another environment gets in.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE VIRTUAL_ENV
# Snakemake ends with a traceback where a home takes no files.
ifeq ($(shell mkdir -p "$${XDG_CACHE_HOME:-$$HOME/.cache}/snakemake" 2> /dev/null && echo yes),)
export XDG_CACHE_HOME := $(CURDIR)/$(VENV)/cache
endif

.PHONY: demo paper test test-slow test-all bench lint format lock setup docs

demo: $(STAMP)  ## run the demo study from nothing to its report
	$(BIN)/snakemake --cores $(CORES) --configfile studies/demo.yaml

paper: $(STAMP)  ## all tables and figures of a study as one PDF (needs pdflatex); make paper STUDY=studies/quick.yaml
	$(BIN)/snakemake compile_paper --cores $(CORES) --configfile "$(STUDY)"

test: $(STAMP)  ## quick tests; make test ARGS="tests/reports -k bootstrap" runs some
	$(PYTEST) --dist worksteal -m "not slow and not long" $(ARGS)

# One worker runs a file: its tests share a workflow's run. A worker that stole one of them would run that again.
test-slow: $(STAMP)  ## tests that take minutes: a miniature of the whole DAG among them
	$(PYTEST) --dist loadfile --no-loadscope-reorder -m "slow and not long" $(ARGS)

test-all: $(MORE)  ## tests that kill jobs and need more than this project; what they said is in test-all.txt
	bash -o pipefail -c '$(BIN)/python -m pytest --no-header -m long 2>&1 | tee test-all.txt'

bench: $(STAMP)  ## speed and memory beside peers, ratios
	$(BIN)/python -m benchmarks

lint: $(STAMP)  ## style, types, workflow files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile pipeline/rules
	$(BIN)/snakemake --lint --configfile studies/demo.yaml

docs: $(STAMP)  ## the documentation site, in site/; a link or an anchor that leads nowhere ends it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(STAMP)  ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile pipeline/rules

setup: $(STAMP)  ## install only

# uv where there is one; else pip puts the one of the lock into the environment. Nothing is installed whose digest is not in the lock;
# what builds the checkout's own package is held to it too.
$(STAMP): requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	    { echo "$(PYTHON) is not Python 3.11 to 3.13. Name one that is: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV) || \
	    { rm -rf $(VENV); echo "$(PYTHON) cannot make $(VENV); on Debian and Ubuntu, install python3-venv."; exit 1; }
	@command -v uv > /dev/null || { sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.txt && \
	    $(BIN)/python -m pip install --quiet --require-hashes --requirement $(VENV)/uv.txt; }
	@uv=$$(command -v uv); set -x; \
	    "$$uv" pip sync --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock && \
	    "$$uv" pip install --python $(BIN)/python --no-deps --build-constraints requirements.lock --editable .
	@touch $(STAMP)

# The servers and plugins that only `make test-all` uses are added to the environment; `setup` takes them out again when it is stale.
$(MORE): requirements-test-all.lock $(STAMP)
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes --compile-bytecode --requirement requirements-test-all.lock
	@touch $(MORE)

# UPGRADE= keeps the versions of the locks. Pip refuses `-e .` beside digests: requirements.txt, for conda, is the lock without them.
lock: COMPILE = $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 $(UPGRADE) --generate-hashes \
    --no-emit-index-url --no-annotate --custom-compile-command "make lock"
lock: $(STAMP)  ## resolve both locks again from pyproject.toml, and export requirements.txt from requirements.lock
	$(COMPILE) --extra dev --output-file requirements.lock
	$(COMPILE) --extra test-all --constraints requirements.lock --output-file requirements-test-all.lock
	sed -e '/^ *--hash=/d' -e 's/ \\$$//' requirements.lock > requirements.txt
