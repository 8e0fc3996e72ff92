SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

IMAGE := ghcr.io/calcom-operator/calcom-operator
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMG ?= $(IMAGE):$(VERSION)
BUNDLE_IMG ?= $(IMAGE)-bundle:$(VERSION)
PKG ?=
KUBECTL ?= kubectl
SEEDS ?= 10000
FUZZTIME ?= 30s
N ?= 1000
PROFILE ?= all
SKIP ?= publish,sbom,sign

# Tools are compiled once and kept in Go's build cache.
TOOL := go tool -modfile=$(CURDIR)/hack/tools/go.mod
HELM := go tool -modfile=$(CURDIR)/hack/tools/helm/go.mod helm.sh/helm/v4/cmd/helm
LINT := $(TOOL) golangci-lint-kube-api-linter
ACTIONLINT := go tool -modfile=hack/tools/actionlint/go.mod actionlint
GORELEASER := go tool -modfile=$(CURDIR)/hack/tools/goreleaser/go.mod goreleaser
ASSETS := assets=$$(hack/controlplane/assets.sh); export KUBEBUILDER_ASSETS=$$assets
# Namespaces are deleted by kube-controller-manager, which only the tests of built binaries need.
TEST_ASSETS := assets=$$(hack/controlplane/assets.sh kube-controller-manager); export KUBEBUILDER_ASSETS=$$assets
LDFLAGS := -X github.com/calcom-operator/calcom-operator/internal/version.Version=$(VERSION)
# golangci-lint vets.
TESTING := test -shuffle=on -vet=off -timeout=30m
# What starts processes of its own, or compiles large programs, is left to test-e2e.
E2E_PACKAGES := ./test/bench ./test/cli ./test/e2e
# Tests whose libraries are not to burden the operator's go.mod have modules of their own.
E2E_MODULES := test/docs test/gitops test/chart test/monitoring test/bundle
TEST_MODULES := test/example test/argocd $(E2E_MODULES)
# Not hack/argocd, whose "go mod tidy" downloads all that Argo CD's own tests need.
MODULES := . hack/controlplane hack/dockerfilelint hack/tools hack/tools/actionlint hack/tools/helm hack/tools/goreleaser $(TEST_MODULES)
SCRIPTS := .ci/run cmd/kubectl-calcom/kubectl_complete-calcom $(wildcard hack/*.sh hack/*/*.sh)
GENERATED := api config/crd/bases config/rbac/role.yaml config/argocd/argocd-cm-patch.yaml charts bundle docs/api.md

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^##@/ { print substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

##@ Develop

.PHONY: build
build: ## Compile bin/manager, bin/kubectl-calcom and bin/calcom-sandbox
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/manager ./cmd
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/kubectl-calcom ./cmd/kubectl-calcom
	cp cmd/kubectl-calcom/kubectl_complete-calcom bin/
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/calcom-sandbox ./cmd/calcom-sandbox

.PHONY: generate
generate: ## Regenerate all that is made from something else
	$(TOOL) controller-gen paths=./api/... paths=./internal/controller/... \
		object:headerFile=hack/boilerplate.go.txt \
		applyconfiguration:headerFile=hack/boilerplate.go.txt \
		crd output:crd:artifacts:config=config/crd/bases \
		rbac:roleName=calcom-operator-manager output:rbac:artifacts:config=config/rbac
	$(TOOL) kustomize build config/argocd/patch >config/argocd/argocd-cm-patch.yaml
	go run ./hack/apidoc config/crd/bases docs/api.md
	go run ./hack/chart
	$(MAKE) --no-print-directory bundle

.PHONY: bundle
bundle: ## Regenerate bundle, what the Operator Lifecycle Manager installs, from config/manifests
	$(TOOL) kustomize build config/manifests | go run ./hack/bundle

# A world of the simulation runs one step at a time, and so does the test of ten thousand users: the race detector has
# nothing to find in them, and makes them many times slower.
.PHONY: test
test: ## Run the tests of the code, on a real API server (PKG=./internal/... TESTFLAGS='-run Name' for some of all)
ifdef PKG
	$(TEST_ASSETS); go $(TESTING) -race $(TESTFLAGS) $(PKG)
