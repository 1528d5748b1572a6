# The two commands for a fresh machine are `make run` and `make test`; each does all set-up itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
POSTGRES_BIN := $(lastword $(sort $(wildcard /usr/lib/postgresql/*/bin)))
INSTALLED := $(VENV)/.installed
PIP := python -m pip --disable-pip-version-check -q
COMPILE := $(BIN)/pip-compile -q --strip-extras --generate-hashes --allow-unsafe --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host setup.cfg
OLDEST := .venv-oldest
COMPILE_OLDEST := $(BIN)/uv pip compile -q --python-version 3.11 --generate-hashes --no-header \
	--no-annotate --extra postgres --extra mysql --extra cli --extra notify --extra aws --extra s3 \
	--extra gcs setup.cfg

CORES := $(shell nproc)
# Tests and their databases write where a commit waits for no disk, if there is such a place.
MEMORY := $(shell grep ' /dev/shm ' /proc/mounts | grep -qv noexec && test -w /dev/shm && \
	test $$(df -k --output=avail /dev/shm | tail -n 1) -gt 4000000 && echo /dev/shm)
IN_MEMORY := TMPDIR=$(or $(MEMORY),$(TMPDIR),/tmp)
XDIST := -n $(CORES) --dist worksteal
PYTEST := $(IN_MEMORY) $(BIN)/pytest $(XDIST)
# These tests wait more than they compute. `loadscope` is that of tests/scheduling.py.
CLUSTERS := $(IN_MEMORY) $(BIN)/python -m tests.on_cluster $(BIN)/pytest tests/contract \
	tests/acceptance -n $$(( 2 * $(CORES) )) --dist loadscope --no-loadscope-reorder --durations 15
FAST := tests/unit tests/store tests/causes tests/attacks
# The mark is set by tests/conftest.py.
NO_SERVER := -m "not server"
ON_SERVERS := -m server
TIMES := .times
# The suite starts hundreds of interpreters; without this each would compile all modules for itself.
unexport PYTHONDONTWRITEBYTECODE

# $(call part,NAME,COMMAND): run a part of the tests, and write down how long it took and whether it
# failed; the parts after it run all the same
part = @begin=$$(date +%s); if $(2); then how=; else how='  failed'; fi; \
	printf '%-8s %5d s%s\n' $(1) $$(( $$(date +%s) - begin )) "$$how" >> $(TIMES)
# $(call covered,TESTS): run them, and fail also if they cover less of the package than `setup.cfg`
# asks for; `coverage report -m` tells what is not covered
covered = $(BIN)/coverage erase && $(IN_MEMORY) $(BIN)/coverage run -m pytest $(XDIST) $(1) && \
	$(BIN)/coverage combine -q && $(BIN)/coverage report --format=total
# Show the parts, and fail if one of them did.
SHOW_TIMES = @cat $(TIMES); ! grep -q failed $(TIMES)

.DEFAULT_GOAL := help
.PHONY: help install run check test test-all parts-of-test unit attack oldest lint types \
	kerberos cluster cluster-down bench crash lock system-packages clean

help: ## Show what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

install: $(INSTALLED) ## Make .venv and install the service with its development tools

$(INSTALLED): config/requirements-dev.txt
$(OLDEST)/.installed: config/requirements-oldest.txt

$(INSTALLED) $(OLDEST)/.installed: %/.installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; name it: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x $*/bin/python || $(PYTHON) -m venv $*
	@echo "installing into $*"
	@$*/bin/$(PIP) install --require-hashes -r $(filter config/%,$^)
	@PYTHONWARNINGS=ignore $*/bin/$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

run: install ## Run the service with the sandbox cluster, and print how to try it
	@$(BIN)/tracker run --sandbox

check: install ## Check style and types, and run the quick tests that need no cluster and no server
	@rm -f $(TIMES)
	$(call part,style,$(MAKE) --no-print-directory -k -j2 --output-sync lint types)
	$(call part,unit,$(PYTEST) $(FAST) -m "not server and not slow")
	$(SHOW_TIMES)

test: install system-packages ## Run all that the promises rest on, on real clusters too
	@rm -f $(TIMES)
	@$(MAKE) --no-print-directory parts-of-test
	$(SHOW_TIMES)

test-all: install system-packages ## Before a release: the same with many more examples and kills
	@rm -f $(TIMES)
	@TESTS_PROFILE=long $(MAKE) --no-print-directory parts-of-test
	$(call part,oldest,$(MAKE) --no-print-directory oldest)
	$(call part,crash,$(BIN)/python -m tests.crashes --kills 1000)
	$(call part,crash-p,$(BIN)/python -m tests.crashes --kills 1000 --database postgresql)
	$(call part,crash-m,$(BIN)/python -m tests.crashes --kills 1000 --database mariadb)
	$(SHOW_TIMES)

parts-of-test:
	$(call part,style,$(MAKE) --no-print-directory -k -j3 --output-sync kerberos lint types)
	$(call part,unit,$(call covered,$(FAST) $(NO_SERVER)))
	$(call part,servers,$(PYTEST) $(FAST) $(ON_SERVERS))
	$(call part,clusters,$(CLUSTERS))

unit: install ## Run the fast tests alone, those of the store on each database that is there
	$(PYTEST) $(FAST)

attack: install ## Attack the service in all ways that are known, and print a table
	TESTS_PROFILE=long $(IN_MEMORY) $(BIN)/pytest -n0 tests/attacks

oldest: $(OLDEST)/.installed ## Run the fast tests with the oldest dependencies that are allowed
	$(IN_MEMORY) $(OLDEST)/bin/pytest $(XDIST) $(FAST) $(NO_SERVER)

lint: install ## Check style, and who may import whom
	$(BIN)/ruff check --config config/ruff.toml .
	$(BIN)/ruff format --config config/ruff.toml --check .
	$(BIN)/lint-imports --config setup.cfg

types: install ## Check types
	$(BIN)/mypy

cluster: system-packages ## Start a real Hadoop, Oozie and Knox, and print how to use it
	@$(PYTHON) tests/cluster/cluster up > /dev/null
	@$(PYTHON) tests/cluster/cluster show

cluster-down: ## Stop it
	@$(PYTHON) tests/cluster/cluster down

bench: install ## Measure, side by side where there is something beside it
	$(BIN)/python -m bench

crash: install ## Kill the service N times, on the database DATABASE, and check that nothing is lost
	$(BIN)/python -m tests.crashes --kills $(or $(N),1000) --database $(or $(DATABASE),sqlite) $(if $(SEED),--seed $(SEED))

lock: install ## Write the lock files anew; that of Kerberos needs its headers
	$(COMPILE) --upgrade -o config/requirements.txt
	$(COMPILE) --upgrade --extra dev --extra postgres --extra mysql --extra cli --extra notify --extra aws \
		-o config/requirements-dev.txt
	$(COMPILE) --extra postgres --extra mysql --extra notify --extra aws --build-deps-for wheel \
		-c config/requirements-dev.txt -o config/requirements-image.txt
	$(COMPILE) --extra kerberos -c config/requirements-dev.txt -o config/requirements-kerberos.txt
	$(COMPILE_OLDEST) --upgrade --resolution lowest-direct -o config/requirements-oldest.txt
	$(COMPILE_OLDEST) --extra dev -c config/requirements-oldest.txt -o config/requirements-oldest.txt

# It is built here, of C: `make install` does without, and so do the tests where it cannot be built.
kerberos: install system-packages
	@if $(BIN)/python -c 'import requests_kerberos' 2> /dev/null; then \
		:; \
	elif ! PATH="$$PATH:/usr/sbin" command -v krb5-config > /dev/null; then \
		echo "the tests with Kerberos are left out: no krb5-config (Debian: libkrb5-dev)"; \
	else \
		echo "building requests-kerberos for $(VENV), about two minutes"; \
		CFLAGS="-O0 -g0" $(BIN)/$(PIP) install --require-hashes -r config/requirements-kerberos.txt || \
			echo "the tests with Kerberos are left out: requests-kerberos was not built"; \
	fi

# The real cluster needs a JDK and Maven, the tests of the store PostgreSQL, PgBouncer and MariaDB, those
# of the proxy nginx, those of the metrics Prometheus, those of a clock that is set a C compiler, those of
# Kerberos its headers, those of the sinks Alertmanager and Graphite's carbon.
# Where they cannot be installed, the tests say what they leave out. Installing starts services on a
# machine with systemd; they are not wanted.
system-packages:
	@missing=; \
	for each in javac:openjdk-17-jdk-headless mvn:maven nginx:nginx prometheus:prometheus \
			initdb:postgresql mariadbd:mariadb-server cc:build-essential \
			krb5-config:libkrb5-dev pgbouncer:pgbouncer \
			prometheus-alertmanager:prometheus-alertmanager carbon-cache:graphite-carbon; do \
		PATH="$$PATH:/usr/sbin:$(POSTGRES_BIN)" command -v $${each%%:*} > /dev/null || \
			missing="$$missing $${each#*:}"; \
	done; \
	if [ -z "$$missing" ]; then \
		:; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		echo "installing$$missing"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
			--no-install-recommends $$missing > /dev/null; \
		for each in $$missing; do \
			systemctl disable --now $${each%-server} > /dev/null 2>&1 || true; \
		done; \
	else \
		echo "some tests are left out without these: apt-get install$$missing"; \
	fi

clean: ## Remove what was made here, except the databases in .tracker
	rm -rf $(VENV) $(OLDEST) $(TIMES) .coverage .coverage.* build *.egg-info .mypy_cache .ruff_cache .pytest_cache .cluster
