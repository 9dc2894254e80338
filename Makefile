# One verb a line of work; `make` lists them. CI and the pre-commit hooks call the same verbs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SOURCES := src tests examples benchmarks semconv

.DEFAULT_GOAL := help
.PHONY: help env demo docs test fuzz slow lint format semconv readme bench matrix release clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[all]' --group dev --group beside --group docs --group lint
	touch $(READY)

env: $(READY) ## Make the environment in .venv

demo: $(READY) ## An agent on simulated providers, traced, then shown: no key, no network
	@rm -rf examples/output && mkdir -p examples/output
	@cd examples && ../$(BIN)/python quickstart.py output/traces.jsonl
	@echo
	$(BIN)/peekr view examples/output/traces.jsonl --io

test: $(READY) ## Run the tests
	$(BIN)/python -m pytest -n auto

fuzz: $(READY) ## Damage what is read at length: Hypothesis, then Atheris where it installs
	$(BIN)/python -m pytest tests/fuzz --hypothesis-profile=fuzz
	$(BIN)/python tests/fuzz/covering.py

slow: $(READY) ## Install other people's servers (rotel, Phoenix, MLflow), and run the tests with them
	$(BIN)/python tests/support/backends.py
	$(BIN)/python -m pytest -m slow

lint: $(READY) ## Check style, types, architecture and generated files
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/python semconv/generate.py --check
	$(BIN)/python tests/readme.py --check

format: $(READY) ## Format the code and sort its imports
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

semconv: $(READY) ## Generate the attribute names and docs/conventions.md from semconv/
	$(BIN)/python semconv/generate.py

docs: $(READY) ## Write what is generated in docs/, and build the site into build/docs
	PYTHONPATH=examples $(BIN)/python -m tests.docs.write
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

readme: $(READY) ## Write the generated parts of README.md
	$(BIN)/python tests/readme.py

bench: $(READY) ## Measure what Peekr costs, beside other instrumentations, into benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run.py $(BENCH)
	$(BIN)/python tests/readme.py

matrix: $(READY) ## Run the tests on every supported Python, SDK and OpenTelemetry
	$(BIN)/python tests/matrix.py $(MATRIX)

release: $(READY) ## Build the wheel and the sdist, and try them in clean environments
	$(BIN)/python tests/release/check.py $(CHECKS)

clean: ## Remove what the other verbs made
	rm -rf $(VENV) .fuzz .hypothesis .matrix .bench dist build examples/output .pytest_cache .ruff_cache .import_linter_cache