else
	$(ASSETS); \
	go $(TESTING) -race $(TESTFLAGS) \
		$$(go list ./... | grep -v $(patsubst ./%,-e /%$$,$(E2E_PACKAGES) ./test/simulation)); \
	go $(TESTING) $(TESTFLAGS) ./test/simulation; \
	go $(TESTING) -run=TestMemoryShrinks ./internal/controller; \
	go -C test/example $(TESTING) -race $(TESTFLAGS) ./...
endif

# Two targets at a time, since these tests wait for processes much of the time. Not more: with four, waits run out.
.PHONY: test-e2e
test-e2e: ## Run the tests of built binaries, charts, documentation, monitoring and GitOps tools
	for major in 3 4; do go tool -n -modfile=hack/tools/helm/go.mod helm.sh/helm/v$$major/cmd/helm >/dev/null; done
	$(TEST_ASSETS); $(MAKE) --no-print-directory --jobs=2 e2e/packages $(E2E_MODULES:%=e2e/%)

.PHONY: e2e/packages $(E2E_MODULES:%=e2e/%)
e2e/packages:
	go $(TESTING) -p=1 -race $(TESTFLAGS) $(E2E_PACKAGES)

# Nothing of the operator runs in the processes of these tests. Without the race detector they share what they compile
# with golangci-lint, which is much: Argo CD, Flux, Prometheus, OLM.
$(E2E_MODULES:%=e2e/%): e2e/%:
	go -C $* $(TESTING) $(TESTFLAGS) ./...

# Not part of test-e2e and .ci/run: it takes long to build, and needs a program that "go" cannot build.
.PHONY: test-argocd
test-argocd: ## Run the tests under the real Argo CD, built once (10 CPU minutes); needs redis-server
	for program in git redis-server; do \
		if ! command -v $$program >/dev/null; then \
			echo "test-argocd: $$program is needed and not installed: install the package of that name" >&2; exit 1; \
		fi; \
	done; \
	argocd=$$(hack/argocd/assets.sh); export ARGOCD_ASSETS=$$argocd; $(TEST_ASSETS); \
	go -C test/argocd $(TESTING) -count=1 -parallel=20 $(TESTFLAGS) ./...

.PHONY: test-simulation
test-simulation: ## Look for broken promises in SEEDS random worlds full of faults (10000), or replay one with SEED=n
	SEEDS=$(SEEDS) SEED=$(SEED) go test -timeout=60m -run TestSimulation ./test/simulation -v

.PHONY: shapes
shapes: SEEDS := 3000
shapes: ## Note new states of objects, and what Argo CD and kstatus make of them, in test/gitops/testdata (SEEDS worlds, 3000)
	export UPDATE_SHAPES=1 SEEDS=$(SEEDS); $(TEST_ASSETS); \
	go test -count=1 -timeout=60m -run "Test(Simulation|Tokens)$$" ./test/simulation; \
	go test -count=1 ./internal/controller; go -C test/gitops test -count=1 -run TestHealthOfEveryShape .

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (30s)
	hack/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: ## Measure the operator with N users (1000), PROFILE=free|quota|all (BENCHFLAGS='-pprof=dir -json=file', see -help)
	go build -o bin/bench ./hack/bench
	$(ASSETS); bin/bench -n $(N) -profile $(PROFILE) -version $(VERSION) $(BENCHFLAGS)

.PHONY: fmt
fmt: ## Format Go code and shell scripts
	$(LINT) fmt
	$(TOOL) shfmt -w $(SCRIPTS)

.PHONY: lint-fix
lint-fix: fmt ## Apply the fixes that linters know
	$(LINT) run --fix
	$(LINT) run --fix -c .golangci-kal.yml ./api/...

##@ Check

.PHONY: tools
tools: ## Compile the tools of lint and verify, which keeps others from waiting for them
	for tool in '$(LINT)' '$(TOOL) controller-gen' '$(TOOL) kustomize' '$(TOOL) shfmt' \
		'$(ACTIONLINT)' '$(HELM)' '$(GORELEASER)'; do $${tool/go tool/go tool -n} >/dev/null; done

.PHONY: lint
lint: ## Lint code, API types, workflows, releases, scripts, the Dockerfile and go.mod files
	$(LINT) run
	for module in $(TEST_MODULES); do (cd $$module && $(LINT) run -c $(CURDIR)/.golangci.yml); done
	$(LINT) run -c .golangci-kal.yml ./api/...
	$(ACTIONLINT)
	$(HELM) lint --strict --quiet charts/calcom-operator
	$(GORELEASER) check --quiet
	$(TOOL) shfmt -d $(SCRIPTS)
	go -C hack/dockerfilelint run . ../../Dockerfile
	for module in $(MODULES); do go -C $$module mod tidy -diff; done

