# make ingest   set up, then clean what is in raw/ into clean/
# make test     set up, then run the tests
# make check    lint, types, all tests: faults and the browser, too (what CI runs)
# make ui       Prefect's server and UI with the history of runs, and the schedules
# make bench    speed, memory and quality against peers
# make fuzz     what is parsed, against what an enemy may send
# make train    rebuild the block model from the shared corpora

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export DO_NOT_TRACK = 1
export PREFECT_SERVER_ANALYTICS_ENABLED = false
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: ingest test check lint types ui bench bench-quality bench-repetition bench-store bench-pipeline bench-dask bench-orchestration bench-faults fuzz train setup clean-venv

ingest: $(READY)
	$(BIN)/cleancopy ingest

test: $(READY)
	$(BIN)/python -m pytest -n auto --dist loadscope -m "not slow"

check: lint types test
	$(BIN)/python -m pytest -n auto --dist loadscope -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

ui: $(READY)
	$(BIN)/cleancopy up

bench: $(READY)
	$(BIN)/python -m benchmarks

# readability-lxml by itself: it asks for a chardet older than the one that comes with cleancopy, and runs with it.
bench-quality: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[fast,dev,bench]"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps readability-lxml==0.9 cssselect
	$(BIN)/python benchmarks/quality.py $(QUALITY)

bench-store: $(READY)
	$(BIN)/python benchmarks/store.py

# datatrove asks for an older trafilatura, so it runs in an environment of its own; without PEERS it is left out:
#   python3 -m venv peers && peers/bin/pip install "datatrove[io,processing]==0.10.1" spacy lxml_html_clean
#   make bench-pipeline PEERS=peers/bin/python
bench-pipeline: $(READY)
	$(BIN)/python benchmarks/pipeline.py $(if $(PEERS),--peers-python $(PEERS)) $(PIPELINE)

bench-dask: $(READY)
	$(BIN)/python benchmarks/dask_scale.py

bench-orchestration: $(READY)
	$(BIN)/python benchmarks/orchestration.py $(ORCHESTRATION)

# Ten minutes a target, of computing; finds go to tests/finds.
fuzz: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[fast,dev,bench]"
	$(BIN)/python benchmarks/fuzz.py $(FUZZ)

bench-faults: $(READY)
	$(BIN)/python benchmarks/faults.py

bench-repetition: $(READY)
	$(BIN)/python benchmarks/repetition.py $(REPETITION)
	$(BIN)/python benchmarks/captions.py
	$(BIN)/python benchmarks/sites.py --scores $(VENV)/site-scores.pkl

train: $(READY)
	$(BIN)/python benchmarks/train.py

setup: $(READY)

$(READY): constraints.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[fast,dev]"
	touch $(READY)

clean-venv:
	rm -rf $(VENV)
