// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// With its default values, and a limit for mass deletions, the chart is config/default. What differs is meant to: the
// chart makes no namespace, names a version of the image and when to pull it, tells its pods from those of other
// releases, keeps its CRDs, and knows its ServiceAccount (TestOperatorsOfThePolicies).
func TestChartIsConfig(t *testing.T) {
	chart := render(t, helm, "massDeleteLimit: 10\n")
	deployment := find(t, chart, "Deployment", "").Object
	container := field[[]any](t, deployment, "spec", "template", "spec", "containers")[0].(map[string]any)
	container["image"], _, _ = strings.Cut(container["image"].(string), ":")
	delete(container, "imagePullPolicy")
	args := container["args"].([]any)
	container["args"] = slices.DeleteFunc(args, func(arg any) bool { return arg == "--mass-delete-limit=10" })

	config := slices.DeleteFunc(kustomize(t, "default"), func(o *unstructured.Unstructured) bool { return o.GetKind() == "Namespace" })
	compare(t, config, chart)
}

// The same of the policies, with a list of servers as config/policy has it.
func TestPoliciesAreConfig(t *testing.T) {
	chart := render(t, helm, "policies: {apiURLs: {enabled: true, prefixes: [https://api.cal.com]}}")
	const group = "admissionregistration.k8s.io/v1"
	chart = slices.DeleteFunc(chart, func(o *unstructured.Unstructured) bool {
		return o.GetAPIVersion() != group && o.GetName() != "calcom-operator-allowed-api-urls"
	})
	compare(t, kustomize(t, "policy"), chart)
}

// And of the monitoring: whatever config/monitoring has, the chart has too.
func TestMonitoringIsConfig(t *testing.T) {
	const path = "calcom-operator.json"
	config := kustomize(t, "monitoring")
	var values strings.Builder
	for _, object := range config {
		switch object.GetKind() {
		case "ServiceMonitor":
			values.WriteString("serviceMonitor: {enabled: true}\n")
		case "PrometheusRule":
			values.WriteString("prometheusRule: {enabled: true}\n")
		case "ConfigMap":
			values.WriteString("dashboard: {enabled: true}\n")
			// helm 3 and 4 differ in a newline at the end of what ends an object.
			data := field[map[string]any](t, object.Object, "data")
			data[path] = strings.TrimSpace(data[path].(string))
		default:
			t.Errorf("the chart does not know of the %s in config/monitoring", object.GetKind())
		}
	}
	chart := slices.DeleteFunc(render(t, helm, values.String()), func(o *unstructured.Unstructured) bool {
		return !slices.ContainsFunc(config, func(c *unstructured.Unstructured) bool {
			return c.GetKind() == o.GetKind() && c.GetName() == o.GetName()
		})
	})
	for _, object := range chart {
		checkApplies(t, object)
	}
	compare(t, config, chart)
}

// kustomize builds a folder of config.
func kustomize(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	out, err := kubectl(t.Context(), "", "kustomize", filepath.Join(root, "config", folder))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return parse(t, []byte(out))
}

func compare(t *testing.T, config, chart []*unstructured.Unstructured) {
	t.Helper()
	if d := cmp.Diff(normal(t, config), normal(t, chart)); d != "" {
		t.Errorf("the chart is not what config says (-config +chart):\n%s", d)
	}
}

// normal returns the objects by kind and name, without what Helm and kustomize say about themselves, and rules right by
// right.
func normal(t *testing.T, objects []*unstructured.Unstructured) map[string]any {
	t.Helper()
	normal := make(map[string]any)
	for _, o := range objects {
		labels, annotations := o.GetLabels(), o.GetAnnotations()
		for key := range labels {
			if strings.HasPrefix(key, "app.kubernetes.io/") || strings.HasPrefix(key, "helm.sh/") {
				delete(labels, key)
			}
		}
		delete(annotations, "helm.sh/resource-policy")
		o.SetLabels(labels)
		o.SetAnnotations(annotations)
		name := o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
		if _, ok := normal[name]; ok {
			t.Errorf("%s is there twice", name)
		}
		forgetInstance(o.Object)
		delete(operators(t, o), "expression")
		if rules, ok := o.Object["rules"].([]any); ok {
			o.Object["rules"] = expand(t, rules)
		}
		normal[name] = o.Object
	}
	return normal
}

// forgetInstance takes the label off by which the chart tells releases apart, wherever it selects by it.
func forgetInstance(value any) {
	switch value := value.(type) {
	case map[string]any:
		delete(value, "app.kubernetes.io/instance")
		for _, v := range value {
			forgetInstance(v)
		}
	case []any:
		for _, v := range value {
			forgetInstance(v)
		}
	}
}

