# Each command makes its own virtual environment first, from constraints.txt. `make help` lists them.
PYTHON ?= python3
BIN = .venv/bin
PIP = $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
QUICKSTART = nbs/experiments/01_quickstart.ipynb
SIZE = -p scale=small -p n_transitions=200000 -p targets=9 -p episodes=5 -p results=_runs/results
ARGS =

.PHONY: help demo test prep docs lab clean

help:
	@echo 'make demo   the main job: data, critic, DT and Q-ALIGN DT, both dials (ARGS="-p dataset=halfcheetah-medium-replay")'
	@echo 'make test   every check; ends with "N passed, M failed" (ARGS="notebook" runs the checks with that in their name)'
	@echo 'make prep   for contributors, before a commit: export, clean, report, README, then every check'
	@echo 'make docs   the web pages, in _docs/'
	@echo 'make lab    the notebooks in JupyterLab'
	@echo 'make clean  removes what the commands above made, but not .venv and not the runs'

demo: .venv/installed
	$(BIN)/qalign-dt run $(QUICKSTART) $(SIZE) --again $(ARGS)

test: .venv/installed
	@$(BIN)/python -m qalign_dt.dev test $(ARGS)

prep: .venv/installed
	$(BIN)/nbdev_export
	$(BIN)/nbdev_clean
	$(BIN)/qalign-dt report
	$(BIN)/python -m qalign_dt.dev readme
	$(BIN)/python -m qalign_dt.dev test $(ARGS)

docs: .venv/installed
	@$(BIN)/python -m qalign_dt.dev site

lab: .venv/installed
	$(BIN)/jupyter lab nbs

clean:
	rm -rf _docs build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -name .venv -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

# Made again only when what it is made from has changed.
.venv/installed: constraints.txt settings.ini setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=python3.11 ...")'
	@$(PYTHON) -c 'import venv, ensurepip' || { echo '$(PYTHON) has no venv module: on Debian and Ubuntu, apt-get install python3-venv'; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) --editable '.[notebooks,dev,docs]'
	@touch $@
