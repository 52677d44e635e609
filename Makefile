# Every target sets up what it needs; `make` alone lists them.
PYTHON ?= python3
MINUTES ?= 10
BIN := .venv/bin

.PHONY: help setup demo test lint format lock bench bench-dispatch bench-admin bench-memory bench-resume bench-imports chaos docs screenshots
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 14

setup: .venv/installed  ## make .venv with every package, pinned and checked by hash

.venv/installed: requirements-dev.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "massdl needs Python 3.11 or newer; say which: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@

demo: setup  ## the whole thing on this machine, with a stand-in for YouTube
	$(BIN)/python manage.py demo

test: setup  ## the tests
	$(BIN)/python -m pytest -n auto

lint: setup  ## style, missing migrations, generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m massdl_site.configuration --check
	$(BIN)/python -m ingestion.handbook --check
	$(BIN)/python -m ingestion.roles --check
	$(BIN)/python -m tests.e2e.fault_table --check
	$(BIN)/python -m bench._admin_report --check

format: setup  ## put the code in its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup  ## resolve pyproject.toml into requirements*.txt
	$(PYTHON) -m venv .venv/lock && .venv/lock/bin/pip install --quiet uv==0.13.8
	.venv/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml -o requirements.txt
	.venv/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --extra dev pyproject.toml -o requirements-dev.txt

bench: setup  ## all measurements, also against yt-dlp, boto3 and django-q2 alone; writes bench/results/
	$(BIN)/python -m bench

bench-dispatch: setup  ## claims per second up to a million pending videos, and against a task per video
	$(BIN)/python -m bench dispatch

bench-admin: setup  ## the admin's pages over a million videos, and against Django's own admin
	$(BIN)/python -m bench admin

bench-memory: setup  ## 10,000 videos through one worker: its memory must not grow
	$(BIN)/python -m bench memory

bench-resume: setup  ## kill -9 in the middle of 1 GB: what is fetched and sent a second time
	$(BIN)/python -m bench resume

bench-imports: setup  ## a sheet of 10,000 rows through the admin, against django-import-export's plain resource
	$(BIN)/python -m bench imports

chaos: setup  ## kill and break everything for MINUTES=10, then audit; writes bench/results/chaos.json
	$(BIN)/python -m bench.chaos --minutes $(MINUTES)

docs: setup  ## write what docs/ and .env.example have from the code and from bench/results/
	$(BIN)/python -m massdl_site.configuration
	$(BIN)/python -m ingestion.handbook
	$(BIN)/python -m ingestion.roles
	$(BIN)/python -m tests.e2e.fault_table
	$(BIN)/python -m bench._admin_report

screenshots: setup  ## pictures of every page of the admin, light and dark, wide and narrow, into docs/images/screens/
	$(BIN)/python -m demo.screenshots
