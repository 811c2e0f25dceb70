# make ingest   install what running needs, then clean what is in raw/ into clean/
# make test     install the development tools, too, then run the tests
# make check    lint, types, all tests: faults and the browser, too (what CI runs)
# make ui       Prefect's server and UI with the history of runs, and the schedules
# make bench    speed, memory and quality against peers
# make fuzz     everything that parses, against hostile input
# make train    rebuild the block model from the shared corpora
# make lock     renew constraints.txt for changed requirements; UPGRADE=1 takes newer versions

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TOOLS := $(VENV)/.ready-tools
# The uv on PATH, else the one that constraints.txt pins, put into the venv by pip.
UV := $(or $(shell command -v uv),$(BIN)/uv)
# Exact versions, each download compared with its hash; a requirement that is not in constraints.txt is refused.
# Compiled at once, as pip does it: uv leaves that to the first start of each command.
INSTALL = $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes --constraint constraints.txt --requirement pyproject.toml
export DO_NOT_TRACK = 1
export PREFECT_SERVER_ANALYTICS_ENABLED = false
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: ingest test check lint types ui bench bench-quality bench-repetition bench-store bench-pipeline bench-dask bench-orchestration bench-faults fuzz train lock setup clean-venv

ingest: $(READY)
	$(BIN)/cleancopy ingest

test: $(TOOLS)
	$(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder -m "not slow"

check: lint types test
	$(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder -m slow

lint: $(TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(TOOLS)
	$(BIN)/mypy

ui: $(READY)
	$(BIN)/cleancopy up

bench: $(TOOLS)
	$(BIN)/python -m benchmarks

# readability-lxml by itself: it asks for a chardet older than the one that comes with cleancopy, and runs with it.
bench-quality: $(TOOLS)
	$(INSTALL) --extra bench
	$(UV) pip install --quiet --python $(BIN)/python --no-deps readability-lxml==0.9 cssselect==1.6.0
	$(BIN)/python benchmarks/quality.py $(QUALITY)

bench-store: $(TOOLS)
	$(BIN)/python benchmarks/store.py

# datatrove asks for an older trafilatura, so it runs in an environment of its own; without PEERS it is left out:
#   python3 -m venv peers && peers/bin/pip install "datatrove[io,processing]==0.10.1" spacy lxml_html_clean
#   make bench-pipeline PEERS=peers/bin/python
bench-pipeline: $(TOOLS)
	$(BIN)/python benchmarks/pipeline.py $(if $(PEERS),--peers-python $(PEERS)) $(PIPELINE)

bench-dask: $(TOOLS)
	$(BIN)/python benchmarks/dask_scale.py

bench-orchestration: $(TOOLS)
	$(BIN)/python benchmarks/orchestration.py $(ORCHESTRATION)

# Ten minutes a target, of computing; finds go to tests/finds.
fuzz: $(TOOLS)
	$(INSTALL) --extra bench
	$(BIN)/python benchmarks/fuzz.py $(FUZZ)

bench-faults: $(TOOLS)
	$(BIN)/python benchmarks/faults.py

bench-repetition: $(TOOLS)
	$(BIN)/python benchmarks/repetition.py $(REPETITION)
	$(BIN)/python benchmarks/captions.py
	$(BIN)/python benchmarks/sites.py --scores $(VENV)/site-scores.pkl

train: $(TOOLS)
	$(BIN)/python benchmarks/train.py

lock: $(TOOLS)
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet pyproject.toml --universal --python-version 3.11 --all-extras \
	  --generate-hashes --no-emit-index-url --no-annotate $(if $(UPGRADE),--upgrade) --output-file constraints.txt

setup: $(READY)

$(READY): constraints.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cleancopy needs Python 3.11 or later: make PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(UV) || { sed -n '/^uv==/,/[^\\]$$/p' constraints.txt >$(VENV)/uv.txt && $(BIN)/python -m pip install --quiet --require-hashes --requirement $(VENV)/uv.txt; }
	$(INSTALL) --extra fast
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --build-constraint constraints.txt --editable .
	touch $(READY)

$(TOOLS): $(READY)
	$(INSTALL) --extra fast --extra dev
	touch $(TOOLS)

clean-venv:
	rm -rf $(VENV)
