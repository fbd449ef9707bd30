# Every target makes its own virtual environment first; see tools/bootstrap.py.
PYTHON ?= python3
VENV ?= .venv
VENV_OLDEST ?= .venv-oldest
VENV_NEWEST ?= .venv-newest
VENV_DOCS ?= .venv-docs
# Processes that pytest runs in; 0 means none besides itself.
WORKERS ?= 2

export OMP_NUM_THREADS ?= 1
export MPLBACKEND ?= Agg
# scikit-learn skips its check of array API input unless SciPy was imported with it.
export SCIPY_ARRAY_API ?= 1
# So that an interpreter which has the dependencies but not the project works too.
export PYTHONPATH := $(CURDIR)

BOOTSTRAP = $(PYTHON) tools/bootstrap.py --venv $(VENV)
BOOTSTRAP_OLDEST = $(PYTHON) tools/bootstrap.py --venv $(VENV_OLDEST) \
	--constraints constraints-oldest.txt --no-fallback
BOOTSTRAP_NEWEST = $(PYTHON) tools/bootstrap.py --venv $(VENV_NEWEST) \
	--constraints /dev/null --no-fallback
BOOTSTRAP_DOCS = $(PYTHON) tools/bootstrap.py --venv $(VENV_DOCS) --extra docs

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-oldest test-newest test-shuffled docs dist lint clean

help:
	@echo "make demo         meta-learning against the alternatives, in three minutes"
	@echo "make test         ruff, mypy, the tests and the docstrings' examples"
	@echo "make test-long    ten thousand supports, drawn at random"
	@echo "make test-oldest  the tests on the oldest dependencies that are admitted"
	@echo "make test-newest  the tests on the newest dependencies there are"
	@echo "make test-shuffled  the tests in an order drawn at random"
	@echo "make docs         the site in docs/_build/html, and every example of its gallery"
	@echo "make dist         wheel and sources, checked, and installed on their own"
	@echo "make lint         ruff and mypy alone"
	@echo "make clean        remove environments, caches and results"
	@echo "Variables: PYTHON=$(PYTHON) VENV=$(VENV) WORKERS=$(WORKERS)"

demo:
	@python=$$($(BOOTSTRAP) --needs plot) && "$$python" -u examples/demo.py

test:
	@python=$$($(BOOTSTRAP)) && set -x \
	&& "$$python" -m ruff check . \
	&& "$$python" -m ruff format --check . \
	&& "$$python" -m mypy \
	&& "$$python" -m pytest -n $(WORKERS) --doctest-modules tests sklmeta

test-long:
	@python=$$($(BOOTSTRAP)) && set -x \
	&& SKLMETA_CASES=150 "$$python" -m pytest -n $(WORKERS) tests/properties

test-oldest:
	@python=$$($(BOOTSTRAP_OLDEST)) && set -x \
	&& "$$python" -m pytest -n $(WORKERS) --doctest-modules tests sklmeta

test-newest:
	@python=$$($(BOOTSTRAP_NEWEST)) && set -x \
	&& "$$python" -m pytest -n $(WORKERS) --doctest-modules tests sklmeta

# By module: fixtures of a module are made once, as in an ordinary run.
test-shuffled:
	@python=$$($(BOOTSTRAP)) && set -x \
	&& "$$python" -m pytest -n $(WORKERS) --random-order --doctest-modules tests sklmeta

# Warnings are errors. SKLMETA_DOCS_GALLERY=0 leaves the examples out.
docs:
	@python=$$($(BOOTSTRAP_DOCS)) && set -x \
	&& "$$python" -m sphinx -W --keep-going -b html -d docs/_build/doctrees \
		docs docs/_build/html

dist:
	@$(PYTHON) tools/check_distribution.py

lint:
	@python=$$($(BOOTSTRAP)) && set -x \
	&& "$$python" -m ruff check . \
	&& "$$python" -m ruff format --check . \
	&& "$$python" -m mypy

clean:
	rm -rf .venv .venv-oldest .venv-newest .venv-docs build dist output *.egg-info
	rm -rf docs/_build docs/generated docs/gallery
	rm -rf .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
