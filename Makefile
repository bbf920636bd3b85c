# `make demo` and `make test` are the usual commands. Each target first installs what is missing or outdated.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MORE := $(VENV)/.installed-test-all
CORES ?= 2
PYTHON ?= python3
STUDY ?= studies/demo.yaml
UPGRADE ?= --upgrade
PYTEST := $(BIN)/python -m pytest --numprocesses $(CORES)
# PATH is for the programs that the commands below start. The commands themselves have a path, because make on macOS ignores this line.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# These variables of another Python environment would change what is imported.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE VIRTUAL_ENV
# Snakemake ends with a traceback if it cannot write its cache to the home folder, so the cache is then in the environment.
ifeq ($(shell mkdir -p "$${XDG_CACHE_HOME:-$$HOME/.cache}/snakemake" 2> /dev/null && echo yes),)
export XDG_CACHE_HOME := $(CURDIR)/$(VENV)/cache
endif

.PHONY: demo paper test test-slow test-all bench lint format lock setup docs

demo: $(STAMP)  ## run the demo study from generated data to its report
	$(BIN)/snakemake --cores $(CORES) --configfile studies/demo.yaml

paper: $(STAMP)  ## write all tables and figures of a study as one PDF (needs pdflatex), e.g. make paper STUDY=studies/quick.yaml
	$(BIN)/snakemake compile_paper --cores $(CORES) --configfile "$(STUDY)"

test: $(STAMP)  ## run the quick tests, or some of them, e.g. make test ARGS="tests/reports -k interval"
	$(PYTEST) --dist worksteal -m "not slow and not long" $(ARGS)

# All tests of a file run in one worker, because they share one run of the workflow. In another worker, that run would be repeated.
test-slow: $(STAMP)  ## run the tests of 5 seconds to minutes, and most cases of tests with many
	$(PYTEST) --dist loadfile --no-loadscope-reorder -m "slow and not long" $(ARGS)

test-all: $(MORE)  ## run the tests that kill jobs or need further servers; their output is saved in test-all.txt
	bash -o pipefail -c '$(BIN)/python -m pytest --no-header -m long 2>&1 | tee test-all.txt'

bench: $(STAMP)  ## compare speed and memory with those of other libraries
	$(BIN)/python -m benchmarks

lint: $(STAMP)  ## check style, types and workflow files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile pipeline/rules
	$(BIN)/snakemake --lint --configfile studies/demo.yaml

docs: $(STAMP)  ## build the documentation site in site/; a broken link or anchor is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(STAMP)  ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile pipeline/rules

setup: $(STAMP)  ## only install the environment

# If uv is not installed, pip first installs the uv of the lock into the environment. Only packages whose digests are in the lock are
# installed. The packages that build this project are restricted to the lock too.
$(STAMP): requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	    { echo "$(PYTHON) is not Python 3.11 to 3.13. Choose such a Python: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV) || \
	    { rm -rf $(VENV); echo "$(PYTHON) cannot make $(VENV); on Debian and Ubuntu, install python3-venv."; exit 1; }
	@command -v uv > /dev/null || { sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.txt && \
	    $(BIN)/python -m pip install --quiet --require-hashes --requirement $(VENV)/uv.txt; }
	@uv=$$(command -v uv); set -x; \
	    "$$uv" pip sync --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock && \
	    "$$uv" pip install --python $(BIN)/python --no-deps --build-constraints requirements.lock --editable .
	@touch $(STAMP)

# The servers and plugins that only `make test-all` uses are added to the environment. The next `setup` that has work to do removes them.
$(MORE): requirements-test-all.lock $(STAMP)
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes --compile-bytecode --requirement requirements-test-all.lock
	@touch $(MORE)

# `make lock UPGRADE=` keeps the locked versions. Pip does not install `-e .` together with digests, so requirements.txt (for conda) is the
# lock without digests.
lock: COMPILE = $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 $(UPGRADE) --generate-hashes \
    --no-emit-index-url --no-annotate --custom-compile-command "make lock"
lock: $(STAMP)  ## resolve both locks again from pyproject.toml, and export requirements.txt from requirements.lock
	$(COMPILE) --extra dev --output-file requirements.lock
	$(COMPILE) --extra test-all --constraints requirements.lock --output-file requirements-test-all.lock
	sed -e '/^ *--hash=/d' -e 's/ \\$$//' requirements.lock > requirements.txt
