// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"fmt"
	"regexp"
	"strings"
)

// KeyNames lists metadata keys, of which others chose some: none that could be more than a name, and no more than a
// message can hold.
func KeyNames(keys []string) string {
	const most = 10
	var names []string
	for _, key := range keys {
		if len(names) < most && KeyName.MatchString(key) {
			names = append(names, key)
		}
	}
	if others := len(keys) - len(names); others > 0 {
		names = append(names, fmt.Sprintf("%d keys not named here", others))
	}
	return strings.Join(names, ", ")
}

// KeyName is a key as programs choose them: no address, no token, and nothing that a terminal would act upon.
var KeyName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,39}$`)
