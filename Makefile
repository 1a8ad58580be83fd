# All developer commands. `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BROWSER := tests/browser

HOST_ARCH := $(patsubst aarch64,arm64,$(shell uname -m))

# An endpoint that is not AWS's own is a local AWS: it runs functions on this machine.
LOCAL_AWS := $(if $(AWS_ENDPOINT_URL),$(if $(findstring amazonaws.com,$(AWS_ENDPOINT_URL)),,yes))

# ARCH=arm64|x86_64 builds for AWS; without it the zip is for this machine. A deployment to AWS is for arm64 unless
# ARCH says otherwise.
ARCH ?= $(if $(filter deploy,$(MAKECMDGOALS)),$(if $(LOCAL_AWS),,arm64))
# `make demo` and `make test` compile functions and tests together, unoptimised; what is deployed to AWS, measured or released is optimised.
PROFILE ?= $(if $(filter demo test,$(MAKECMDGOALS)),dev,release)
export PROFILE
STACK_NAME ?= ecr-warden
PARAMETERS ?=
REQUEST ?=
ARGS ?=

RUST_ARCH = $(patsubst arm64,aarch64,$(ARCH))
# Lambda's provided.al2023 has glibc 2.34. Zig links against just that, whatever this machine has; for this machine
# its own compiler is right, and quicker.
ifeq ($(ARCH),)
TARGET := --compiler cargo
else ifneq ($(filter $(ARCH),arm64 x86_64),)
TARGET := --target $(RUST_ARCH)-unknown-linux-gnu.2.34
else
$(error ARCH is arm64 or x86_64, not `$(ARCH)`)
endif

FUNCTIONS := enforcer auditor slack-notifier
ZIPS := $(FUNCTIONS:%=target/lambda/%/bootstrap.zip)
BOMS := $(FUNCTIONS:%=target/lambda/%/bom.json)
SOURCES := Cargo.toml Cargo.lock $(shell find functions/core functions/aws $(FUNCTIONS:%=functions/%) infra/policy.yaml scripts/zip-again -type f -not -path '*/tests/*')
# What the benchmark compares with, each in a folder of .venv-peers: their requirements contradict each other.
PEERS := custodian prowler
# A zip is one file for all variants: it is built again when another one is asked for.
VARIANT := $(or $(ARCH),host)-$(PROFILE)
VARIANT_FILE := target/lambda/variant

# Where it is built is not in what is built. Only what is for the functions' target is compiled with this; cargo wants the flags
# apart by a character that no path has.
CARGO_HOME_DIR := $(or $(CARGO_HOME),$(HOME)/.cargo)
REMAP := --remap-path-prefix=$(CURDIR)=/ecr-warden\x1f--remap-path-prefix=$(CARGO_HOME_DIR)=/cargo

CARGO_DENY := 0.20.2
CARGO_FUZZ := 0.13.2
CARGO_MUTANTS := 25.3.1
MDBOOK := 0.5.4
# The end-to-end tests wait for a local AWS more than they compute, so a few cores run more of them side by side.
TEST_THREADS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 4 ? 2 * n + 1 : n > 9 ? n : 9)))
# With the features of the whole workspace: with those of one package, cargo would compile most libraries once more.
BUILD := cargo build --workspace --bins --examples
# One end-to-end test, compiled with what the others are compiled with.
END_TO_END := cargo test --workspace --test e2e --
# Where `make upgrade` builds the earlier version.
EARLIER := target/earlier
# Says what is under way and how long it took; what it prints is shown if it fails.
STEP := scripts/step
FUZZ ?= event policy repository-policy alert report
MINUTES ?= 5

.PHONY: help demo test check docs deny fuzz mutants faults upgrade burst bench bench-peers package cli reproducible deploy undeploy audit clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/ready ## Show it at work on a local AWS (KEEP=1 leaves it running)
	@$(STEP) "compiling functions and demo" $(BUILD)
	@$(STEP) "zipping functions" $(MAKE) package
	@target/debug/examples/demo

test: $(BROWSER)/node_modules/ready ## Run all tests: end to end on a local AWS, and the report in a browser, too
	@$(STEP) "compiling functions and tests" cargo build --workspace --all-targets
	@$(STEP) "zipping functions" $(MAKE) package
	RUST_TEST_THREADS=$(TEST_THREADS) cargo test --workspace
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" npm --prefix $(BROWSER) test

check: $(VENV)/ready ## Formatting, lints, API documentation, dependencies, structure, words of texts, scripts, the template
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps
	@scripts/check-purity
	@scripts/check-dependencies
	@scripts/check-structure
	@scripts/check-links
	@scripts/check-prose
	@scripts/cost --check
	$(VENV)/bin/shellcheck --external-sources $$(grep --recursive --files-with-matches '^#!.*bash' scripts .ci)
	$(VENV)/bin/cfn-lint infra/template.yaml --regions us-east-1 cn-north-1 us-gov-west-1

