# Ferris. `make run` starts the platform, `make test` checks it; both set up what they need first.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Without it every process compiles all our modules anew at its start.
unexport PYTHONDONTWRITEBYTECODE

PY := .venv/bin/python
UV := $(PY) -m uv pip
# The newest of the supported interpreters, unless PYTHON names one.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3,11) <= sys.version_info < (3,14))' >/dev/null 2>&1 && { echo $$p; break; }; done)

.PHONY: help
help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | sort | column -t -s "$$(printf '\t')"

.venv/uv:
	@test -n "$(PYTHON)" || { echo "Ferris needs Python 3.11, 3.12 or 3.13 with its venv module; none was found. Install one, or name it: make PYTHON=/path/to/python3.12 run" >&2; exit 1; }
	@test -x $(PY) || { echo "Making .venv with $(PYTHON) …"; $(PYTHON) -m venv .venv; }
	@$(PY) -m pip install --quiet --disable-pip-version-check "$$(grep -E '^uv==' requirements.in | cut -d' ' -f1)"
	@touch $@

.venv/installed: requirements.txt .venv/uv
	@echo "Installing dependencies …"
	@$(UV) install --quiet --compile-bytecode --require-hashes -r requirements.txt
	@touch $@

.venv/developed: requirements-dev.txt .venv/installed
	@echo "Installing development tools …"
	@$(UV) install --quiet --compile-bytecode --require-hashes -r requirements-dev.txt
	@touch $@

.PHONY: run
run: .venv/installed  ## the whole platform on this machine, with the sample projects; Ctrl-C ends it
	@exec $(PY) manage.py ferris --samples

.PHONY: test
test: .venv/developed  ## the tests that need no server
	@$(PY) -m pytest tests/unit tests/contract tests/web -m "not real and not walk" -n 3 --dist loadfile -q

.PHONY: test-walks
test-walks: .venv/developed  ## every address there is: who may, hostile input, the schema, German; every process with wrong settings
	@$(PY) -m pytest tests/contract tests/web -m "walk and not real" -n 4 --dist loadfile -q

.PHONY: test-executor
test-executor: .venv/developed  ## scripts as processes: like plain Python, confined, at fault, ended; workers of both kinds
	@$(PY) -m pytest tests/executor -n 4 --dist loadfile -q

.PHONY: test-acceptance
test-acceptance: .venv/developed  ## boots the platform as processes and uses it from outside
	@$(PY) -m pytest tests/acceptance -n 2 --dist loadfile --no-loadscope-reorder -q

.PHONY: test-acceptance-real
test-acceptance-real: .venv/developed  ## the same on the real stack, whose servers it starts itself; all but test-kills
	@$(PY) -m pytest tests/acceptance --ignore=tests/acceptance/test_real_kill.py --stack=real -n 2 --dist loadfile --no-loadscope-reorder -q

.PHONY: test-kills
test-kills: .venv/developed  ## kills each process and each server of a real stack of its own, in the middle of the work
	@$(PY) -m pytest tests/acceptance/test_real_kill.py --stack=real -q

.PHONY: test-browser
test-browser: .venv/developed  ## the console in a real Chromium; a picture of every page in build/screenshots
	@$(PY) -m pytest tests/browser -n 2 --dist loadfile -q --screenshots build/screenshots

.PHONY: screens
screens: .venv/developed  ## takes the pictures of the console in docs/ anew, of the platform that the browser tests look at
	@$(PY) -m pytest tests/browser/test_documentation.py --browser-required --documentation -n 0 -q

.PHONY: lint
lint: .venv/developed  ## style, types, who imports whom, pending migrations, the API's schema
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy ferris gateway tasks remote celery_app.py
	@.venv/bin/lint-imports
	@FERRIS_HOME=$$(mktemp -d) $(PY) manage.py makemigrations --check --dry-run
	@FERRIS_HOME=$$(mktemp -d) $(PY) manage.py spectacular --validate --fail-on-warn --file /dev/null

# Of fewer, or somewhere else: make seed-large EXECUTIONS=50000 FERRIS_HOME=/tmp/large
EXECUTIONS ?= 1000000
.PHONY: seed-large
seed-large: .venv/installed  ## a platform as if in use for a month: 1,000,000 executions and events, 10,000 services (some minutes)
	@$(PY) manage.py migrate -v 0
	@$(PY) manage.py seed_large --executions $(EXECUTIONS)

.PHONY: bench
bench: .venv/developed  ## figures, ratios first
	@$(PY) -m tests.bench

.PHONY: bench-pages
bench-pages: .venv/developed  ## what each page costs on the platform of FERRIS_HOME, as three kinds of people (after make seed-large)
	@$(PY) -m tests.bench.pages

.PHONY: bench-real
bench-real: .venv/developed  ## figures of the real stack, each beside the bare server; starts servers of its own
	@$(PY) -m tests.bench.real

.PHONY: pictures
pictures: .venv/developed  ## draws the diagrams of docs/ anew where they changed (needs Chromium and npm)
	@$(PY) docs/draw.py

.PHONY: messages
messages: .venv/developed  ## collects the console's texts for translation, and compiles the translations there are
	@$(PY) -m ferris_web.locale.messages

.PHONY: lock
lock: .venv/uv  ## pins everything below requirements*.in, with hashes
	@$(UV) compile --quiet --generate-hashes --universal --no-header --python-version 3.11 requirements.in -o requirements.txt
	@$(UV) compile --quiet --generate-hashes --universal --no-header --python-version 3.11 requirements-dev.in -o requirements-dev.txt

.PHONY: clean
clean:  ## forget the virtual environment and what was built; var/ (your data) stays
	@rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# Of one server only: make stack ONLY="kafka postgresql"
.PHONY: stack
stack: .venv/installed  ## the servers of the real stack on this machine, without containers
	@$(PY) compose/native/stack.py up $(ONLY)

.PHONY: stack-get
stack-get: .venv/installed  ## build or install the servers, once; start none
	@$(PY) compose/native/stack.py get $(ONLY)

.PHONY: stack-down
stack-down: .venv/installed  ## end what `make stack` started; what they keep stays
	@$(PY) compose/native/stack.py down $(ONLY)

.PHONY: stack-status
stack-status: .venv/installed  ## which server runs where
	@$(PY) compose/native/stack.py status $(ONLY)

.PHONY: test-real-contracts
test-real-contracts: .venv/developed  ## the ports' contracts on real servers (make stack first)
	@FERRIS_TESTS_SKIP_NOTHING=1 $(PY) -m pytest tests/contract -m real -q

.PHONY: test-real-database
test-real-database: .venv/developed  ## the web tests on PostgreSQL (make stack first)
	@. "$${FERRIS_STACK_HOME:-var/stack}/env"; FERRIS_TESTS_SKIP_NOTHING=1 FERRIS_TESTS_DATABASE=$$FERRIS_DATABASE \
	$(PY) -m pytest tests/web tests/contract/test_config_store.py -m "not real and not once" -n 4 --dist loadfile -q

.PHONY: test-real
test-real: .venv/developed  ## both at once; skips nothing
	@said=$$(mktemp); $(MAKE) --no-print-directory test-real-contracts >$$said 2>&1 & contracts=$$!; \
	trap "kill $$contracts 2>/dev/null; rm -f $$said" EXIT; status=0; \
	$(MAKE) --no-print-directory test-real-database || status=1; \
	echo "The contracts meanwhile, which mostly wait for servers:"; \
	wait $$contracts || status=1; cat $$said; exit $$status
