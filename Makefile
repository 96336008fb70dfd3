.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test soak lint format docs bench bench-quick load-moto simulate profile plots clean

IS_NEW_ENOUGH := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3.14 python3, \
	$(shell $(name) -c '$(IS_NEW_ENOUGH)' >/dev/null 2>&1 && echo $(name))))

DEMO := .venvs/demo
TEST := .venvs/test
BENCH := .venvs/bench

demo: ARGS ?= --jobs 1000 --server moto
demo: $(DEMO)/installed  ## await a thousand jobs (ARGS="--jobs 1000 --server moto")
	@$(DEMO)/bin/awaitbatch demo $(ARGS)

test: lint  ## everything that CI runs, on one Python
	@echo "== pytest"
	@$(TEST)/bin/pytest --numprocesses 2 --cov $(ARGS)

# They take longer than pyproject.toml lets other tests take before it calls them hung.
soak: $(TEST)/installed  ## the long tests: about ten minutes of faults, outages and neighbours in real time
	@$(TEST)/bin/pytest -m soak --override-ini faulthandler_timeout=600 $(ARGS)

lint: $(TEST)/installed  ## formatting, lint, types and the import contracts
	@echo "== ruff format"
	@$(TEST)/bin/ruff format --check .
	@echo "== ruff check"
	@$(TEST)/bin/ruff check .
	@echo "== mypy"
	@$(TEST)/bin/mypy
	@echo "== import contracts"
	@$(TEST)/bin/lint-imports

format: $(TEST)/installed  ## fix what ruff can fix
	@$(TEST)/bin/ruff format .
	@$(TEST)/bin/ruff check --fix .

docs: $(TEST)/installed  ## draw the tables of docs/failures.md from the code
	@$(TEST)/bin/python -m docs.render

bench: $(TEST)/installed  ## measure, the peers too: more than an hour (ARGS=herd, ARGS="peers --list", …)
	@$(TEST)/bin/python -m benchmarks $(ARGS)

bench-quick: $(TEST)/installed  ## the same in a minute and a half, installing nothing: ratios that hold on any machine
	@$(TEST)/bin/python -m benchmarks --quick $(ARGS)

load-moto: $(TEST)/installed  ## await 5,000 jobs on moto servers: two minutes, the columns of the peers' race
	@$(TEST)/bin/python -m benchmarks load-moto $(ARGS)

simulate: $(TEST)/installed  ## the core in virtual time: unknown limits, a million jobs (ARGS="--jobs 50000 --rates 5")
	@$(TEST)/bin/python -m benchmarks.simulate $(ARGS)

profile: $(BENCH)/installed  ## what the CPU time of a check is spent on, function by function: half a minute
	@$(BENCH)/bin/python -m benchmarks.profile $(ARGS)

plots: $(BENCH)/installed  ## draw docs/images from benchmarks/results
	@$(BENCH)/bin/python -m benchmarks.plots

clean:  ## remove the virtual environments and all caches
	rm -rf .venvs .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*  ## (.*)/  make \1	\2/p' $(MAKEFILE_LIST)

$(DEMO)/installed: EXTRAS := demo
$(TEST)/installed: EXTRAS := test,lint
$(BENCH)/installed: EXTRAS := bench

# The stamp is newer than pyproject.toml once an installation has succeeded, so a second run installs nothing.
.venvs/%/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with its venv module is needed; name one with PYTHON=…" >&2; exit 1; }
	@echo "== installing into .venvs/$* (once)"
	@$(PYTHON) -c '$(IS_NEW_ENOUGH)' || { echo "$(PYTHON) is not Python 3.11 or newer with its venv module" >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venvs/$*
	@.venvs/$*/bin/python -m pip install -qq --disable-pip-version-check --editable '.[$(EXTRAS)]'
	@touch $@
