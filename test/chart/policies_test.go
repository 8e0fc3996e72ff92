// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// operators is the variable by which a policy knows the operators; nil for other objects.
func operators(t *testing.T, o *unstructured.Unstructured) map[string]any {
	t.Helper()
	if o.GetKind() != "ValidatingAdmissionPolicy" {
		return nil
	}
	variables, _, err := unstructured.NestedFieldNoCopy(o.Object, "spec", "variables")
	must(t, err)
	list, _ := variables.([]any)
	for _, v := range list {
		if variable, _ := v.(map[string]any); variable["name"] == "operators" {
			return variable
		}
	}
	return nil
}

// Who may take finalizers off: the operator of config/default under whatever name and in whatever namespace an overlay
// puts it, and the one of the release and the others that the values name.
func TestOperatorsOfThePolicies(t *testing.T) {
	const account = "system:serviceaccount:"
	for name, tc := range map[string]struct {
		values        string // Of the chart; empty for config/default.
		takes, mayNot []string
	}{
		"Kustomize": {
			"",
			[]string{"calcom-system:calcom-operator", "cal-ops:calcom-operator", "calcom-system:prod-calcom-operator", "calcom-system:calcom-operator-v2"},
			[]string{"calcom-system:mycalcom-operator", "calcom-system:calcom-operators", "argocd:argocd-application-controller", "calcom-operator:default"},
		},
		"Chart": {
			"{}",
			[]string{"calcom-system:calcom-operator"},
			[]string{"cal-ops:calcom-operator", "calcom-system:prod-calcom-operator", "calcom-system:calcom-operator2"},
		},
		"Named": {
			"serviceAccount: {name: cal.v1}\npolicies: {finalizers: {otherOperators: [{namespace: ops, serviceAccount: other}]}}",
			[]string{"calcom-system:cal.v1", "ops:other"},
			[]string{"calcom-system:calcom-operator", "calcom-system:cal-v1", "ops:cal.v1", "calcom-system:other"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := 0
			for _, o := range rendered(t, tc.values) {
				variable := operators(t, o)
				if variable == nil {
					continue
				}
				found++
				quoted, _ := variable["expression"].(string)
				pattern, err := regexp.Compile(strings.TrimSuffix(strings.TrimPrefix(quoted, "r'"), "'"))
				must(t, err)
				for _, user := range tc.takes {
					if !pattern.MatchString(account + user) {
						t.Errorf("%s: %s does not match %s", o.GetName(), pattern, user)
					}
				}
				for _, user := range append(slices.Clone(tc.mayNot), "") {
					if pattern.MatchString(account+user) || pattern.MatchString("x"+account+tc.takes[0]) {
						t.Errorf("%s: %s matches %s", o.GetName(), pattern, user)
					}
				}
			}
			if found != 2 {
				t.Errorf("%d policies know the operators, want 2", found)
			}
		})
	}
}

// rendered returns the objects of the chart with some values, and those of config/default without any.
func rendered(t *testing.T, values string) []*unstructured.Unstructured {
	t.Helper()
	if values == "" {
		return kustomize(t, "default")
	}
	return render(t, helm, values)
}

// An operator of some namespaces does not keep the operators of the others from their work.
func TestWhereFinalizersAreGuarded(t *testing.T) {
	type where struct {
		Namespaces []any
		Scope      any
	}
	for name, tc := range map[string]struct {
		values string
		want   where
	}{
		"Everywhere":     {"{}", where{}},
		"Namespaces":     {"watchNamespaces: [team-a, team-b]", where{[]any{"team-a", "team-b"}, "Namespaced"}},
		"ClusterClients": {"watchNamespaces: [team-a]\nclusterOAuthClients: true", where{[]any{"team-a", namespace}, nil}},
		"OwnNamespace":   {"watchNamespaces: [" + namespace + "]\nclusterOAuthClients: true", where{[]any{namespace}, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, o := range render(t, helm, tc.values) {
				if operators(t, o) == nil {
					if selector, found, _ := unstructured.NestedMap(o.Object, "spec", "matchConstraints", "namespaceSelector"); found {
						t.Errorf("%s has the namespaceSelector %v", o.GetName(), selector)
					}
					continue
				}
				constraints := field[map[string]any](t, o.Object, "spec", "matchConstraints")
				var got where
				if selector, ok := constraints["namespaceSelector"].(map[string]any); ok {
					expressions, _ := selector["matchExpressions"].([]any)
					expression, _ := expressions[0].(map[string]any)
					got.Namespaces, _ = expression["values"].([]any)
				}
				rules, _ := constraints["resourceRules"].([]any)
				rule, _ := rules[0].(map[string]any)
				got.Scope = rule["scope"]
				if d := cmp.Diff(tc.want, got); d != "" {
					t.Errorf("%s (-want +got):\n%s", o.GetName(), d)
				}
				checkApplies(t, o)
			}
		})
	}
}
