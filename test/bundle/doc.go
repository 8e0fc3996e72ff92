// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package bundle tests the bundle for the Operator Lifecycle Manager: by the validators of operator-sdk, by the rules
// of its scorecard, and against what config says.
package bundle
