# Everything a newcomer or CI needs; each target sets up its own virtual environment.
# PYTHON: any CPython from 3.11; plyvel has wheels for 3.11 and 3.12, later ones compile it.
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do command -v $$p >/dev/null 2>&1 && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
CONSENSUS ?= pbft
SEEDS ?= 2000
FROM ?= 1
ENGINE ?= both
VECTORS ?= ../shared/data/vectors
KILLS ?= 50
HISTORIES ?= 40
FRAMES ?= 1000000
NATIVE := native/Cargo.toml native/pyproject.toml $(wildcard native/src/*.rs)

.DEFAULT_GOAL := help
.PHONY: help setup native wheels demo test check lint types contracts unit sim cluster kill-test histories stories fuzz mutants model model-select bench bench-peers profile conformance coverage clean why-faults chaos bench-recovery rehearsals

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/.ready: pyproject.toml deploy/setup.sh $(NATIVE)
	@sh deploy/setup.sh "$(PYTHON)" "$(VENV)"
	@touch $@

setup: $(BIN)/.ready  ## make the virtual environment; with the native accelerator where cargo is

native: setup  ## build the native accelerator into the virtual environment, or say why not
	@$(BIN)/python -m pip install -q --disable-pip-version-check --force-reinstall --no-deps ./native
	@$(BIN)/chartseal --accel native version

wheels: setup  ## wheels of the node and of the native accelerator into dist/
	@$(BIN)/python native/notices.py
	@$(BIN)/python -m pip wheel -q --disable-pip-version-check --no-deps -w dist . ./native
	@ls dist/*.whl

demo: setup  ## four institutions anchor records, one crashes, receipts verify offline
	@$(BIN)/chartseal demo --consensus $(CONSENSUS) $(if $(INPUT),--input "$(INPUT)") $(if $(KEEP),--keep) $(DEMO_ARGS)

test: setup  ## everything that must hold, in minutes
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile $(ARGS)

check: lint types contracts  ## style, types, import contracts

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup
	@$(BIN)/mypy

contracts: setup
	@$(BIN)/lint-imports

sim: setup  ## seeded whole-cluster simulation: SEEDS=n FROM=k ENGINE=raft|pbft|eras|both
	@$(BIN)/python tests/sim/run.py --seeds $(SEEDS) --start $(FROM) --engine $(ENGINE)

kill-test: setup  ## the long crash test on real processes: KILLS=50 for each engine
	@CHARTSEAL_KILLS=$(KILLS) $(BIN)/python -m pytest -q tests/cluster/test_kills.py --timeout 1800

histories: setup  ## clients' histories under kills, pauses, partitions: HISTORIES=40 faults for each engine
	@CHARTSEAL_HISTORIES=$(HISTORIES) $(BIN)/python -m pytest -q -s tests/cluster/test_histories.py --timeout 3600

stories: setup  ## acceptance stories on real nodes, calendar and all: ARGS="--engine raft NAME"
	@$(BIN)/python tests/stories/run.py $(ARGS)

rehearsals: setup  ## long tests on real processes: wiped and restored members, old versions, full disks, every fault
	@$(BIN)/python -m pytest -q tests/rehearsal --timeout 900 $(ARGS)

chaos: setup  ## a rehearsal of real faults: ARGS="--rounds 200 --seed 1 --consensus raft"
	@$(BIN)/chartseal dev chaos $(ARGS)

why-faults: setup  ## faults on real processes: what `why` names first; ARGS=--table for the manual
	@$(BIN)/python tests/why/run.py $(ARGS)

fuzz: setup  ## bent frames against engines and decoders: FRAMES=n ENGINE=raft|pbft|both
	@$(BIN)/python tests/fuzz/run.py --frames $(FRAMES) --engine $(ENGINE)
	@$(BIN)/python tests/fuzz/decoders.py --frames $(FRAMES)

mutants: setup  ## historical mistakes planted one by one: how many seeds find each
	@$(BIN)/python tests/mutants/run.py $(ARGS)

model: setup  ## model-check our PBFT with TLC (Java from the system): ARGS=--quick
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[model]'
	@$(BIN)/python tests/model/run.py $(ARGS)

model-select: setup  ## TLC judges the answers of the PBFT selection function
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[model]'
	@$(BIN)/python tests/model/run.py --select

bench: setup  ## figures into bench-results/: ARGS="--quick", --only NAME, --soak MINUTES
	@$(BIN)/python tests/bench/run.py $(ARGS)

bench-recovery: setup  ## gaps at kills and switches, catch-up of a wiped member: ARGS="--rounds 20"
	@$(BIN)/python tests/bench/recovery.py $(ARGS)

bench-peers: setup  ## what `make bench` compares with: etcd, PostgreSQL, their clients
	@sh tests/bench/install_peers.sh $(BIN)/python

profile: setup  ## flame graph and hop table of a node under load: ARGS="--engine raft"
	@$(BIN)/python tests/bench/profile.py $(ARGS)

conformance: setup  ## other people's vectors: VECTORS=directory
	@$(BIN)/python tests/conformance/run.py "$(VECTORS)"

coverage: setup  ## the test suite with branch coverage
	@$(BIN)/python -m pytest -q --cov --cov-report=term $(ARGS)

clean:  ## remove what was built here
	rm -rf $(VENV) build dist native/target *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis bench-results
