// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	_ "embed"
	"regexp"
	"strings"
)

// zoneNames are the names of the IANA time zone database, one a line. The
// standard library can load zones but not list them.
//
//go:embed zones.txt
var zoneNames string

// zones has every known name in lower case: the real server's check does not
// look at case.
var zones = func() map[string]bool {
	out := map[string]bool{}
	for name := range strings.Lines(zoneNames) {
		out[strings.ToLower(strings.TrimSpace(name))] = true
	}
	return out
}()

func isTimeZone(v any) bool {
	name, ok := v.(string)
	return ok && zones[strings.ToLower(name)]
}

// upperZones are the words that the server spares when it capitalises.
var upperZones = regexp.MustCompile(`(?i)\b(gmt|est|utc)`)

// capitalZone is the server's spelling of a time zone: each part between
// slashes and underscores is lower case with a capital. It is applied before
// the check and stored, so that 50 names do not come back as they were sent.
func capitalZone(v any) any {
	name, ok := v.(string)
	if !ok {
		return v
	}
	parts := strings.Split(name, "/")
	for i, part := range parts {
		words := strings.Split(strings.ToLower(part), "_")
		for j, w := range words {
			if w != "" {
				words[j] = strings.ToUpper(w[:1]) + w[1:]
			}
		}
		parts[i] = strings.Join(words, "_")
	}
	return upperZones.ReplaceAllStringFunc(strings.Join(parts, "/"), strings.ToUpper)
}
