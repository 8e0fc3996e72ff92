// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Each alert leads to a section of its own that says what to do, and each section is of an alert.
func TestRunbook(t *testing.T) {
	_, alerts := shippedRules(t)
	sections := make(map[string]string)
	var order, inOrder []string
	for _, part := range strings.Split("\n"+string(read(t, "docs", "runbook.md")), "\n## ")[1:] {
		title, text, _ := strings.Cut(part, "\n")
		sections[title], order = text, append(order, title)
	}
	for _, a := range alerts {
		inOrder = append(inOrder, a.Alert)
		if got := a.Annotations["runbook_url"]; got != runbook+strings.ToLower(a.Alert) {
			t.Errorf("%s leads to %s", a.Alert, got)
		}
		for _, topic := range []string{"What it means.", "Who is affected.", "Look.", "Do.", "It ends"} {
			if !strings.Contains(sections[a.Alert], "**"+topic+"**") {
				t.Errorf("docs/runbook.md has no %q under %s", topic, a.Alert)
			}
		}
		if !regexp.MustCompile("(?m)^```(sh|promql)$").MatchString(sections[a.Alert]) {
			t.Errorf("docs/runbook.md has nothing to type under %s", a.Alert)
		}
	}
	slices.Sort(order)
	slices.Sort(inOrder)
	if !slices.Equal(order, inOrder) {
		t.Errorf("docs/runbook.md has the sections\n%v, and there are the alerts\n%v", order, inOrder)
	}
}

// Whatever a user waits for a person with, one alert tells of it, and not two.
func TestReasonsHaveOneAlert(t *testing.T) {
	_, alerts := shippedRules(t)
	success := []string{"Available", "Observed", "InSync", "Created", "Adopted", "Updated", "DriftCorrected", "Verified", "Fresh"}
	for _, reason := range reasons(t) {
		if slices.Contains(success, reason) {
			continue
		}
		var told []string
		for _, a := range alerts {
			if tells(t, a, map[string]string{"condition": "Ready", "status": "False", "reason": reason}) ||
				tells(t, a, map[string]string{"condition": "Stalled", "status": "True", "reason": reason}) {
				told = append(told, a.Alert)
			}
		}
		if len(told) != 1 {
			t.Errorf("users that are stalled with %s are told of by %v", reason, told)
		}
	}
}

// tells reports whether an alert counts users with such a condition.
func tells(t *testing.T, a alert, condition map[string]string) bool {
	t.Helper()
	found := false
	parser.Inspect(parse(t, a.Expr), func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok || selector.Name != managedUsers {
			return nil
		}
		found = found || !slices.ContainsFunc(selector.LabelMatchers, func(m *labels.Matcher) bool {
			return m.Name != model.MetricNameLabel && !m.Matches(condition[m.Name])
		})
		return nil
	})
	return found
}
