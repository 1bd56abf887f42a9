# Each target makes what it needs: on a machine with Python, a C compiler and make, one command does it all.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find native ocigc man completions -type f -not -path '*/__pycache__/*' 2>/dev/null) meson.build meson.options pyproject.toml

C_SOURCES := $(shell find native -name '*.[ch]' -not -path 'native/vendor/*')

.PHONY: bench-cluster cluster-faults help demo test native-test tsan valgrind arm faults races interleavings stopped-writers mutants mutants-by-rule mutants-by-line fuzz bench lint types coverage generated vendor bundle release clean bundle-trial

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

$(VENV)/.tools: pyproject.toml tools/group.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$($(PYTHON) tools/group.py build test)
	touch $@

# The package itself, built anew only where a source has changed.
$(VENV)/.installed: $(VENV)/.tools $(SOURCES)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --no-build-isolation --no-deps --force-reinstall -Cbuild-dir=build/package .
	touch $@

$(VENV)/.lint: $(VENV)/.tools
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$($(PYTHON) tools/group.py lint)
	touch $@

$(VENV)/.bench: $(VENV)/.tools
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$($(PYTHON) tools/group.py bench)
	touch $@

demo: $(VENV)/.installed ## build all, make a sample layout and prune it
	PATH="$(CURDIR)/$(BIN):$$PATH" sh tools/demo.sh

test: $(VENV)/.installed native-test ## run every test
	sh tools/interop-tools.sh
	$(BIN)/pytest -n auto

faults: $(VENV)/.installed ## kill and fail a prune at every system call
	sh tools/interop-tools.sh
	$(BIN)/python -P -c "import sys, runpy; sys.path.append('.'); runpy.run_module('tests.faults', run_name='__main__')"

races: $(VENV)/.installed ## prune without a pause while skopeo, umoci, oras, crane and regctl write (some minutes)
	OCIGC_INTEROP=full sh tools/interop-tools.sh
	OCIGC_FAULTS=all $(BIN)/pytest -q -s tests/faults/test_writers.py
	OCIGC_RACES=20 $(BIN)/pytest -q tests/interop/test_races.py

interleavings: $(VENV)/.installed ## try every order of the steps of a command and of another program (hours)
	$(BIN)/python -P -c "import sys, runpy; sys.path.append('.'); runpy.run_module('tests.faults.interleavings', run_name='__main__')"

stopped-writers: $(VENV)/.installed ## stop other programs before each of their calls, and run a command there (an hour)
	OCIGC_INTEROP=full sh tools/interop-tools.sh
	$(BIN)/python -P -c "import sys, runpy; sys.path.append('.'); runpy.run_module('tests.faults.stopped_writers', run_name='__main__')"

mutants: $(VENV)/.installed ## put small faults into a copy of the program: a test has to notice each (MUTANTS=lease: only some)
	$(BIN)/python -P -c "import sys, runpy; sys.path.append('.'); runpy.run_module('tests.mutants', run_name='__main__', alter_sys=True)" $(MUTANTS)

SAMPLE ?= 60
mutants-by-rule: $(VENV)/.installed ## the same with a sample of mutants that are made by rule (SAMPLE=200)
	$(BIN)/python -P -c "import sys, runpy; sys.path.append('.'); runpy.run_module('tests.mutants.sample', run_name='__main__', alter_sys=True)" $(SAMPLE)

MODULES ?= put_back restore trash journal commit execute gc/
mutants-by-line: $(VENV)/.installed ## try all of those, each with the tests that execute its line (hours; MODULES=commit)
	$(BIN)/python -P -c "import sys, runpy; sys.path.append('.'); runpy.run_module('tests.mutants.reach', run_name='__main__', alter_sys=True)" \
	    tests/gc tests/layout tests/pruning tests/cli tests/test_labels.py tests/faults/test_faults.py tests/faults/test_interleavings.py -n 2
	$(BIN)/python -P -c "import sys, runpy; sys.path.append('.'); runpy.run_module('tests.mutants.by_rule', run_name='__main__', alter_sys=True)" $(MODULES)

NATIVE_SETUP = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/meson setup --reconfigure -Dextension=false -Dtests=true \
    -Dbuildtype=debugoptimized -Dwerror=true
NATIVE_TEST = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/meson test --print-errorlogs

