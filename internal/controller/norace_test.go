// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package controller

// underRace is whether the race detector watches, which makes the test of ten thousand users take minutes.
const underRace = false