.PHONY: verify
verify: ## Check that generated files are current, and that the installer and the monitoring build
	sums() { find $(GENERATED) -type f -exec sha256sum {} + | sort -k 2; }; before=$$(sums); \
	$(MAKE) --no-print-directory generate; \
	if ! diff <(echo "$$before") <(sums); then \
		echo 'verify: the files above were out of date; run "make generate" and commit the result' >&2; exit 1; \
	fi
	for module in $(MODULES); do go -C $$module mod tidy -diff; done
	$(TOOL) kustomize build config/monitoring >/dev/null
	$(MAKE) --no-print-directory installer

.PHONY: vulncheck
vulncheck: ## Look for known vulnerabilities in what the code calls
	$(TOOL) govulncheck ./...

##@ Run

.PHONY: demo
demo: ## Show the operator at work on a throw-away control plane
	go build -o bin/dev ./hack/dev
	$(ASSETS); bin/dev demo

.PHONY: dev
dev: ## Start a control plane, a sandbox of Cal.com and the operator, until interrupted
	go build -o bin/dev ./hack/dev
	$(ASSETS); exec bin/dev up

.PHONY: run
run: ## Run the operator here against the current kubeconfig (ARGS='--allowed-api-urls=http://127.0.0.1:5555')
	go run -ldflags '$(LDFLAGS)' ./cmd --metrics-bind-address=0 --health-probe-bind-address=0 --zap-encoder=console $(ARGS)

.PHONY: dashboard-picture
dashboard-picture: ## Draw docs/images/dashboard.svg anew, from what the operator serves in some minutes of good and bad times
	go -C test/monitoring build -o $(CURDIR)/bin/picture ./picture
	$(ASSETS); bin/picture

##@ Deliver

.PHONY: installer
installer: ## Write dist/install.yaml, everything that a cluster needs (IMG=name:tag)
	mkdir -p dist
	$(TOOL) kustomize build config/default | sed 's|image: $(IMAGE)$$|image: $(IMG)|' >dist/install.yaml
	grep -qF 'image: $(IMG)' dist/install.yaml

.PHONY: chart
chart: ## Write dist/calcom-operator-*.tgz, the Helm chart, with VERSION (v1.2.3) or its own version
	$(HELM) package charts/calcom-operator --destination dist $(if $(filter v%,$(VERSION)),--version $(VERSION:v%=%) --app-version $(VERSION))

.PHONY: install
install: ## Apply the CRD to the current cluster
	$(TOOL) kustomize build config/crd | $(KUBECTL) apply --server-side -f -

.PHONY: uninstall
uninstall: ## Delete the CRD, and with it every managed user, from the current cluster
	$(TOOL) kustomize build config/crd | $(KUBECTL) delete --ignore-not-found -f -

.PHONY: docker-build
docker-build: ## Build the image (IMG=name:tag, DOCKERFLAGS='--platform=linux/amd64,linux/arm64 --push')
	docker buildx build $(DOCKERFLAGS) --build-arg VERSION=$(VERSION) \
		--build-arg REVISION=$$(git rev-parse HEAD) -t $(IMG) .

.PHONY: bundle-build
bundle-build: ## Build the image of the bundle (VERSION=v1.2.3 IMG=name:tag BUNDLE_IMG=name:tag DOCKERFLAGS=--push)
	$(TOOL) kustomize build config/manifests | go run ./hack/bundle -version $(VERSION) -image $(IMG) -out dist/bundle
	docker buildx build $(DOCKERFLAGS) -f dist/bundle/bundle.Dockerfile -t $(BUNDLE_IMG) dist/bundle

.PHONY: snapshot
snapshot: installer ## Build the files of a release into dist/release (SKIP=publish to have bills of material and signatures too)
	hack/release-notes.sh Unreleased >dist/release-notes.md
	$(GORELEASER) release --snapshot --clean --skip=$(SKIP) --release-header=dist/release-notes.md

.PHONY: release
release: installer ## Publish a release (VERSION=v1.2.3 IMG=name:tag@digest); the workflow of this name does it for a tag
	hack/release-notes.sh $(VERSION) >dist/release-notes.md
	$(GORELEASER) release --clean --release-header=dist/release-notes.md

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin dist