// expand writes each right by itself, in order.
func expand(t *testing.T, rules []any) []string {
	t.Helper()
	text, err := json.Marshal(rules)
	must(t, err)
	var parsed []struct{ APIGroups, Resources, NonResourceURLs, ResourceNames, Verbs []string }
	must(t, json.Unmarshal(text, &parsed))
	var rights []string
	for _, r := range parsed {
		for _, group := range append(r.APIGroups, r.NonResourceURLs...) {
			for _, resource := range append(r.Resources, r.NonResourceURLs...) {
				for _, verb := range r.Verbs {
					rights = append(rights, strings.Join(append([]string{verb, resource, group}, r.ResourceNames...), " "))
				}
			}
		}
	}
	slices.Sort(rights)
	return rights
}

func field[T any](t *testing.T, object map[string]any, path ...string) T {
	t.Helper()
	value, found, err := unstructured.NestedFieldNoCopy(object, path...)
	if err != nil || !found {
		t.Fatalf("%s: %t, %v", strings.Join(path, "."), found, err)
	}
	return value.(T)
}

// Whoever works in some namespaces has rights in these and next to none in the cluster.
func TestRightsInNamespaces(t *testing.T) {
	// Of what the limits allowed.
	record := []string{"create configmaps ", "get configmaps  calcom-operator-deletions", "patch configmaps  calcom-operator-deletions"}
	for name, tc := range map[string]struct {
		values string
		want   map[string][]string // What each role beside those in watched namespaces gives.
	}{
		"AsLittleAsPossible": {"watchNamespaces: [team-a]", map[string][]string{
			"ClusterRole calcom-operator-manager":      {"get namespaces  kube-system"},
			"ClusterRole calcom-operator-metrics-auth": {"create subjectaccessreviews authorization.k8s.io", "create tokenreviews authentication.k8s.io"},
			"Role calcom-operator-leader-election":     {"create events ", "create leases coordination.k8s.io", "get leases coordination.k8s.io", "update leases coordination.k8s.io"},
			"Role calcom-operator-mass-deletion":       record,
		}},
		"WithOwnerWithoutMetrics": {"{watchNamespaces: [team-a], ownerID: a, metrics: {enabled: false}, leaderElection: {enabled: false}, replicas: 1}", map[string][]string{
			"Role calcom-operator-mass-deletion": record,
		}},
		"WithoutLimits": {"{watchNamespaces: [team-a], ownerID: a, massAbsenceLimit: 0, metrics: {enabled: false}, leaderElection: {enabled: false}, replicas: 1}", map[string][]string{}},
		"WithLimit": {"{watchNamespaces: [team-a], ownerID: a, massDeleteLimit: 1, metrics: {secure: false}, leaderElection: {enabled: false}, replicas: 1}", map[string][]string{
			"ClusterRole calcom-operator-manager": {"get namespaces ", "list namespaces ", "watch namespaces "},
			"Role calcom-operator-mass-deletion":  record,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(map[string][]string)
			bound := make(map[string]bool)
			objects := render(t, helm, tc.values)
			for _, o := range objects {
				if strings.HasSuffix(o.GetKind(), "RoleBinding") {
					bound[strings.TrimSuffix(o.GetKind(), "Binding")+" "+o.GetName()] = true
				}
			}
			manager := 0
			for _, o := range objects {
				switch key := o.GetKind() + " " + o.GetName(); {
				case !bound[key]:
				case o.GetNamespace() == "team-a":
					manager++
				default:
					got[key] = expand(t, o.Object["rules"].([]any))
				}
			}
			if manager != 1 {
				t.Errorf("there are %d roles in the watched namespace, want 1", manager)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("rights (-want +got):\n%s", d)
			}
		})
	}
}

// Whoever makes the roles otherwise gets none.
func TestNoRights(t *testing.T) {
	for _, o := range render(t, helm, "{rbac: {create: false}, metrics: {readers: [{name: p, namespace: p}]}, massDeleteLimit: 1}") {
		if strings.Contains(o.GetKind(), "Role") {
			t.Errorf("there is a %s %s", o.GetKind(), o.GetName())
		}
	}
}

// What is generated says so when it cannot be rendered.
func TestMissingMonitoring(t *testing.T) {
	for value, file := range map[string]string{"prometheusRule": "prometheusrule.yaml", "dashboard": "dashboard.json"} {
		chart := filepath.Join(t.TempDir(), "calcom-operator")
		if out, err := exec.CommandContext(t.Context(), "cp", "-r", helm.Chart(), chart).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if out, err := exec.CommandContext(t.Context(), "rm", "-f", filepath.Join(chart, "files", "monitoring", file)).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		out, err := helm.Run(t.Context(), "", "template", releaseName, chart, "--set="+value+".enabled=true")
		if err == nil || !strings.Contains(string(out), value+".enabled: this build of the chart has no") {
			t.Errorf("without %s: %v\n%s", file, err, out)
		}
	}
}
