// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package argocd tests the operator under the real Argo CD: its application controller, repo server, ApplicationSet
// controller and API server, as processes beside a real API server, the built operator and the sandbox of Cal.com. They
// read Git repositories that the test serves, and apply the examples of config/argocd and config/samples/tenant.
//
// "make test-argocd" builds Argo CD from Go modules, once, and runs the tests. They need redis-server and git, which
// they take from PATH. Without ARGOCD_ASSETS, as in a plain "go test", they are skipped.
package argocd
