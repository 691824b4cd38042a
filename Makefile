# Every verb does its own set-up; the second run is fast (a stamp in .venv).
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CHAOS_SECONDS ?= 90
CHAOS_FAULTS ?= 15
CHAOS_EVENTS ?= 300000
SEED ?= 1
SOAK_STARTS ?= 300
SOAK_RESTARTS ?= 100
SOAK_STOPS ?= 300

# What pytest and the processes of a test compile is kept for the next: they would compile it a hundred times.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-thorough test-kafka test-cluster test-chaos test-observability test-kubernetes test-readers test-stores test-compose soak-start test-clients test-browser test-wheel bench bench-guard bench-peers lint docs format up down clean

help:
	@echo "make demo        run everything on this machine: real history, then a live shop (Ctrl-C ends it)"
	@echo "make test        unit, property and integration tests on the embedded stack"
	@echo "make test-thorough  the same with every random case, as .ci/run does"
	@echo "make test-kafka  the same contracts on a real Apache Kafka 4.1 (Java 17 and Maven)"
	@echo "make test-chaos  kill real processes at random and compare the numbers with an oracle"
	@echo "make test-cluster  three brokers of Apache Kafka, six Valkey nodes and sentinels, killed and cut off"
	@echo "make test-observability  exporter, rules, Alertmanager and dashboards on a real Prometheus, over five weeks of events (3 to 5 minutes)"
	@echo "make test-kubernetes  the Helm chart against the schemas of Kubernetes, KEDA and Prometheus' operator (node)"
	@echo "make test-readers  rules and native histograms in Prometheus 3, rules in vmalert (built from their Go modules, once: 5 minutes of CPU)"
	@echo "make test-stores  the archive in S3, on a server that speaks it: kills, and two writers at once"
	@echo "make test-compose  docker-compose.yml in real containers (root on Debian, Java and Maven)"
	@echo "make soak-start  hundreds of starts, double restarts and stops in rebalances on a busy machine (hours)"
	@echo "make test-clients  the clients of Segment, RudderStack, PostHog, Snowplow and CloudEvents for Node.js (node, npm)"
	@echo "make test-browser  the snippet, other browser clients and the live page in Chromium; what must hold everywhere in Firefox and WebKit too (node, npm, browsers)"
	@echo "make test-wheel  the built wheel in an empty environment: init, a visit in Chromium, report, demo"
	@echo "make bench       the benchmark table, written into docs/performance.md (less than 10 minutes; Java and Maven)"
	@echo "make bench-guard  whether an event has become dearer: ratios to a bare loop beside the stored ones (a quarter of a minute)"
	@echo "make bench-peers  the same job on Flink, Kafka Streams, Quix Streams and stock Faust beside ours, into docs/performance.md (an hour or less; JDK 17 and Maven)"
	@echo "make lint        ruff, mypy, import-linter, and the documents as a site"
	@echo "make docs        the documents as a site, in build/site; a link that leads nowhere fails"
	@echo "make up          Kafka, Valkey, all services, Prometheus, Alertmanager and Grafana by docker compose"

setup: $(STAMP)

