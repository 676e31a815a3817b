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

# No page is built, all are read as they are: their links and file names are checked, and the README's
# commands run, once in one process.
docs:
	python -m pytest -n 0 tests/test_pages.py tests/test_readme.py

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
