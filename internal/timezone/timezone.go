// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package timezone knows the names of the IANA time zone database, as of the Go release in names.txt.
package timezone

import (
	_ "embed" // For names.txt.
	"strings"
	"sync"
)

//go:embed names.txt
var names string

var known = sync.OnceValue(func() map[string]bool {
	set := make(map[string]bool)
	for name := range strings.FieldsSeq(names) {
		set[strings.ToLower(name)] = true
	}
	return set
})

// Valid reports whether name is a time zone's, in whatever case: Cal.com takes any case and returns its own
// spelling (America/Port-au-prince), which has to be valid here too.
func Valid(name string) bool {
	return known()[strings.ToLower(name)]
}

// Equal reports whether two names mean the same entry of the database. It is what comparing with Cal.com needs:
// of some 600 names, 50 come back from there in another case than they were sent.
func Equal(a, b string) bool {
	return strings.EqualFold(a, b)
}
