# Two commands do everything: `make run` and `make test`. Both set up `.venv` first, once.
PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
READY := $(VENV)/.ready
STARTER := $(VENV)/.starter
READY_DEV := $(VENV)/.ready-dev
EXAMPLE := a red house on a meadow at sunset

.PHONY: run test parity bench fuzz-models setup clean starter

run: $(READY) $(STARTER)
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] || [ "$$(uname)" = Darwin ]; then \
		$(BIN)/python main.py; \
	else \
		echo "There is no screen here, so this draws a picture: $(EXAMPLE)"; \
		$(BIN)/python main.py generate "$(EXAMPLE)"; \
	fi

test: $(READY_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/basedpyright
	OMP_WAIT_POLICY=PASSIVE QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest -n 2 --dist loadfile

parity: $(READY_DEV)
	QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest -q tests/reference --parity

bench: $(READY_DEV)
	QT_QPA_PLATFORM=offscreen $(BIN)/python -m tests.bench

fuzz-models: $(READY_DEV)
	$(BIN)/python -m tests.fuzz.models

setup: $(READY)

$(VENV)/bin/activate $(VENV)/Scripts/activate:
	@command -v $(PYTHON) >/dev/null || { \
		echo "Easel needs Python 3.11 (“$(PYTHON)” is not here). On Debian 12: apt install python3.11 python3.11-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
		echo "Easel needs Python 3.11; “$(PYTHON)” is another. Use: make PYTHON=/path/to/python3.11 run" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		echo "Python cannot make a virtual environment here. On Debian 12: apt install python3.11-venv" >&2; exit 1; }

$(READY): pyproject.toml constraints.txt | $(BIN)/activate
	@echo "Setting up Easel in $(VENV) (once, some minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e . || { \
		echo "The set-up did not finish: pip says above what is missing. Check the network and the disk, then try again." >&2; exit 1; }
	@touch $@

$(STARTER): $(READY) resources/starter/model/unet/diffusion_pytorch_model.safetensors
	@echo "Preparing the starter model for this machine (once, half a minute)"
	@$(BIN)/python main.py models convert "Easel Starter"
	@touch $@

$(READY_DEV): $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]' || { \
		echo "The set-up of the tests did not finish: pip says above what is missing." >&2; exit 1; }
	@if [ "$$(uname)" = Linux ]; then $(BIN)/python -c 'from PySide6 import QtWidgets' || { \
		echo "Qt needs system libraries. On Debian 12: apt install libgl1 libegl1 libxkbcommon0 libdbus-1-3 libfontconfig1" >&2; exit 1; }; fi
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info

WORK ?= build/starter
starter: $(READY)
	$(BIN)/python -m resources.starter_recipe all --work $(WORK)
