# What one types to work on this; all of it runs in the active environment.

.PHONY: install fix test test-all docs coverage

install:
	python -m pip install -e ".[dev]"

fix:
	ruff format .
	ruff check --fix .

test:
	python -m pytest -m "not slow"

test-all:
	python -m pytest

# The pages as a site that opens from a disk, docs/_build/html/index.html; a warning is an error.
docs:
	python -m sphinx -b html -W --keep-going -q docs docs/_build/html

# Lines of extract and analyze that tests reach, in workers and commands started apart too (not in
# those that are killed): the figure is TOTAL. Of some tests alone: make coverage TESTS=...
TESTS = tests
coverage: export COVERED = $(CURDIR)
coverage: export COVERAGE_FILE = $(CURDIR)/.coverage
coverage:
	coverage erase
	coverage run -m pytest $(TESTS)
	coverage combine --quiet
	coverage report
