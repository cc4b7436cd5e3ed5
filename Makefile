PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# pytest's processes: tests wait more than they compute. 0 is one, as for a debugger; `make test WORKERS=0`.
WORKERS ?= 3
STAMP := $(VENV)/installed
# Those that test-dist is for; CONTRIBUTING.md says where each was run.
PYTHONS ?= $(PYTHON)

# What the demo, the examples and the tests run: losetup, mount, partx, blkid, sfdisk, mkfs.ext4, mkfs.xfs, strace, zstd,
# fusermount3, vgcreate, shellcheck; and of systemd only systemd-analyze and systemd-tmpfiles, which read unit files.
SYSTEM_PACKAGES := mount util-linux fdisk e2fsprogs xfsprogs btrfs-progs squashfs-tools lvm2 strace zstd fuse3 bindfs shellcheck \
	systemd man-db groff-base mandoc

# What else `make bench` compares with: libblockdev with its bindings for Python, of whichever version Debian has.
BENCH_PACKAGES = gcc libc6-dev python3-gi strace \
	$(shell apt-cache pkgnames 2>/dev/null | grep -xE 'gir1\.2-blockdev-[23]\.0|libblockdev-loop[23]')

# What `make test-kernels` needs besides: kernels in virtual machines, and what is attached and stacked there.
KERNEL_PACKAGES := qemu-system-x86 busybox-static udev kmod dosfstools xorriso mdadm dmsetup
KERNELS ?= bullseye bookworm trixie
# Some of its runs alone, as in RUNS="facts contract"; the others keep what they came to before.
RUNS ?=

# What the target `system` installs; another target may want more.
PACKAGES = $(SYSTEM_PACKAGES)

.DEFAULT_GOAL := help
.PHONY: help setup system demo test test-kernels proof bench dist test-dist check format coverage docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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
		echo "Not a Debian system; please see to these yourself: $(PACKAGES)"; exit 0; }; \
	missing=; \
	for package in $(PACKAGES); do \
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

bench: PACKAGES = $(BENCH_PACKAGES)
bench: setup system $(VENV)/benching ## measure, and write figures and plots into docs (ONLY="cycle scale": parts; QUICK=1: only try it)
	$(BIN)/python -m tests.benchmarks $(if $(QUICK),--quick) $(ONLY)

$(VENV)/benching: $(STAMP)
	$(BIN)/python -m pip install --quiet --group bench
	@touch $@

test-kernels: PACKAGES = $(SYSTEM_PACKAGES) $(KERNEL_PACKAGES)
test-kernels: setup system $(VENV)/kernels ## boot other kernels in virtual machines, and test on their loop devices
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.kernels $(KERNELS) $(addprefix --run ,$(RUNS))

$(VENV)/kernels: $(STAMP)
	$(BIN)/python -m pip install --quiet --group kernels
	@touch $@

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

docs: $(VENV)/documenting ## make the site of docs/ in build/site; a warning is an error (as root: also the pictures of a terminal)
	$(BIN)/python -m tests.pictures
	$(BIN)/python -m sphinx -q -W -E --keep-going -j auto -b html -c docs -d build/doctrees . build/site
	@! grep -rnoE '<(script|link|img)[^>]* (src|href)="(https?:)?//[^"]*|url\(["'"'"']?https?:[^)]*' build/site --include='*.html' --include='*.css' \
		|| { echo "The site would fetch these from the net where it is read." >&2; exit 1; }
	@echo "build/site/index.html"

$(VENV)/documenting: $(STAMP)
	$(BIN)/python -m pip install --quiet --group docs
	@touch $@

clean: ## remove what the other targets made
	rm -rf proof-counts.json bench $(VENV) build dist .coverage .coverage.* htmlcov .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
