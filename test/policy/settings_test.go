// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Namespace, ServiceAccount and group are written once, in settings.yaml.
func TestSettings(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "policy")
	must(t, os.CopyFS(dir, os.DirFS(filepath.Join(root, "config", "policy"))))
	settings := filepath.Join(dir, "settings.yaml")
	text, err := os.ReadFile(settings)
	must(t, err)
	text = []byte(strings.NewReplacer(
		"namespace: calcom-system", "namespace: scheduling",
		"serviceAccount: calcom-operator", "serviceAccount: cal",
		"breakGlassGroup: calcom-operator:break-glass", "breakGlassGroup: on-call",
	).Replace(string(text)))
	must(t, os.WriteFile(settings, text, 0o600))

	built, err := kubectl(t.Context(), "kustomize", dir)
	must(t, err)
	var got []string
	for _, line := range regexp.MustCompile(`(?m)^ *(- )?(namespace: .*|expression: '\[''system:.*|expression: '''on-call.*)`).FindAllString(built, -1) {
		got = append(got, strings.TrimLeft(line, "- "))
	}
	slices.Sort(got)
	want := []string{
		`expression: '''on-call'''`, `expression: '''on-call'''`,
		`expression: '[''system:serviceaccount:'' + ''scheduling'' + '':'' + ''cal'']'`,
		`expression: '[''system:serviceaccount:'' + ''scheduling'' + '':'' + ''cal'']'`,
		"namespace: scheduling", "namespace: scheduling", "namespace: scheduling",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("what is built (-want +got):\n%s\n%s", d, built)
	}
	if strings.Contains(built, "calcom-system") || strings.Contains(built, "policy-settings") {
		t.Errorf("something is left of the old settings, or they would be sent to the cluster:\n%s", built)
	}
}
