# A stranger's two commands are `make demo` and `make test`; `make help` tells the rest.
# Written for the make of Debian and of macOS (3.81).

PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3; do \
	command -v $$name >/dev/null 2>&1 && $$name -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' \
	>/dev/null 2>&1 && { echo $$name; break; }; done)
BIN = .venv/bin
RUN = .venv/installed-run
DEV = .venv/installed-dev
# make demo: PORT= of the hub, SANDBOX_PORT= of the sandbox, ONCE=1 to leave after the scenario.
PORT ?= 8000
SANDBOX_PORT ?= 8900
# make fuzz: FUZZ= times the examples of make test.
FUZZ ?= 50

.PHONY: help demo test check format bench chaos fuzz requirements clean

help:
	@echo 'make demo    the hub and a sandbox Bitrix24 on this machine, until Ctrl-C (PORT=8000 SANDBOX_PORT=8900 ONCE=1)'
	@echo 'make test    every test, on every database and broker that answers here'
	@echo 'make check   ruff, mypy, import-linter, migrations, deploy check, OpenAPI schema'
	@echo 'make bench   every benchmark (half an hour); docs/performance.md is drawn from what they found'
	@echo 'make chaos   every drill: kills, outages, hostile portals, pauses, upgrades, clocks (SEED=, KEEP=1)'
	@echo 'make fuzz    every public door with FUZZ=50 times as many examples as make test'
	@echo 'make format  ruff format and the fixes that change no meaning'
	@echo 'make requirements  pins requirements*.txt anew from requirements*.in'
	@echo 'make clean   takes away var/ (the demo, its data and logs) and caches; .venv stays'

demo: $(RUN)
	@PORT='$(PORT)' SANDBOX_PORT='$(SANDBOX_PORT)' ONCE='$(ONCE)' exec $(BIN)/python scripts/demo.py

test: $(DEV)
	@exec $(BIN)/python scripts/test.py

check: $(DEV)
	@exec $(BIN)/python scripts/check.py

bench: $(DEV)
	@exec $(BIN)/python -m tests.bench

chaos: $(DEV)
	@SEED='$(SEED)' KEEP='$(KEEP)' exec $(BIN)/python scripts/chaos.py

fuzz: $(DEV)
	@FUZZ='$(FUZZ)' exec $(BIN)/python -m pytest tests/fuzz tests/contract/test_php.py -q -p no:cacheprovider --timeout 7200

format: $(DEV)
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

requirements: $(DEV)
	$(BIN)/python scripts/pin.py

clean:
	rm -rf var .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(RUN): requirements.txt scripts/venv.py
	@$(MAKE) --no-print-directory python-is-there
	@$(PYTHON) scripts/venv.py $(RUN) requirements.txt

$(DEV): requirements.txt requirements-dev.txt scripts/venv.py
	@$(MAKE) --no-print-directory python-is-there
	@$(PYTHON) scripts/venv.py $(DEV) requirements.txt requirements-dev.txt

.PHONY: python-is-there
python-is-there:
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer with venv is needed and was not found.' \
	'On Debian: apt-get install python3 python3-venv. On macOS: brew install python. Or name one: make demo PYTHON=/path/to/python3' >&2; exit 1; }
