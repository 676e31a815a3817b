# What one types to work on this: each is one line, and runs in the active environment.

.PHONY: install fix test test-all

install:
	python -m pip install -e ".[dev]"

fix:
	ruff format .
	ruff check --fix .

test:
	python -m pytest -m "not slow"

test-all:
	python -m pytest
