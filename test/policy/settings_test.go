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

// Who the operator is and which group breaks the glass is written once, in settings.yaml, and where the list of API
// URLs is, in the list.
func TestSettings(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "policy")
	must(t, os.CopyFS(dir, os.DirFS(filepath.Join(root, "config", "policy"))))
	change(t, filepath.Join(dir, "default", "settings.yaml"),
		"operators: ^system:serviceaccount:[^:]+:([a-z0-9.-]+-)?calcom-operator(-[a-z0-9.-]+)?$", "operators: ^system:serviceaccount:scheduling:cal$",
		"breakGlassGroup: calcom-operator:break-glass", "breakGlassGroup: on-call")
	change(t, filepath.Join(dir, "allowed_api_urls_list.yaml"), "namespace: calcom-system", "namespace: scheduling")

	built, err := kubectl(t.Context(), "kustomize", dir)
	must(t, err)
	var got []string
	for _, line := range regexp.MustCompile(`(?m)^ *(- )?(namespace: .*|expression: r'.*|expression: '\'\'on-call.*)`).FindAllString(built, -1) {
		got = append(got, strings.TrimLeft(line, "- "))
	}
	slices.Sort(got)
	want := []string{
		`expression: '''on-call'''`, `expression: '''on-call'''`,
		"expression: r'^system:serviceaccount:scheduling:cal$'", "expression: r'^system:serviceaccount:scheduling:cal$'",
		"namespace: scheduling", "namespace: scheduling", "namespace: scheduling",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("what is built (-want +got):\n%s\n%s", d, built)
	}
	if strings.Contains(built, "calcom-system") || strings.Contains(built, "policy-settings") {
		t.Errorf("something is left of the old settings, or they would be sent to the cluster:\n%s", built)
	}
}

// change replaces texts of a file, each of which has to be there.
func change(t *testing.T, file string, oldAndNew ...string) {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	for i := 0; i < len(oldAndNew); i += 2 {
		if !strings.Contains(string(text), oldAndNew[i]) {
			t.Fatalf("%s has no %q", file, oldAndNew[i])
		}
	}
	must(t, os.WriteFile(file, []byte(strings.NewReplacer(oldAndNew...).Replace(string(text))), 0o600))
}

// A kustomization that gives everything another namespace and other names has policies that work, and know its
// operator.
func TestOverlay(t *testing.T) {
	dir := t.TempDir()
	must(t, os.CopyFS(filepath.Join(dir, "config"), os.DirFS(filepath.Join(root, "config"))))
	overlay := filepath.Join(dir, "overlay")
	must(t, os.Mkdir(overlay, 0o700))
	must(t, os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte("namespace: cal-ops\nnamePrefix: prod-\nnameSuffix: -v2\nresources: [../config/default]\n"), 0o600))
	built, err := kubectl(t.Context(), "kustomize", overlay)
	if err != nil {
		t.Fatalf("%v\n%s", err, built)
	}
	for _, line := range []string{"policyName: prod-calcom-operator-finalizers-v2", "name: prod-calcom-operator-finalizers-v2", "serviceAccountName: prod-calcom-operator-v2"} {
		if !regexp.MustCompile(`(?m)^ *` + line + `$`).MatchString(built) {
			t.Errorf("there is no line %q in\n%s", line, built)
		}
	}
	patterns := regexp.MustCompile(`(?m)expression: r'(.*)'$`).FindAllStringSubmatch(built, -1)
	for _, pattern := range patterns {
		if !regexp.MustCompile(pattern[1]).MatchString("system:serviceaccount:cal-ops:prod-calcom-operator-v2") {
			t.Errorf("%s does not match the ServiceAccount", pattern[1])
		}
	}
	if len(patterns) != 2 {
		t.Errorf("%d policies know the operator, want 2", len(patterns))
	}
}
