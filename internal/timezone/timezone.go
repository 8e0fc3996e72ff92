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

// known are the names by themselves in lower case.
var known = sync.OnceValue(func() map[string]string {
	set := make(map[string]string)
	for name := range strings.FieldsSeq(names) {
		set[strings.ToLower(name)] = name
	}
	return set
})

// Canonical returns a time zone's name as the database spells it, and false for what is no time zone.
func Canonical(name string) (string, bool) {
	canonical, ok := known()[strings.ToLower(name)]
	return canonical, ok
}

// Valid reports whether name is a time zone's, in whatever case: Cal.com takes any case and returns its own
// spelling (America/Port-au-prince), which has to be valid here too.
func Valid(name string) bool {
	_, ok := Canonical(name)
	return ok
}

// Equal reports whether two names mean the same entry of the database. It is what comparing with Cal.com needs:
// of some 600 names, 50 come back from there in another case than they were sent.
func Equal(a, b string) bool {
	return strings.EqualFold(a, b)
}