native-test: $(VENV)/.tools ## run the C tests under ASan and UBSan
	$(NATIVE_SETUP) -Db_sanitize=address,undefined -Db_lundef=false build/sanitized
	$(NATIVE_TEST) -C build/sanitized

tsan: $(VENV)/.tools ## run the C tests under TSan
	$(NATIVE_SETUP) -Db_sanitize=thread -Db_lundef=false build/threads
	$(NATIVE_TEST) -C build/threads

valgrind: $(VENV)/.tools ## run the C tests under valgrind
	$(NATIVE_SETUP) build/plain
	$(NATIVE_TEST) -C build/plain --wrap "valgrind -q --error-exitcode=9 --leak-check=full"

arm: $(VENV)/.tools ## cross-compile the core for ARMv8 and run the C tests under qemu-user
	sh tools/interop-tools.sh
	$(NATIVE_SETUP) --cross-file tools/aarch64.ini build/aarch64
	$(NATIVE_TEST) -C build/aarch64 --timeout-multiplier 10
	grep 'sha256 armv8-x2: ok' build/aarch64/meson-logs/testlog.txt

FUZZ ?= -max_total_time=60
fuzz: $(VENV)/.installed ## fuzz the scanner, documents, configs and digests (FUZZ=-runs=100000000 for long)
	native/fuzz/run.sh "$(CURDIR)/build/fuzz" $(FUZZ)
	$(BIN)/python native/fuzz/differential.py build/fuzz

BENCH := build/bench
bench: $(VENV)/.installed $(VENV)/.bench ## measure phases and whole commands, beside others: JSON, tables, plots in build/bench
	$(BIN)/pytest benchmarks --benchmark-columns=median,iqr,rounds
	$(BIN)/python benchmarks/side_by_side.py
	$(BIN)/python benchmarks/efficiency.py --json $(BENCH)/efficiency.json
	$(BIN)/python benchmarks/limits.py --json $(BENCH)/limits.json
	$(BIN)/python benchmarks/plots.py $(BENCH)/efficiency.json $(BENCH)/limits.json --to $(BENCH)
	$(BIN)/python benchmarks/growth.py --svg docs/growth.svg

bench-cluster: $(VENV)/.installed ## verify on one and two workers of a cluster against threads, and plan for a thousand
	$(BIN)/python -P benchmarks/cluster.py
	$(BIN)/python -P benchmarks/scale_model.py --svg docs/scale.svg

RUNS ?= 200
cluster-faults: $(VENV)/.installed ## commands on a cluster whose workers are killed and stopped at random (RUNS=1000 for long)
	OCIGC_CLUSTER_RUNS=$(RUNS) $(BIN)/pytest -q -s tests/cluster/test_hosts.py -k random

lint: types ## check style (Python, C, documents), types and spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/clang-format --dry-run --Werror $(C_SOURCES)
	$(BIN)/mdformat --check README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md docs
	$(BIN)/codespell

types: $(VENV)/.lint $(VENV)/.installed ## check types
	$(BIN)/mypy

coverage: $(VENV)/.installed ## measure what the tests cover, of Python and of C (TESTS=tests/gc: only some)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$($(PYTHON) tools/group.py coverage)
	PATH="$(CURDIR)/$(BIN):$$PATH" sh tools/coverage.sh $(TESTS)

generated: $(VENV)/.installed ## write the manual pages and the shell completions anew
	$(BIN)/python tools/man.py man
	$(BIN)/python tools/completions.py completions

release: $(VENV)/.installed ## make the release of VERSION: changelog, source, wheels, checksums in dist/
	PATH="$(CURDIR)/$(BIN):$$PATH" PYTHON=$(PYTHON) sh tools/release.sh $(VERSION)

vendor: ## bundle the libraries of the page anew, from the npm registry (needs npm)
	sh tools/vendor/refresh.sh

bundle: $(VENV)/.tools ## make dist/ocigc-bundle-*.tar.gz, to install where there is no network, and try it
	PATH="$(CURDIR)/$(BIN):$$PATH" PYTHON=$(PYTHON) sh tools/bundle.sh

bundle-trial: bundle ## install the bundle in empty Debian systems without a network (root, debootstrap)
	sh tools/bundle/trial.sh dist/ocigc-bundle-*.tar.gz

clean: ## remove everything that was made
	rm -rf $(VENV) build dist
