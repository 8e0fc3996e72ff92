// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// Names gives users the names of their objects: the part of the address before the @, or the id. A user that comes
// second to a name gets its id behind it, so that the names are the same in every run that gives them in the order of
// the ids.
type Names struct {
	// ByID takes the id alone, as user-742, for whom names must not tell who somebody is.
	ByID bool
	// taken are the names in use.
	taken map[string]bool
}

// Take notes a name that is in use, by an object or a manifest that is there already.
func (n *Names) Take(name string) {
	if n.taken == nil {
		n.taken = make(map[string]bool)
	}
	n.taken[name] = true
}

// For returns the name of a user's object, and takes it.
func (n *Names) For(user calcom.User) string {
	id := strconv.FormatInt(user.ID, 10)
	name := "user-" + id
	if !n.ByID {
		local, _, _ := strings.Cut(user.PlainEmail(), "@")
		name = cmp.Or(objectName(local), name)
	}
	for n.taken[name] {
		name += "-" + id
	}
	n.Take(name)
	return name
}

var (
	noName    = regexp.MustCompile(`[^a-z0-9.]+`)
	looseDots = regexp.MustCompile(`-*\.[-.]*`)
)

// objectName makes a text the name of an object (RFC 1123): what cannot stand in one becomes a hyphen. It is empty when
// nothing is left.
func objectName(s string) string {
	s = noName.ReplaceAllString(strings.ToLower(s), "-")
	return strings.Trim(looseDots.ReplaceAllString(s, "."), "-.")
}
