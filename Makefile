.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-airflow soak lint format docs bench bench-quick bench-airflow load-moto simulate profile \
	plots clean

IS_NEW_ENOUGH := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3.14 python3, \
	$(shell $(name) -c '$(IS_NEW_ENOUGH)' >/dev/null 2>&1 && echo $(name))))

DEMO := .venvs/demo
TEST := .venvs/test
DOCS := .venvs/docs
BENCH := .venvs/bench
AIRFLOW := .venvs/airflow
AIRFLOW2 := .venvs/airflow2

# Compiled code is kept, whatever the environment says: without it, each process that runs tests takes three times as long
# to find them.
export PYTHONDONTWRITEBYTECODE :=

demo: ARGS ?= --jobs 1000 --server moto
demo: $(DEMO)/installed  ## await a thousand jobs (ARGS="--jobs 1000 --server moto")
	@$(DEMO)/bin/awaitbatch demo $(ARGS)

# Four processes on two cores, since many tests wait for a server. Counting lines takes half as long again: CI does it.
test: lint  ## lint, types and all tests but the long ones, on one Python: three minutes (ARGS=--cov counts lines)
	@echo "== pytest"
	@$(TEST)/bin/pytest --numprocesses 4 $(ARGS)

# The oldest Airflow that is supported has unit tests alone. Its servers, and what a test leaves to them, take their time.
test-airflow: $(AIRFLOW)/installed $(AIRFLOW2)/installed  ## the adapter to Airflow: on 2.11, and end to end in a real 3.3: four minutes
	@echo "== Airflow 2.11: unit tests"
	@$(AIRFLOW2)/bin/python -m pytest tests/airflow/unit $(ARGS)
	@echo "== Airflow 3.3: unit tests, and the Amazon provider's own tests against ours"
	@$(AIRFLOW)/bin/python -m pytest tests/airflow/unit tests/airflow/provider $(ARGS)
	@echo "== Airflow 3.3: end to end"
	@$(AIRFLOW)/bin/python -m pytest tests/airflow/e2e --override-ini faulthandler_timeout=300 $(ARGS)

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

# From the beginning each time: Sphinx would check only the pages that have changed.
docs: $(DOCS)/installed  ## build the site into docs/_build/html, and draw the tables of docs/reference
	@echo "== sphinx"
	@$(DOCS)/bin/python -m docs.render
	@$(DOCS)/bin/python -m sphinx --quiet --fresh-env --nitpicky --fail-on-warning docs docs/_build/html
	@$(DOCS)/bin/python -m docs.site.links docs/_build/html

bench: $(TEST)/installed  ## measure, the peers too: more than an hour (ARGS=herd, ARGS="peers --list", …)
	@$(TEST)/bin/python -m benchmarks $(ARGS)

bench-quick: $(TEST)/installed  ## the same in a minute and a half, installing nothing: ratios that hold on any machine
	@$(TEST)/bin/python -m benchmarks --quick $(ARGS)

bench-airflow: $(AIRFLOW)/installed  ## 1,000 deferred tasks on a real triggerer: ours, the stock trigger, and one that does nothing
	@$(AIRFLOW)/bin/python -m benchmarks.airflow $(ARGS)

load-moto: $(TEST)/installed  ## await 5,000 jobs on moto servers: two minutes, the columns of the peers' race
	@$(TEST)/bin/python -m benchmarks load-moto $(ARGS)

simulate: $(TEST)/installed  ## the core in virtual time: unknown limits, a million jobs (ARGS="--jobs 50000 --rates 5")
	@$(TEST)/bin/python -m benchmarks.simulate $(ARGS)

profile: $(BENCH)/installed  ## what the CPU time of a check is spent on, function by function: half a minute
	@$(BENCH)/bin/python -m benchmarks.profile $(ARGS)

plots: $(BENCH)/installed  ## draw docs/images from benchmarks/results
	@$(BENCH)/bin/python -m benchmarks.plots

clean:  ## remove the virtual environments and all caches
	rm -rf .venvs .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist \
		docs/_build

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*  ## (.*)/  make \1	\2/p' $(MAKEFILE_LIST)

# Not the extra `test`: Airflow and moto's server are more than one environment needs.
TEST_PACKAGES := blockbuster pytest pytest-asyncio uvloop

$(DEMO)/installed: EXTRAS := demo
$(TEST)/installed: EXTRAS := test,lint
$(BENCH)/installed: EXTRAS := bench
$(DOCS)/installed: EXTRAS := docs
$(AIRFLOW)/installed $(AIRFLOW2)/installed: EXTRAS := airflow
$(AIRFLOW)/installed: PACKAGES := apache-airflow==3.3.2 $(TEST_PACKAGES)
$(AIRFLOW2)/installed: PACKAGES := apache-airflow==2.11.2 $(TEST_PACKAGES)

# The stamp is newer than pyproject.toml once an installation has succeeded, so a second run installs nothing.
.venvs/%/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with its venv module is needed; name one with PYTHON=…" >&2; exit 1; }
	@echo "== installing into .venvs/$* (once)"
	@$(PYTHON) -c '$(IS_NEW_ENOUGH)' || { echo "$(PYTHON) is not Python 3.11 or newer with its venv module" >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venvs/$*
	@.venvs/$*/bin/python -m pip install -qq --disable-pip-version-check --editable '.[$(EXTRAS)]' $(PACKAGES) || { \
		echo "pip cannot install .[$(EXTRAS)] $(PACKAGES) on $$($(PYTHON) --version); all of it comes from PyPI" >&2; \
		exit 1; }
	@touch $@
