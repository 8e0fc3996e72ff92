// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// renderAs renders the chart for a release with a name of its own.
func renderAs(t *testing.T, release, namespace, values string) ([]*unstructured.Unstructured, error) {
	t.Helper()
	out, err := helm.Run(t.Context(), values, "template", release, helm.Chart(), "--namespace="+namespace, "--kube-version="+kubeVersion, "--values=-")
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return parse(t, out), nil
}

// Whatever a release, a namespace or a ServiceAccount may be called, the API server takes the objects.
func TestNames(t *testing.T) {
	for _, name := range []string{"1234", "99"} {
		if out, err := kubectl(t.Context(), "", "create", "namespace", name); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	const all = "\nmassDeleteLimit: 1\nclusterOAuthClients: true\ndrainOnUninstall: {enabled: true}\npolicies: {apiURLs: {enabled: true, prefixes: [https://api.cal.com]}}\n" +
		"networkPolicy: {enabled: true}\nserviceMonitor: {enabled: true}\nprometheusRule: {enabled: true}\ndashboard: {enabled: true}\n"
	for name, tc := range map[string]struct{ release, namespace, values, want string }{
		"Dots":   {"cal.v1", namespace, all, "cal-v1-calcom-operator"},
		"Long":   {strings.Repeat("a", 53), namespace, all, strings.Repeat("a", 50)},
		"Dashes": {strings.Repeat("a", 48) + "--bcd", namespace, all, strings.Repeat("a", 48)},
		"Digits": {
			"1234", "1234",
			"fullnameOverride: cal\nnameOverride: '7'\nwatchNamespaces: ['99', '1234']\nserviceAccount: {name: '1'}\n" +
				"metrics: {readers: [{name: '8', namespace: '9'}]}" + all,
			"cal",
		},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := renderAs(t, tc.release, tc.namespace, tc.values)
			must(t, err)
			if got := find(t, objects, "Deployment", "").GetName(); got != tc.want {
				t.Errorf("the name is %s, want %s", got, tc.want)
			}
			for _, object := range objects {
				checkApplies(t, object)
			}
		})
	}
	if _, err := renderAs(t, "1st", namespace, "{}"); err == nil || !strings.Contains(err.Error(), "fullnameOverride:") {
		t.Errorf("a release whose Service would have no legal name: %v", err)
	}
}

// Labels that people want on everything take the place of none by which Helm, Services and the operator's own objects
// find each other.
func TestCommonLabels(t *testing.T) {
	const values = `
commonLabels: {team: a, app.kubernetes.io/part-of: platform, app.kubernetes.io/instance: x, app.kubernetes.io/name: x, app.kubernetes.io/managed-by: x}
podLabels: {app.kubernetes.io/part-of: pods, app.kubernetes.io/instance: other}
`
	deployment := deploymentOf(t, render(t, helm, values))
	want := map[string]string{
		"team": "a", "app.kubernetes.io/part-of": "platform",
		"app.kubernetes.io/instance": releaseName, "app.kubernetes.io/name": "calcom-operator", "app.kubernetes.io/managed-by": "Helm",
	}
	got := make(map[string]string)
	for key := range want {
		got[key] = deployment.Labels[key]
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("labels of the Deployment (-want +got):\n%s", d)
	}
	want = map[string]string{
		"team": "a", "app.kubernetes.io/part-of": "pods", "app.kubernetes.io/managed-by": "x",
		"app.kubernetes.io/instance": releaseName, "app.kubernetes.io/name": "calcom-operator",
	}
	if d := cmp.Diff(want, deployment.Spec.Template.Labels); d != "" {
		t.Errorf("labels of the pods (-want +got):\n%s", d)
	}
}

// OpenShift chooses the user of a pod and admits none that names another.
func TestPodsLeaveTheirUserOpen(t *testing.T) {
	for _, object := range render(t, helm, "drainOnUninstall: {enabled: true}") {
		if object.GetKind() != "Deployment" && object.GetKind() != "Job" {
			continue
		}
		context := field[map[string]any](t, object.Object, "spec", "template", "spec", "securityContext")
		for _, key := range []string{"runAsUser", "runAsGroup", "fsGroup"} {
			if context[key] != nil {
				t.Errorf("%s: %s is %v", object.GetKind(), key, context[key])
			}
		}
	}
}
