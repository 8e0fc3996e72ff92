// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package docs tests the documentation: README.md, CONTRIBUTING.md and docs/.
//
// Each page is followed as a reader would, from the top, in a copy of the repository, on a real API server with the
// operator. https://api.cal.com is the look-alike of test/calcomtest, so that commands and manifests are run as they
// are printed. A block is run by its language:
//
//   - sh: by bash, with -euo pipefail. Variables and the folder last to the end of the page.
//   - console: each line that begins with "$ " is a command; what follows is compared with what it prints. "go test -run
//     TestPages -update" writes what is printed into the page.
//   - go: the lines of a Go file of this repository, word for word.
//   - yaml: objects are sent to the API server as a strict dry run. Those of kinds that it does not have are read strictly.
//
// Comments in the source of a page, which readers do not see, say what is different:
//
//	<!-- setup: COMMANDS -->            what the page takes for granted: bash with the functions of testdata/setup.sh; a line
//	                                    "cal.com …" changes the look-alike, see remote_test.go; "clean" removes everything
//	<!-- generated: BY -->              a note, and nothing else
//	<!-- own cluster -->                the page installs or removes what the others need
//	<!-- file: NAME -->                 the block is saved as this file
//	<!-- part of: KIND at a.b.0 -->     a piece of the last object of this kind
//	<!-- values of: CHART -->           values of a Helm chart
//	<!-- from: PATH -->                 an excerpt of this file, word for word
//	<!-- run by: FILE, FILE -->         these files run the same commands
//	<!-- not run: REASON -->            one of the reasons in exempt_test.go
//
// A block that is none of this fails the test, and so does a comment that is not understood. Links, flags, reasons,
// metrics, paths, make targets and names of tests that any page mentions are looked up.
package docs