docs: target/tools/bin/mdbook ## The documentation as a site: target/book/index.html
	@target/tools/bin/mdbook build docs
	@scripts/check-links target/book

deny: target/tools/bin/cargo-deny ## Licences, sources and versions of what is built in, and known vulnerabilities
	@target/tools/bin/cargo-deny --all-features --locked check licenses bans sources
	@target/tools/bin/cargo-deny --all-features --locked check advisories || { status=$$?; \
	    echo "advisories: see above. Where the database could not be fetched, NOTHING was checked for known vulnerabilities" >&2; exit $$status; }

fuzz: target/tools/bin/cargo-fuzz ## Hostile input by libFuzzer, MINUTES=5 each (FUZZ=event|policy|repository-policy|alert|report; needs Rust's nightly)
	@for target in $(FUZZ); do \
	    mkdir -p fuzz/corpus/$$target; \
	    seeds=functions/core/tests/hostile/seeds/$$target; [[ $$target != event ]] || seeds=events; \
	    echo "fuzzing $$target for $(MINUTES) minutes"; \
	    PATH="$(CURDIR)/target/tools/bin:$$PATH" cargo +nightly fuzz run $$target fuzz/corpus/$$target $$seeds \
	        -- -max_total_time=$$(($(MINUTES) * 60)) -timeout=5 -rss_limit_mb=1024; \
	done

mutants: target/tools/bin/cargo-mutants ## Break the core's decisions in one place after the other: its tests must notice (FILES='functions/core/src/plan.rs')
	target/tools/bin/cargo-mutants mutants --package ecr-warden-core --output target/mutants $(FILES:%=--file %)

faults: package ## Every fault at every call, 10,000 seeded schedules, a million small worlds of policies: over an hour (SEEDS=, FIRST_SEED=)
	WORLDS=1000000 cargo test --release --package ecr-warden-core --lib -- access::properties
	EVERY_FAULT=1 $(END_TO_END) crash::
	SEEDS=$(or $(SEEDS),10000) FIRST_SEED=$(or $(FIRST_SEED),0) $(END_TO_END) chaos::

upgrade: package ## Chaos with the functions of this version and of an earlier one side by side (FROM=a commit or tag, SEEDS=)
	@test -n "$(FROM)" || { echo "FROM is empty: name the earlier version, for example make upgrade FROM=v0.2.0" >&2; exit 2; }
	@rm -rf $(EARLIER)
	@git clone --quiet --no-hardlinks . $(EARLIER)
	@git -C $(EARLIER) checkout --quiet $(FROM)
	@ln -s $(CURDIR)/$(VENV) $(EARLIER)/$(VENV)
	@$(STEP) "building the functions of $(FROM)" $(MAKE) --directory $(EARLIER) --old-file requirements.txt package
	EARLIER_ZIPS=$(CURDIR)/$(EARLIER)/target/lambda SEEDS=$(or $(SEEDS),1000) $(END_TO_END) chaos::

burst: package ## 10,000 events at once, ECR throttling (EVENTS=)
	EVENTS=$(or $(EVENTS),10000) $(END_TO_END) burst::a_burst --nocapture | grep -v '^{'

bench: package ## Measure cold starts, sizes, events and audits, and others where make bench-peers has installed them
	@for package in empty cli bench; do cargo build --quiet --release --package "ecr-warden-$$package"; done
	@target/release/bench cold-start
	@echo
	@target/release/bench events
	@echo
	@target/release/bench instructions
	@echo
	@target/release/bench audit
	@if ls .venv-peers/*/ready >/dev/null 2>&1; then echo; target/release/bench peers; fi

bench-peers: package $(PEERS:%=.venv-peers/%/ready) ## The same audit and event by Cloud Custodian, Prowler and a script
	@for package in cli bench; do cargo build --quiet --release --package "ecr-warden-$$package"; done
	@target/release/bench peers

package: $(ZIPS) $(BOMS) ## Build the functions' zips and their bills of materials (ARCH=arm64|x86_64 for AWS, else for this machine)

# With musl there is no libc to match. A static glibc would load the machine's own parts of it to resolve names.
cli: CLI_ARCH = $(or $(ARCH),$(HOST_ARCH))
cli: CLI_TARGET = $(CLI_ARCH:arm64=aarch64)-unknown-linux-musl
cli: $(VENV)/ready ## Build the command as one static file for Linux: target/ecr-warden-x86_64 or -arm64 (ARCH=arm64|x86_64, else for this machine)
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" cargo lambda build --locked --package ecr-warden-cli --profile $(PROFILE) --target $(CLI_TARGET)
	@cp target/lambda/ecr-warden/bootstrap target/ecr-warden-$(CLI_ARCH)

reproducible: $(VENV)/ready ## Build the committed state in two places and compare the bytes
	@rm -rf target/reproducible
	@for place in one another/place; do \
	    git clone --quiet --no-hardlinks . target/reproducible/$$place; \
	    ln -s $(CURDIR)/$(VENV) target/reproducible/$$place/$(VENV); \
	    $(MAKE) --directory target/reproducible/$$place --old-file requirements.txt ARCH=$(ARCH) PROFILE=$(PROFILE) package; \
	done
	@cd target/reproducible/one/target/lambda && for file in */bootstrap.zip */bom.json; do \
	    cmp $$file ../../../another/place/target/lambda/$$file || exit 1; sha256sum $$file; \
	done

