# make demo: train the embedded default and look at the result. make test: every check.
# make test-faults: the long suite that kills, stops and starves runs (CIL_CIFAR100=FOLDER takes real CIFAR-100 in).
# make docs: the site, into site/. make notebooks: execute those in examples/ anew and store their outputs.
# All create .venv and install into it first. PYTHON=python3.12 picks another interpreter.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-faults lint docs notebooks

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: .venv/.installed
	$(BIN)/python -m cil.train name=demo
	@echo 'Curves:  $(BIN)/tensorboard --logdir outputs/demo'
	@echo 'Report:  $(BIN)/python -m cil.report outputs/demo'

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-faults: .venv/.installed
	$(BIN)/python -m pytest -n 2 --dist worksteal -m faults

docs: .venv/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build
	@echo 'Site:  site/index.html'

notebooks: .venv/.installed
	$(BIN)/python -m pip install --quiet --editable '.[notebooks]'
	rm -rf examples/outputs
	OMP_NUM_THREADS=1 $(BIN)/python -m nbconvert --to notebook --execute --inplace \
		--ExecutePreprocessor.record_timing=False examples/*.ipynb
	$(BIN)/python -m nbconvert --to notebook --inplace --coalesce-streams examples/*.ipynb # what was printed line by line
