// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import "slices"

// inherited are the properties that every JavaScript object has. Cal.com's server answers 500 to a metadata key
// constructor, and drops the others without an error.
var inherited = []string{
	"constructor",
	"__proto__",
	"__defineGetter__",
	"__defineSetter__",
	"__lookupGetter__",
	"__lookupSetter__",
	"hasOwnProperty",
	"isPrototypeOf",
	"propertyIsEnumerable",
	"toLocaleString",
	"toString",
	"valueOf",
}

// IsStorableKey reports whether Cal.com stores a metadata key of this name.
func IsStorableKey(key string) bool { return !slices.Contains(inherited, key) }
