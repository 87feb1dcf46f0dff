# wastewalk. `make help` says what there is.

PYTHON ?= python3
TOOLS := .tools
# The tools disagree about their dependencies' versions, so each group has an environment of its own.
READERS := $(TOOLS)/python
SAM := $(TOOLS)/sam
LAMBDA := $(TOOLS)/lambda
MINISTACK := $(TOOLS)/ministack
BROWSER := $(TOOLS)/browser
PROVIDER := $(TOOLS)/provider
BENCH := $(TOOLS)/bench
SCHEMATHESIS := $(TOOLS)/schemathesis
export WASTEWALK_PYTHON := $(CURDIR)/$(READERS)/bin/python
export SAM_CLI_TELEMETRY := 0

.DEFAULT_GOAL := help
.PHONY: help run watch build test unit browser access deployed bench-api bench-intake lint format template tools mariadb clean

help: ## Show what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Run everything on this machine over the demo organisation, and serve the page
	cargo run

# Where `wastewalk up --invoke` puts its storage, and the keys that it takes.
watch: export AWS_ENDPOINT_URL_S3 := http://127.0.0.1:9001
watch: export AWS_ENDPOINT_URL_DYNAMODB := http://127.0.0.1:9002
# No event bus is there: days that are undone are found at each start instead, and nothing may leave this machine.
watch: export AWS_ENDPOINT_URL_EVENTBRIDGE := http://127.0.0.1:9
watch: export AWS_ACCESS_KEY_ID := wastewalk
watch: export AWS_SECRET_ACCESS_KEY := wastewalk-local
watch: export AWS_REGION := us-east-1
watch: export LAKE_BUCKET := wastewalk-lake
watch: export TABLE_NAME := wastewalk
watch: export SOURCE_URL ?= sqlite://$(CURDIR)/.wastewalk/demo.sqlite
watch: export MAPPING ?= reference
watch: export ACCESS := iam
watch: export ORGANISATION_TIME_ZONE ?= Europe/Berlin
watch: $(LAMBDA)/.made ## Run the functions under cargo lambda watch, for `cargo run -- --invoke http://127.0.0.1:9000`
	PATH="$(CURDIR)/$(LAMBDA)/bin:$$PATH" cargo lambda watch --ignore-changes --invoke-address 127.0.0.1 --invoke-port 9000

build: ## Compile everything, tests included
	cargo build --workspace --all-targets --locked

test: lint template unit browser access deployed ## Install what is needed and run every check and every test

unit: tools ## Run the tests: of each crate, and of the whole thread
	cargo build --workspace --bins --locked
	cargo test --workspace --locked

browser: $(BROWSER)/.made $(SCHEMATHESIS)/.made ## Test the pages in a real Chromium, and the API against its description; the pictures are in target/pages
	cargo build --workspace --bins --locked
	WASTEWALK_BROWSER="$(CURDIR)/$(BROWSER)" WASTEWALK_SCHEMATHESIS="$(CURDIR)/$(SCHEMATHESIS)/bin/st" node --test tests/browser/pages.test.js

access: $(BROWSER)/.made $(PROVIDER)/.made ## Sign in at a real OpenID Connect provider, in a real Chromium
	cargo build --workspace --bins --locked
	WASTEWALK_BROWSER="$(CURDIR)/$(BROWSER)" WASTEWALK_PROVIDER="$(CURDIR)/$(PROVIDER)" node --test tests/access/sign-in.test.js

deployed: $(MINISTACK)/.made $(READERS)/.made ## Deploy template.yaml to an emulator of AWS, and run the tests of that
	cargo build --workspace --bins --locked
	$(MINISTACK)/bin/python -B tests/deployed/deployed.py

bench-api: ## Say what the API answers in over a year of 1,000 teams, beside a constant; a few minutes, on this machine only
	cargo build --workspace --example bench-api --locked
	target/debug/examples/bench-api

