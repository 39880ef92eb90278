# Everything a person does with this folder. It needs make and a Python of 3.11 or newer that can make virtual
# environments; `make setup` fetches the rest, and every target that needs it calls `setup` first.
#
#   make demo                 a whole run on this machine, from dry-run to proof; stays up
#   make demo ONCE=1          the same, and ends: 0 when all held
#   make test                 the whole suite
#   make … PYTHON=/path/to/python3.12     with that Python

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup demo trial test faults soak containers drill screenshots dashboards-check dashboard-pictures operating fire whole check lint types walls bench bench-road documents sbom clean FORCE
MAKEFLAGS += --no-print-directory

UV_VERSION := 0.13.9
VENV := .venv
TOOLS := .tools
RUN := $(VENV)/bin/python
UV := $(TOOLS)/uv/bin/uv
# The peers that we are measured beside are large, and no program needs them.
BENCH_VENV := $(TOOLS)/bench
UV_STAMP := $(TOOLS)/uv-$(UV_VERSION)
INTERPRETER := $(TOOLS)/interpreter
SYNC_STAMP := $(VENV)/.synced
# A district's network may have an authority of its own: where the machine knows authorities, they are believed.
SYSTEM_CERTS := $(if $(wildcard /etc/ssl/certs/ca-certificates.crt),--system-certs)
CODE := bench cli deploy services shared simulators systems tests transforms
ONCE ?=
PYTEST_ARGUMENTS ?=
# Handed on to pytest, as in PYTEST_ARGUMENTS="-k lease".
BENCH_ARGUMENTS ?=
SOAK_ARGUMENTS ?=
MINUTES ?= 30
WORDS ?=
CONNECTOR ?= all
SIZE ?= 400

unexport VIRTUAL_ENV
export UV_PROJECT_ENVIRONMENT := $(VENV)

help: ## List the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)$$/\1|\2/p' $(firstword $(MAKEFILE_LIST)) \
	| while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

setup: $(SYNC_STAMP) ## Make .venv hold exactly what uv.lock names; quick when nothing changed

demo: setup ## Play a whole run on this machine and stay up; ONCE=1 ends when done
	$(RUN) -m cli.demo $(if $(filter-out 0,$(ONCE)),--once)

trial: setup ## Run a connector from an empty house to a proven log against simulated systems: CONNECTOR=all SIZE=400
	$(RUN) -m cli.trial $(CONNECTOR) --size $(SIZE)

test: setup ## Run the whole suite in three parts side by side, in each the quick tests first
	$(RUN) -m tests.parts $(PYTEST_ARGUMENTS)

soak: setup ## Break the house on purpose for MINUTES (30) and print what held; SOAK_ARGUMENTS="--seed 7"
	$(RUN) -m tests.soak --minutes $(MINUTES) $(SOAK_ARGUMENTS)

faults: setup ## Kill, cut and fill up everything once: every crash point, cluster, proxies, disks; ten minutes
	AETHER_FAULTS=whole $(RUN) -m pytest tests/faults --durations=15 $(PYTEST_ARGUMENTS)

containers: setup ## Try the composition on a real Docker engine: health, scale, kills, a cut-off node, a drain
	$(RUN) -m tests.containers

drill: setup ## Back a house up, destroy it, restore it into an empty place and prove the log; three minutes
	$(RUN) -m tests.drill

screenshots: setup ## Make the pictures of the console's pages anew; needs Debian's chromium
	$(RUN) -m tests.console.screenshots docs/screenshots

