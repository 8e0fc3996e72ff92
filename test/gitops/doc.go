// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package gitops tests what Argo CD, Flux and kubectl make of the operator's objects, with the libraries that these
// run: gopher-lua as Argo CD sets it up, gitops-engine for health and differences, and kstatus. The objects are those
// that the operator was seen to write (testdata, see package shapes) and live ones.
package gitops
