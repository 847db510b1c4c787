# Everything that is needed is built from source by hack/bin.sh: Go, make and git are enough.
SHELL := /usr/bin/env bash -o pipefail
.DEFAULT_GOAL := help

BIN := hack/bin.sh
LDFLAGS := -s -w
# The tests start API servers: a test that hangs should fail before CI gives up.
TEST_TIMEOUT ?= 10m
E2E_TIMEOUT ?= 20m
# The tests of the whole thing with the tools around it take longer: make test-e2e runs them, make test all others.
E2E := ./test/clients/... ./test/e2e/... ./test/gettingstarted/... ./test/gitops/... ./test/install/... ./test/release/... ./hack/release/...
PKG ?= $(shell go list ./... | grep -vxFf <(go list -e $(E2E)))
# What is generated into the tree; make verify fails when it differs from the sources.
GENERATED := api charts/windlass/files config/crd config/rbac docs/api docs/events.md

##@ Use

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Run three releases against simulated devices, without a cluster. PROMETHEUS=1 adds a real Prometheus, KEEP=1 keeps it running.
	go run ./hack/demo $(if $(filter 1,$(PROMETHEUS)),-prometheus) $(if $(filter 1,$(KEEP)),-keep)

.PHONY: build
build: ## Build the manager, the gateway, the kubectl plugin and the device fleet into bin/.
	CGO_ENABLED=0 go build -trimpath -ldflags='$(LDFLAGS)' -o bin/manager ./cmd/manager
	CGO_ENABLED=0 go build -trimpath -ldflags='$(LDFLAGS)' -o bin/gateway ./cmd/gateway
	CGO_ENABLED=0 go build -trimpath -ldflags='$(LDFLAGS)' -o bin/kubectl-windlass ./cmd/kubectl-windlass
	CGO_ENABLED=0 go build -trimpath -ldflags='$(LDFLAGS)' -o bin/fleet ./hack/fleet

##@ Check

.PHONY: test
test: servers ## Run the tests, but those of test-e2e, with the race detector. PKG=./internal/plan/... selects.
	KUBEBUILDER_ASSETS="$$($(BIN) assets)" go test -race -timeout $(TEST_TIMEOUT) $(PKG)

.PHONY: test-e2e
test-e2e: servers servers-e2e ## Run the long tests: releases from commit to device, clients, Argo CD, Flux, Helm, installing. E2E=./test/gitops selects.
	KUBEBUILDER_ASSETS="$$($(BIN) assets)" go test -race -timeout $(E2E_TIMEOUT) $(E2E)

.PHONY: test-corpus
test-corpus: servers ## Try all bad inputs, and good ones, and print what was accepted and refused of each class.
	@mkdir -p bin
	@WINDLASS_CORPUS=full KUBEBUILDER_ASSETS="$$($(BIN) assets)" go test -count=1 -timeout 60m -v ./test/corpus/... ./internal/publish ./internal/gateway/ledger ./internal/simulate ./test/e2e 2>&1 \
	  | tee bin/test-corpus.log | grep -E '^ *(TRIED|GOOD|SAME|--- (FAIL|SKIP)|FAIL|ok|panic)'

# Building takes long on a machine that never did it: it is done before the tests, so that it is not counted against them.
.PHONY: servers
servers: ## Build the servers that the tests start, unless the cache has them.
	@for name in assets versitygw prometheus promtool registry kustomize kube-state-metrics; do $(BIN) $$name >/dev/null || exit; done

.PHONY: servers-e2e
servers-e2e: ## Build what test-e2e needs besides: Argo CD, both Helms, kubectl, kube-controller-manager.
	@for name in kubectl kube-controller-manager helm3 helm4 argocd; do $(BIN) $$name >/dev/null || exit; done

.PHONY: bench
bench: servers ## Measure ingest, commit, rollback and gateway.
	KUBEBUILDER_ASSETS="$$($(BIN) assets)" go run ./test/bench

.PHONY: bench-decisions
bench-decisions: ## Measure false alarms and the devices that bad releases reach, beside Argo Rollouts, Flagger and a peeking test. Writes bin/bench-decisions.json.
	go run ./test/bench/decisions

.PHONY: lint
lint: ## Run the linters.
	$$($(BIN) golangci-lint) run -c .golangci-kal.yml ./api/...
	$$($(BIN) golangci-lint) run

.PHONY: verify
verify: ## Generate, lint, and fail if that leaves a trace in the tree.
	hack/verify

.PHONY: vulncheck
vulncheck: ## Look for known vulnerabilities. Needs the Go vulnerability database, so it is not part of verify.
	hack/vulncheck

##@ Change

.PHONY: fmt
fmt: ## Format the Go code.
	$$($(BIN) golangci-lint) fmt

.PHONY: generate
generate: ## Generate deep copies and apply configurations.
	$$($(BIN) controller-gen) object:headerFile=hack/boilerplate.go.txt applyconfiguration:headerFile=hack/boilerplate.go.txt paths=./api/v1alpha1

.PHONY: manifests
manifests: ## Generate the CRDs from the types and the manager's role from the markers of the controllers.
	$$($(BIN) controller-gen) crd paths=./api/v1alpha1 output:crd:dir=config/crd/bases
	$$($(BIN) controller-gen) rbac:roleName=manager paths='./controllers/...' output:rbac:dir=config/rbac

.PHONY: api-docs
api-docs: ## Generate docs/api/v1alpha1.md from the types, and docs/events.md from the controllers.
	$$($(BIN) crd-ref-docs) --source-path=api/v1alpha1 --config=hack/api-docs/config.yaml --renderer=markdown --output-path=docs/api/v1alpha1.md
	go run ./hack/events > docs/events.md.new && mv docs/events.md.new docs/events.md

.PHONY: chart
chart: manifests ## Take over into the Helm chart what config/ has.
	go run ./hack/chart

##@ Release

.PHONY: release-artifacts
release-artifacts: ## Make what a release publishes into dist/: install.yaml, chart, kubectl plugin, krew manifest, SBOMs, checksums.
	go run ./hack/release
