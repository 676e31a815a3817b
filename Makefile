# What one types to work on this: each is one line, and runs in the active environment.

.PHONY: install fix test test-all coverage

install:
	python -m pip install -e ".[dev]"

fix:
	ruff format .
	ruff check --fix .

test:
	python -m pytest -m "not slow"

test-all:
	python -m pytest

# Lines of extract and analyze that tests reach, in workers and commands started apart too (not in
# those that are killed): the figure is the last line. Of some tests alone: make coverage TESTS=...
TESTS = tests
coverage: export COVERED = $(CURDIR)
coverage: export COVERAGE_FILE = $(CURDIR)/.coverage
coverage:
	coverage erase
	coverage run -m pytest $(TESTS)
	coverage combine --quiet
	coverage report