deploy: package ## Deploy to AWS, or to AWS_ENDPOINT_URL (STACK_NAME=… PARAMETERS="Key=value …" ARTIFACT_BUCKET=…)
	@LOCAL_AWS="$(LOCAL_AWS)" STACK_NAME="$(STACK_NAME)" scripts/deploy Architecture=$(or $(ARCH),$(HOST_ARCH)) $(PARAMETERS)

undeploy: $(VENV)/ready ## Delete the stack and say what stays: the state table, reports (STACK_NAME=… FORCE=1)
	@LOCAL_AWS="$(LOCAL_AWS)" STACK_NAME="$(STACK_NAME)" scripts/undeploy

audit: ## Audit everything with the deployed auditor (STACK_NAME=… ARGS="--format json" REQUEST='{"repositories": ["shop/**"]}')
	@$(BUILD) --quiet
	@LOCAL_AWS="$(LOCAL_AWS)" STACK_NAME="$(STACK_NAME)" scripts/audit $(if $(REQUEST),--request '$(REQUEST)') $(ARGS)

clean: ## Remove what was built and installed here
	rm -rf target $(VENV) .venv-peers $(BROWSER)/node_modules

ifeq ($(ARCH)$(PROFILE),dev)
$(ZIPS) &: $(SOURCES) $(VARIANT_FILE)
	@$(BUILD) --quiet
	@$(PYTHON) scripts/zip-again --fast $(foreach function,$(FUNCTIONS),target/debug/$(function)=target/lambda/$(function)/bootstrap.zip)
else
# cargo-lambda finds zig through the PATH.
$(ZIPS) &: $(SOURCES) $(VARIANT_FILE) $(VENV)/ready
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" AWS_LC_SYS_NO_JITTER_ENTROPY=1 \
	    CARGO_INCREMENTAL=0 CARGO_ENCODED_RUSTFLAGS=$$'$(REMAP)' \
	    cargo lambda build --locked $(FUNCTIONS:%=--package ecr-warden-%) --output-format zip \
	    --profile $(PROFILE) $(TARGET)
	@$(VENV)/bin/python scripts/zip-again $(ZIPS)
endif

$(BOMS) &: Cargo.toml Cargo.lock $(wildcard functions/*/Cargo.toml) scripts/bom $(VARIANT_FILE) $(VENV)/ready
	@$(VENV)/bin/python scripts/bom "$(if $(ARCH),$(RUST_ARCH)-unknown-linux-gnu)" $(FUNCTIONS)

# Kept apart from whatever the machine has. Each takes some minutes, once.
target/tools/bin/cargo-deny: VERSION := $(CARGO_DENY)
target/tools/bin/cargo-fuzz: VERSION := $(CARGO_FUZZ)
target/tools/bin/cargo-mutants: VERSION := $(CARGO_MUTANTS)
target/tools/bin/mdbook: VERSION := $(MDBOOK)
target/tools/bin/mdbook: FEATURES := --no-default-features --features search
target/tools/bin/%: Makefile
	@{ $@ --version 2>/dev/null || $@ $(*:cargo-%=%) --version 2>/dev/null; } | grep --quiet --line-regexp '$* v\?$(VERSION)' || \
	    cargo install --quiet --locked --root target/tools --version $(VERSION) $(FEATURES) $*
	@touch $@

ifneq ($(shell cat $(VARIANT_FILE) 2>/dev/null),$(VARIANT))
.PHONY: $(VARIANT_FILE)
endif
$(VARIANT_FILE):
	@mkdir -p $(@D)
	@echo $(VARIANT) > $@

# Made anew as a whole when the file changes: an upgrade in place would keep what is no longer asked for.
$(VENV)/ready: requirements.txt
	@echo "setting up $(VENV) from requirements.txt"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	@touch $@

# One that can't be installed is said to be missing, and the benchmark does without.
.venv-peers/%/ready: tests/peers/%.txt
	@echo "setting up $(@D) from $<"
	@rm -rf $(@D)
	@$(PYTHON) -m venv $(@D)
	@if $(@D)/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement $<; \
	    then touch $@; else echo "$* can't be installed: it is left out" >&2; fi

# Node is in $(VENV). npm begins anew, too, and checks every package against its hash.
$(BROWSER)/node_modules/ready: $(BROWSER)/package.json $(BROWSER)/package-lock.json $(VENV)/ready
	@echo "setting up $(BROWSER) from package-lock.json"
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" npm --prefix $(BROWSER) --loglevel error ci
	@touch $@