dashboards-check: setup ## Check the dashboards against Grafana's own schema; needs Node and npm
	cd deploy/grafana/check && npm ci --no-audit --no-fund --ignore-scripts && node check.mjs ../dashboards/*.json

operating: setup ## Dashboards and alerts alone: every query over a real house, promtool; needs Debian's prometheus
	$(RUN) -m pytest tests/operating $(PYTEST_ARGUMENTS)

fire: setup ## Break a house once for each alert (WORDS="auditor" chooses) and see it fire; needs prometheus; half an hour
	$(RUN) -m tests.operating.fire $(WORDS)

whole: setup ## Run what the suite leaves out as one more of its kind
	AETHER_FAULTS=whole $(RUN) -m pytest tests -m whole --durations=15 $(PYTEST_ARGUMENTS)

dashboard-pictures: setup ## Play a house and draw what its dashboards show; needs Debian's prometheus
	$(RUN) -m tests.operating.pictures docs/dashboards

check: lint types walls ## Check form, style, types and import walls

lint: setup ## Check form and style
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .

types: setup ## Check types, strictly and everywhere
	$(VENV)/bin/mypy $(CODE)

walls: setup ## Check the import walls
	$(VENV)/bin/lint-imports --no-cache --no-logo

bench: setup ## Measure everything beside its peers; BENCH_ARGUMENTS="--quick" or "--only diff"
	UV_PROJECT_ENVIRONMENT=$(BENCH_VENV) $(UV) sync --frozen $(SYSTEM_CERTS) --group bench --python "$$(cat $(INTERPRETER))"
	$(BENCH_VENV)/bin/python -m bench $(BENCH_ARGUMENTS)

bench-road: setup ## Measure one large run end to end; BENCH_ARGUMENTS="--staff 50000" and the like
	$(RUN) -m bench.road $(BENCH_ARGUMENTS)

documents: setup ## Write the generated documents anew
	$(RUN) -m shared.bus.documents > $(TOOLS)/document && mv $(TOOLS)/document docs/bus.md
	$(RUN) -m shared.failures_document > $(TOOLS)/document && mv $(TOOLS)/document docs/failures.md
	$(RUN) -m shared.contract.schema > $(TOOLS)/document && mv $(TOOLS)/document docs/schemas/connector.schema.json
	$(RUN) -m deploy.documents.connector_language > $(TOOLS)/document && mv $(TOOLS)/document docs/connector-language.md
	$(RUN) -m shared.events.schemas export
	$(RUN) -m deploy.documents.asyncapi > $(TOOLS)/document && mv $(TOOLS)/document docs/asyncapi.yaml
	$(RUN) -m deploy.documents.interface_language > $(TOOLS)/document && mv $(TOOLS)/document docs/http-interface.md
	$(RUN) -m deploy.documents.settings > $(TOOLS)/document && mv $(TOOLS)/document docs/configuration.md
	$(RUN) -m deploy.parts licences > $(TOOLS)/document && mv $(TOOLS)/document docs/licences.md
	$(RUN) -m deploy.kubernetes.write
	$(RUN) -m deploy.documents.figures > $(TOOLS)/document && mv $(TOOLS)/document docs/figures.md
	$(RUN) -m deploy.grafana.write
	$(RUN) -m deploy.prometheus.write
	$(RUN) -m deploy.documents.systems README.md

sbom: setup ## Write a bill of materials (CycloneDX) for each program into dist/sbom
	$(RUN) -m deploy.parts sbom dist/sbom

clean: ## Take away what was made here: environment, tools, caches, the demonstration's data
	@if [ -e .aether/demo/up.lock ] && ! flock -n .aether/demo/up.lock true; then \
		echo "the demonstration is running on .aether/demo; stop it first" >&2; exit 1; fi
	rm -rf $(VENV) $(TOOLS) .aether/demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(SYNC_STAMP): uv.lock pyproject.toml $(UV_STAMP) $(INTERPRETER)
	$(UV) sync --frozen $(SYSTEM_CERTS) --python "$$(cat $(INTERPRETER))"
	@touch $@

$(UV_STAMP): $(INTERPRETER)
	@"$$(cat $(INTERPRETER))" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$$(cat $(INTERPRETER)) cannot make virtual environments: it lacks venv or ensurepip." >&2; \
		echo "Install them (Debian and Ubuntu: apt install python3-venv), or name another: make setup PYTHON=…" >&2; \
		rm -f $(INTERPRETER); exit 1; }
	"$$(cat $(INTERPRETER))" -m venv --clear $(TOOLS)/uv
	$(TOOLS)/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

# The Python that all is made with. Chosen once; chosen anew when PYTHON says so. Not every machine has a `python`.
$(INTERPRETER): $(if $(PYTHON),FORCE)
	@mkdir -p $(TOOLS)
	@for each in $(if $(PYTHON),"$(PYTHON)",python3.11 python3.12 python3.13 python3 python3.14 python); do \
		found=$$("$$each" -c 'import sys; sys.version_info < (3, 11) and sys.exit(1); print(sys.executable)' 2>/dev/null) \
		&& break; found=; \
	done; \
	if [ -z "$$found" ]; then \
		echo "$(if $(PYTHON),$(PYTHON) is no Python of 3.11 or newer.,No Python of 3.11 or newer was found.)" >&2; \
		echo "Install one (Debian and Ubuntu: apt install python3 python3-venv), or name one: make setup PYTHON=…" >&2; \
		exit 1; \
	fi; \
	[ "$$(cat $@ 2>/dev/null)" = "$$found" ] || echo "$$found" > $@