# As cargo lambda builds what is deployed.
bench-intake: export CARGO_PROFILE_RELEASE_LTO := thin
bench-intake: export CARGO_PROFILE_RELEASE_CODEGEN_UNITS := 1
bench-intake: export CARGO_TARGET_DIR := $(CURDIR)/target/deployed
bench-intake: $(READERS)/.made $(BENCH)/.made ## Say how fast intake reads a million rows of PostgreSQL, beside COPY and dlt; twenty minutes more for the first build
	cargo build --release --workspace --example bench-intake --locked
	WASTEWALK_DLT="$(CURDIR)/$(BENCH)/bin/python" $(CARGO_TARGET_DIR)/release/examples/bench-intake

lint: ## Check formatting and lints; a warning is an error
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

format: ## Format the code
	cargo fmt --all

template: $(SAM)/.made $(MINISTACK)/.made ## Check template.yaml and samconfig.toml
	$(SAM)/lint/bin/cfn-lint template.yaml
	$(SAM)/checkov/bin/checkov --framework cloudformation --file template.yaml --skip-download --compact --quiet
	$(MINISTACK)/bin/python -B tests/deployed/declared.py
	for environment in default staging prod; do \
	  AWS_DEFAULT_REGION=us-east-1 $(SAM)/cli/bin/sam validate --lint --config-env $$environment || exit 1; \
	done

tools: $(READERS)/.made $(LAMBDA)/.made $(BROWSER)/.made mariadb ## Install what the tests use beside Rust, into .tools

# No package of Python or Node carries a MariaDB server, so it is the machine's.
mariadb:
	@PATH="$$PATH:/usr/sbin:/usr/local/sbin:/usr/libexec" command -v mariadbd >/dev/null || if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mariadb-server-core; \
	else \
	  echo "The tests need a MariaDB server, 10.6 or newer: install mariadb-server-core (Debian, Ubuntu) or mariadb, so that mariadbd is on the PATH." >&2; \
	  exit 1; \
	fi

$(READERS)/.made: tests/requirements.txt
	$(PYTHON) -m venv --clear $(READERS)
	$(READERS)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

$(LAMBDA)/.made: tests/requirements-lambda.txt
	$(PYTHON) -m venv --clear $(LAMBDA)
	$(LAMBDA)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

$(SCHEMATHESIS)/.made: tests/requirements-schemathesis.txt
	$(PYTHON) -m venv --clear $(SCHEMATHESIS)
	$(SCHEMATHESIS)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

$(BENCH)/.made: tests/requirements-bench.txt
	$(PYTHON) -m venv --clear $(BENCH)
	$(BENCH)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

# No install script runs: the browser is the machine's, else the one that its package carries.
$(BROWSER)/.made: tests/browser/package.json tests/browser/package-lock.json
	mkdir -p $(BROWSER)
	cp tests/browser/package.json tests/browser/package-lock.json $(BROWSER)
	npm ci --prefix $(BROWSER) --ignore-scripts --no-audit --no-fund --silent
	touch $@

$(PROVIDER)/.made: tests/access/package.json tests/access/package-lock.json
	mkdir -p $(PROVIDER)
	cp tests/access/package.json tests/access/package-lock.json $(PROVIDER)
	npm ci --prefix $(PROVIDER) --ignore-scripts --no-audit --no-fund --silent
	touch $@

$(SAM)/.made: tests/requirements-sam.txt tests/requirements-lint.txt tests/requirements-checkov.txt
	$(PYTHON) -m venv --clear $(SAM)/cli
	$(SAM)/cli/bin/pip install --quiet --disable-pip-version-check -r tests/requirements-sam.txt
	$(PYTHON) -m venv --clear $(SAM)/lint
	$(SAM)/lint/bin/pip install --quiet --disable-pip-version-check -r tests/requirements-lint.txt
	$(PYTHON) -m venv --clear $(SAM)/checkov
	$(SAM)/checkov/bin/pip install --quiet --disable-pip-version-check -r tests/requirements-checkov.txt
	touch $@

$(MINISTACK)/.made: tests/requirements-ministack.txt
	$(PYTHON) -m venv --clear $(MINISTACK)
	$(MINISTACK)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

clean: ## Remove what was built, the tools and the local stack's data
	rm -rf target $(TOOLS) .wastewalk
