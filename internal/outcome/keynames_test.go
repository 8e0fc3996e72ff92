// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"strings"
	"testing"
)

// FuzzKeyNames has metadata keys of any kind, as others chose them.
func FuzzKeyNames(f *testing.F) {
	f.Add("vitalSettings", "alice@example.com")
	f.Add("a\nb", "\x1b[31m")
	f.Fuzz(func(t *testing.T, a, b string) {
		got := KeyNames([]string{a, b})
		if strings.ContainsAny(got, "@\n\r\x00\x1b/\\") || len(got) > 100 || got == "" {
			t.Errorf("%q, %q became %q", a, b, got)
		}
	})
}