# Compiled as an installed package is: with PYTHONDONTWRITEBYTECODE every start would compile the product again.
$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "funnelcast needs Python 3.11 or newer: set PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (once; a minute or two) ..." >&2
	@{ $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt pip \
	  && $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[embedded,import,charts]" --group dev \
	  && $(BIN)/python -m compileall -q funnelcast producers schemas streams; \
	} >$(VENV)/install.log 2>&1 || { cat $(VENV)/install.log >&2; exit 1; }
	@touch $(STAMP)

# The demo needs what the product needs, a third of what tests and linters bring; `make setup` adds the rest.
DEMO_STAMP := $(VENV)/.installed-product

$(DEMO_STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "funnelcast needs Python 3.11 or newer: set PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -e $(STAMP) -a ! pyproject.toml -nt $(STAMP) -a ! constraints.txt -nt $(STAMP) || { \
	  echo "Installing into $(VENV) (once; less than a minute) ..." >&2; \
	  $(BIN)/python -m pip install -q --no-compile --disable-pip-version-check -c constraints.txt -e ".[embedded]" >$(VENV)/install.log 2>&1 \
	  || { cat $(VENV)/install.log >&2; exit 1; }; }
	@touch $(DEMO_STAMP)

demo: $(DEMO_STAMP)
	@$(BIN)/funnelcast demo

# Integration tests wait more than half of their time for processes, so more of them run at once than there are cores;
# laws and unit tests, which only compute, come last and fill what is left.
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
AT_ONCE ?= $(shell expr $(CORES) + 2)
TESTS := tests/e2e tests/integration tests/property tests/unit

test: setup
	@echo "make test: about 5 minutes on two quiet cores, less on more"
	@start=$$(date +%s); \
	$(BIN)/python -m pytest -n $(AT_ONCE) --dist loadfile --no-loadscope-reorder $(TESTS) $(PYTEST_ARGS) && \
	taken=$$(( $$(date +%s) - start )) && echo "make test: passed in $$(( taken / 60 )) min $$(( taken % 60 )) s"

test-thorough: export FUNNELCAST_THOROUGH = 1
test-thorough: test

test-kafka: setup
	$(BIN)/python -m pytest -m kafka tests/kafka $(PYTEST_ARGS)

test-chaos: setup
	$(BIN)/python -m pytest -m chaos tests/chaos $(PYTEST_ARGS)
	$(BIN)/funnelcast chaos --seconds $(CHAOS_SECONDS) --faults $(CHAOS_FAULTS) --events $(CHAOS_EVENTS) --seed $(SEED) $(CHAOS_ARGS)

test-cluster: setup
	$(BIN)/python -m pytest -m cluster tests/cluster $(PYTEST_ARGS)

test-observability: setup
	$(BIN)/python -m pytest -m observability tests/observability $(PYTEST_ARGS)

test-kubernetes: setup
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --group kubernetes --group go
	npm --prefix tests/kubernetes ci --silent
	$(BIN)/python -m tests.kubernetes.helm
	$(BIN)/python -m pytest -m kubernetes tests/kubernetes $(PYTEST_ARGS)

test-readers: setup
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --group go
	$(BIN)/python -m tests.readers.programs
	$(BIN)/python -m pytest -m readers tests/readers $(PYTEST_ARGS)

test-stores: setup
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --group s3
	$(BIN)/python -m pytest -m s3 tests/s3 $(PYTEST_ARGS)

test-compose: setup
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --group go
	$(BIN)/python -m tests.compose
	$(BIN)/python -m pytest -m compose tests/compose $(PYTEST_ARGS)

soak-start: setup
	$(BIN)/python -m tests.soak --starts $(SOAK_STARTS) --restarts $(SOAK_RESTARTS) --stops $(SOAK_STOPS) --seed $(SEED)

CLIENTS_STAMP := tests/clients/node_modules/.installed

$(CLIENTS_STAMP): tests/clients/package.json tests/clients/package-lock.json
	npm --prefix tests/clients ci --silent
	@touch $@

test-clients: setup $(CLIENTS_STAMP)
	$(BIN)/python -m pytest tests/clients $(PYTEST_ARGS)

test-browser: setup
	npm --prefix tests/browser ci --silent
	$(BIN)/python -m pytest -m browser tests/browser $(PYTEST_ARGS)

test-wheel: setup
	$(BIN)/python -m pytest -m wheel tests/wheel $(PYTEST_ARGS)

bench: setup
	$(BIN)/python -m bench --write docs/performance.md $(BENCH_ARGS)

bench-guard: setup
	$(BIN)/python -m bench.guard $(BENCH_ARGS)

bench-peers: setup
	$(BIN)/python -m bench.peers --write docs/performance.md $(BENCH_ARGS)

lint: setup docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy docs/*.py
	$(BIN)/lint-imports

DOCS_STAMP := $(VENV)/.installed-docs

$(DOCS_STAMP): $(STAMP)
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --group docs >$(VENV)/install.log 2>&1 \
	  || { cat $(VENV)/install.log >&2; exit 1; }
	@touch $(DOCS_STAMP)

docs: $(DOCS_STAMP)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet && echo "build/site/index.html"

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

up:
	@docker compose version >/dev/null 2>&1 || { \
	  echo "make up needs Docker with its compose plugin: https://docs.docker.com/compose/install/linux/ (without it, \`make demo\` runs everything here)"; exit 1; }
	docker compose up --build --wait

down:
	docker compose --profile '*' down

clean:
	rm -rf $(VENV) .cache .funnelcast build dist *.egg-info
