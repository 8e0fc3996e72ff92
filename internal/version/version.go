// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package version holds the version that the build stamps into the binaries.
package version

// Version is set by the linker (-X); a build without it is a development build.
var Version = "dev"
