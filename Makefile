# Makefile - The daily loop. Each target is one line of meson, ninja, pytest or a script of tools/; `make help` lists them.

PYTHON ?= /usr/bin/python3
ARGS ?=
SECONDS ?= 60
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.node/bin:$(PATH)

MESON := .venv/bin/meson
INSTALL := .venv/bin/pip --disable-pip-version-check --quiet install
# Only the parts under test: sanitizer, fuzz and coverage builds need neither the package nor the dashboard.
BARE := -Dpython=disabled -Ddashboard=disabled
SANITIZE := --buildtype=debugoptimized -Db_lundef=false -Db_sanitize
TEST := $(MESON) test --no-rebuild --print-errorlogs --suite unit -C
PYTEST := .venv/bin/pytest
PYTHON_TOOLS := $(shell grep -l '^.!/usr/bin/env python3' tools/*)
# ThreadSanitizer of clang 14 cannot place its shadow where the kernel randomises addresses by 32 bits.
FIXED_LAYOUT = $(shell setarch -R true 2>/dev/null && echo setarch -R)

.DEFAULT_GOAL := build
.PHONY: help build run test check unit fmt lint fuzz bench cover sanitize tsan neon pythons hooks clean \
	check-format check-layers check-headers check-python check-dashboard warnings

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '  make %-14s %s\n' "$$name" "$$text"; done

# What the build needs from the system and, in .venv, from PyPI.
.venv/.tools: tools/bootstrap pyproject.toml
	@tools/bootstrap build
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@$(INSTALL) 'pip>=25.1'
	@$(INSTALL) --group build
	@touch $@

# What the tests and checks need on top. A build that was configured before cmocka was there is configured again.
.venv/.tests: .venv/.tools
	@tools/bootstrap test
	@$(INSTALL) --group test
	@test ! -e build/build.ninja || grep -q tests/unit/test_ build/build.ninja || $(MESON) setup --reconfigure build >/dev/null
	@touch $@

# The build directory holds the command, the library and the extension modules that the editable package loads.
build/build.ninja: | .venv/.tools
	@$(MESON) setup build -Dpython=enabled -Ddashboard=auto >&2

.venv/.package: .venv/.tools | build/build.ninja
	@ninja -C build package >&2
	@$(INSTALL) --no-build-isolation -Cbuild-dir=build --editable .
	@touch $@

build: .venv/.package ## build the command (build/sidewinder) and the Python package (editable in .venv)
	@ninja -C build package

run: .venv/.package ## build, then `sidewinder run`; ARGS='--listen 127.0.0.1:9000' are its arguments
	@ninja -C build package >&2
	@exec build/sidewinder run $(ARGS)

test: .venv/.package .venv/.tests ## what a user runs: unit, command-line, Python and browser tests
	@ninja -C build
	@$(TEST) build
	@$(PYTEST) tests

unit: .venv/.tests build/build.ninja ## one unit test: make unit T=buf
	@test -n "$(T)" || { echo "usage: make unit T=buf" >&2; exit 2; }
	@ninja -C build tests/unit/test_$(T)
	@build/tests/unit/test_$(T)

check: check-format check-layers check-headers check-python check-dashboard warnings lint sanitize tsan ## all that CI runs; ends with `make test`
	@$(MAKE) --no-print-directory test

check-format: .venv/.tests ## is everything as `make fmt` leaves it?
	@tools/format --check

check-layers: .venv/.tools ## does every include follow the floors of ARCHITECTURE.md?
	@tools/check_layers

check-headers: .venv/.tests ## does every header compile alone, with gcc and with clang?
	@.venv/bin/python tools/check_headers

check-python: .venv/.package .venv/.tests ## ruff and mypy --strict
	@.venv/bin/ruff check --quiet python tests tools bench
	@.venv/bin/mypy python/sidewinder $(PYTHON_TOOLS) tests
	@MYPYPATH=bench .venv/bin/mypy bench
	@.venv/bin/stubtest sidewinder --mypy-config-file pyproject.toml

check-dashboard: .venv/.tests ## types and own tests of the dashboard
	@tools/build_dashboard --test dashboard

warnings: build-clang/build.ninja build/build.ninja ## build with gcc and with clang; warnings are errors
	@ninja -C build
	@ninja -C build-clang

lint: build-clang/build.ninja ## clang-tidy on what changed since it last passed
	@.venv/bin/python tools/tidy build-clang

fmt: .venv/.tests ## format the C and Python sources
	@tools/format

sanitize: build-asan/build.ninja ## unit and command-line tests and stored fuzz inputs under AddressSanitizer and UBSan
	@ninja -C build-asan
	@$(TEST) build-asan --suite fuzz
	@SIDEWINDER=build-asan/sidewinder ASAN_OPTIONS=exitcode=99 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:exitcode=99 \
		$(PYTEST) -q tests/cli

tsan: build-tsan/build.ninja ## unit and command-line tests under ThreadSanitizer
	@ninja -C build-tsan
	@$(FIXED_LAYOUT) $(TEST) build-tsan
	@SIDEWINDER=build-tsan/sidewinder TSAN_OPTIONS=exitcode=99 $(FIXED_LAYOUT) $(PYTEST) -q tests/cli

neon: ## unit tests of the kernels for ARM, cross-compiled, under qemu (says what to install)
	@tools/neon build-neon

fuzz: build-asan/build.ninja ## fuzz one parser: make fuzz X=http SECONDS=60
	@test -n "$(X)" || { echo "usage: make fuzz X=http [SECONDS=60]" >&2; exit 2; }
	@ninja -C build-asan tests/fuzz/fuzz_$(X)
	@mkdir -p build-asan/corpus/$(X) tests/data/fuzz_$(X)
	@build-asan/tests/fuzz/fuzz_$(X) -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=2048 \
		-artifact_prefix=tests/data/fuzz_$(X)/ build-asan/corpus/$(X) tests/data/fuzz_$(X); \
		status=$$?; rmdir --ignore-fail-on-non-empty tests/data/fuzz_$(X); exit $$status

bench: .venv/.package ## measure beside the peers: make bench X=engine
	@test -n "$(X)" || { echo "usage: make bench X=engine" >&2; exit 2; }
	@ninja -C build package >&2
	@if [ -f bench/$(X).py ]; then $(INSTALL) --group bench && exec .venv/bin/python bench/$(X).py $(ARGS); \
	else ninja -C build bench/bench_$(X) >&2 && exec build/bench/bench_$(X) $(ARGS); fi

cover: .venv/.tests build-cover/build.ninja ## which lines the tests reach
	@ninja -C build-cover
	-@$(TEST) build-cover
	-@SIDEWINDER=build-cover/sidewinder $(PYTEST) -q tests/cli
	@.venv/bin/gcovr --root . --filter src/ --gcov-ignore-parse-errors=negative_hits.warn build-cover

build-clang/build.ninja: | .venv/.tests
	@CC=clang $(MESON) setup build-clang $(BARE) --buildtype=release

build-asan/build.ninja: | .venv/.tests
	@CC=clang $(MESON) setup build-asan $(BARE) -Dfuzz=true $(SANITIZE)=address,undefined

build-tsan/build.ninja: | .venv/.tests
	@CC=clang $(MESON) setup build-tsan $(BARE) $(SANITIZE)=thread

build-cover/build.ninja: | .venv/.tests
	@CC=gcc $(MESON) setup build-cover $(BARE) --buildtype=debug -Db_coverage=true

pythons: ## make CPython 3.13 to 3.15 for the tests in build/pythons (root, debootstrap)
	@tools/pythons

hooks: ## install the pre-commit hook
	@git config core.hooksPath .githooks

clean: ## remove all that was built
	@rm -rf build build-* .venv dashboard/dist dashboard/node_modules
