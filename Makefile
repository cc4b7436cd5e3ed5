PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# How many processes run the tests: half of the time a test waits, so one more than there are cores, up to eight.
# In one process, one after the other: make test WORKERS=0
WORKERS ?= $(shell n=$$(($$(nproc) + 1)); echo $$((n < 8 ? n : 8)))
STAMP := $(VENV)/installed
# Those that test-dist is for; CONTRIBUTING.md says where each was run.
PYTHONS ?= $(PYTHON)

# What the demo, the examples and the tests run: losetup, mount, partx, blkid, sfdisk, mkfs.ext4, mkfs.xfs, strace, zstd,
# fusermount3, vgcreate, shellcheck; and of systemd only systemd-analyze and systemd-tmpfiles, which read unit files.
SYSTEM_PACKAGES := mount util-linux fdisk e2fsprogs xfsprogs btrfs-progs squashfs-tools lvm2 strace zstd fuse3 bindfs shellcheck \
	systemd man-db groff-base mandoc

.DEFAULT_GOAL := help
.PHONY: help setup system demo test proof dist test-dist check format coverage clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv and install the library and its tools there

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is missing or older than 3.11: name another one, as in 'make setup PYTHON=python3.12'." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module: on Debian, 'apt-get install python3-venv' brings it." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

system: ## install the Debian packages that the demo and the tests use (as root)
	@command -v dpkg-query >/dev/null || { \
		echo "Not a Debian system; please see to these yourself: $(SYSTEM_PACKAGES)"; exit 0; }; \
	missing=; \
	for package in $(SYSTEM_PACKAGES); do \
		dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || missing="$$missing $$package"; \
	done; \
	test -n "$$missing" || exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing:$$missing"; \
		export DEBIAN_FRONTEND=noninteractive; \
		{ apt-get -qq update && apt-get -qq install --yes --no-install-recommends $$missing; } </dev/null && exit 0; \
	fi; \
	echo "Missing packages:$$missing (as root: apt-get install$$missing). What needs them is skipped or fails." >&2

demo: setup system ## run the main job on real images
	$(BIN)/python examples/pipeline.py

test: setup system check ## set up, then run every check and every test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

proof: setup system ## kill and fail every system call, and storm: what a sample of is in make test
	NTT_LOOPS_REQUIRE=kernel,tools NTT_LOOPS_PROOF=whole NTT_LOOPS_PROOF_COUNTS=proof-counts.json $(BIN)/python -m pytest tests/proof

dist: setup ## build the sdist and the wheel in dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist

test-dist: dist system ## install the wheel with each of PYTHONS where src/ is out of reach, and test that
	$(BIN)/python -m tests.installed dist $(PYTHONS)

check: setup ## lint, formatting, types, and the layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## put the code in order
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

coverage: setup system ## run the tests and show the lines and branches they miss
	$(BIN)/python -m pytest --cov --cov-report=term-missing

clean: ## remove what the other targets made
	rm -rf proof-counts.json $(VENV) build dist .coverage .coverage.* htmlcov .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
