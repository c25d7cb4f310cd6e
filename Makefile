# The two commands a stranger needs: `make demo` and `make test`. Both build .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Exactly the files that are pinned: pip looks for nothing that they depend on, nor for what builds them.
INSTALL_ARGUMENTS := python -m pip --disable-pip-version-check install -q --no-deps --no-build-isolation
INSTALL := $(BIN)/$(INSTALL_ARGUMENTS) --require-hashes

# Else each of the hundreds of processes that tests start would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-more dist lint types house bench rivals profile instructions soak docs site lock clean

demo: $(VENV)/.core
	$(BIN)/hivecost demo

test: $(VENV)/.test
	$(BIN)/pytest -q -n 2 --dist worksteal

# What takes longer: what is released; the site of docs/; clients of other major versions, each in an environment of its own; everything again with its coverage.
test-more: dist $(VENV)/.more $(VENV)-openai2/.done $(VENV)-attach/.done
	$(VENV)-openai2/bin/python -m pytest tests/more/openai2 tests/integration/test_sdk_turns.py tests/integration/test_dialects_sdks.py
	$(VENV)-attach/bin/python -m pytest -q tests/more/attach
	$(BIN)/pytest -q tests/more/install tests/more/site
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -n 2 --dist worksteal
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

# What is released, in dist/: the sdist, and the wheel built from it. The wheel then runs in an environment that has the pins and nothing else.
dist: $(VENV)/.core
	rm -rf dist
	$(BIN)/hatchling build -t sdist -d dist
	$(BIN)/python -m pip --disable-pip-version-check wheel -q --no-deps --no-build-isolation -w dist dist/*.tar.gz
	$(PYTHON) -m venv --clear $(VENV)-dist
	$(VENV)-dist/bin/$(INSTALL_ARGUMENTS) --require-hashes -r requirements/core.txt
	$(VENV)-dist/bin/$(INSTALL_ARGUMENTS) dist/*.whl
	cd $(VENV)-dist && bin/hivecost demo

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.test
	$(BIN)/mypy

# How the house stands: files crossed, circles of imports, types that users cannot name.
house: $(VENV)/.test
	$(BIN)/python -m tools.house

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks

# One agent with $0.50 under each tool that promises to hold that, by the provider's bill: some ten minutes.
rivals: $(VENV)/.core $(VENV)-rivals/.done
	$(BIN)/python -m benchmarks rivals

# Where the time goes: a sampling profile, and machine instructions, which need valgrind and some minutes.
profile: $(VENV)/.bench
	$(BIN)/python -m benchmarks.profiles

instructions: $(VENV)/.core
	$(BIN)/python -m benchmarks.instructions

# Crash tests and fuzzing in their long form, and each way in which an agent ends: how many processes are killed, power
# cuts, runtimes on a full disk, examples, histories of the ledger, rounds of failing system calls.
soak: export HIVECOST_SOAK_KILLS ?= 200
soak: export HIVECOST_SOAK_CUTS ?= 500
soak: export HIVECOST_SOAK_FULL_DISKS ?= 100
soak: export HIVECOST_SOAK_FUZZ ?= 20000
soak: export HIVECOST_SOAK_SIMULATIONS ?= 1000
soak: export HIVECOST_SOAK_FAILURES ?= 3
soak: $(VENV)/.test
	$(BIN)/pytest -q -n 2 --dist worksteal --timeout 3000 -o faulthandler_timeout=3300 tests/crash tests/contract tests/integration/test_ends.py tests/unit/test_fuzz.py tests/unit/usage/test_rules.py tests/unit/runtime/test_whole_answers.py

# Every command of the README and of docs/ is run, and every link is followed.
docs: $(VENV)/.test
	$(BIN)/pytest -q tests/integration/test_docs.py

# docs/ as a site, with the API made from the code, in site/; a warning is an error.
site: $(VENV)/.more
	$(BIN)/python -m mkdocs build --strict

# The pins carry hashes and no addresses, so they hold on any index. Each file is complete: with it, nothing is resolved.
COMPILE = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-strip-extras --no-header
lock: $(VENV)/.test
	$(BIN)/python -m pip --disable-pip-version-check install -q uv
	$(COMPILE) pyproject.toml -o requirements/core.txt
	$(COMPILE) --group build -o requirements/build.txt
	$(COMPILE) pyproject.toml --group test --extra tokens -c requirements/core.txt -c requirements/build.txt -o requirements/test.txt
	$(COMPILE) pyproject.toml --group more -c requirements/test.txt -o requirements/more.txt
	$(COMPILE) pyproject.toml --group openai2 -c requirements/core.txt -c requirements/build.txt -o requirements/openai2.txt
	$(COMPILE) pyproject.toml --group attach -c requirements/core.txt -c requirements/build.txt -o requirements/attach.txt
	$(COMPILE) pyproject.toml --group bench -c requirements/test.txt -o requirements/bench.txt

clean:
	rm -rf $(VENV) $(VENV)-* dist site .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis hivecost-demo

$(VENV)/.venv:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.core: $(VENV)/.venv requirements/core.txt requirements/build.txt pyproject.toml
	$(INSTALL) -r requirements/core.txt -r requirements/build.txt
	$(BIN)/$(INSTALL_ARGUMENTS) --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.core requirements/test.txt
	$(INSTALL) -r requirements/test.txt
	@touch $@

$(VENV)/.more: $(VENV)/.test requirements/more.txt
	$(INSTALL) -r requirements/more.txt
	@touch $@

$(VENV)-openai2/.done: requirements/openai2.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)-openai2
	$(VENV)-openai2/bin/$(INSTALL_ARGUMENTS) --require-hashes -r requirements/openai2.txt
	$(VENV)-openai2/bin/$(INSTALL_ARGUMENTS) --editable .
	@touch $@

$(VENV)-attach/.done: requirements/attach.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)-attach
	$(VENV)-attach/bin/$(INSTALL_ARGUMENTS) --require-hashes -r requirements/attach.txt
	$(VENV)-attach/bin/$(INSTALL_ARGUMENTS) --editable .
	@touch $@

$(VENV)-rivals/.done: requirements/rivals.txt
	$(PYTHON) -m venv $(VENV)-rivals
	$(VENV)-rivals/bin/$(INSTALL_ARGUMENTS) --require-hashes -r requirements/rivals.txt
	@touch $@

$(VENV)/.bench: $(VENV)/.test requirements/bench.txt
	$(INSTALL) -r requirements/bench.txt
	@touch $@
