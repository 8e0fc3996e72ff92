// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/calcom-operator/calcom-operator/test/stack"
)

// Every file of values passes helm's strict lint, means the same to both majors of helm, and is taken by the API
// server, which is strict about fields; the pod is admitted where Pod Security is restricted; and the operator
// understands its flags.
func TestValues(t *testing.T) {
	for name, path := range valuesFiles(t) {
		t.Run(name, func(t *testing.T) {
			for _, by := range []*stack.Helm{helm, helm3} {
				if out, err := by.Run(t.Context(), "", "lint", "--strict", by.Chart(), "--values="+path, "--namespace="+namespace); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			}
			values := read(t, path)
			objects := render(t, helm, values)
			if d := cmp.Diff(objects, render(t, helm3, values)); d != "" {
				t.Errorf("helm 3 renders another thing than helm 4 (-4 +3):\n%s", d)
			}
			if len(objects) == 0 {
				t.Fatal("nothing is rendered")
			}
			for _, object := range objects {
				checkApplies(t, object)
			}
			deployment := deploymentOf(t, objects)
			template := deployment.Spec.Template
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "operator", Namespace: namespace, Labels: template.Labels, Annotations: template.Annotations},
				Spec:       template.Spec,
			}
			pod.Spec.PriorityClassName = "" // None exists here.
			if err := admin.Create(t.Context(), pod, client.DryRunAll); err != nil {
				t.Errorf("the pod: %v", err)
			}
			args := append(slices.Clone(template.Spec.Containers[0].Args), "--operator-namespace="+namespace, "--version") // A pod knows its own.
			if out, err := exec.CommandContext(t.Context(), manager, args...).CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "calcom-operator ") {
				t.Errorf("the operator with %q: %v\n%s", args, err, out)
			}
		})
	}
}

// checkApplies has the API server look at an object, or its types where the server has no such kind.
func checkApplies(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	text, err := yaml.Marshal(object.Object)
	must(t, err)
	switch object.GetKind() {
	case "ServiceMonitor":
		err = yaml.UnmarshalStrict(text, &monitoringv1.ServiceMonitor{})
	case "PrometheusRule":
		err = yaml.UnmarshalStrict(text, &monitoringv1.PrometheusRule{})
	default:
		var out string
		if out, err = kubectl(t.Context(), string(text), "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"); err == nil && strings.Contains(out, "Warning") {
			t.Errorf("%s %s: %s", object.GetKind(), object.GetName(), out)
		}
	}
	if err != nil {
		t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
	}
}

func deploymentOf(t *testing.T, objects []*unstructured.Unstructured) *appsv1.Deployment {
	t.Helper()
	var deployment appsv1.Deployment
	must(t, runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(find(t, objects, "Deployment", "").Object, &deployment, true))
	return &deployment
}

// What is set is what the operator is told.
func TestFlags(t *testing.T) {
	want := []string{
		"--leader-elect", "--leader-election-id=scheduling.example.com", "--health-probe-bind-address=:8081", "--metrics-bind-address=:9443",
		"--allowed-api-urls=https://api.cal.com,http://calcom.example.svc:5555/prefix", "--owner-id=eu-west-1", "--mass-delete-limit=25",
		"--mass-absence-limit=20",
		"--resync-interval=5m", "--rate-limit-share=0.5", "--unknown-outcome-grace=5m30s", "--max-concurrent-reconciles=16",
		"--protect-secrets=false", "--zap-log-level=5", "--zap-encoder=console", "--quota-window=2m", "--pprof-bind-address=127.0.0.1:6060",
	}
	got := deploymentOf(t, render(t, helm, read(t, valuesFiles(t)["everything"]))).Spec.Template.Spec.Containers[0].Args
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("flags (-want +got):\n%s", d)
	}
	for values, want := range map[string][]string{
		"watchNamespaces: [a, b]":                           {"--watch-namespaces=a,b", "--cluster-oauth-clients=false"},
		"{watchNamespaces: [a], clusterOAuthClients: true}": {"--watch-namespaces=a"},
		"clusterOAuthClients: false":                        {"--cluster-oauth-clients=false"},
		"metrics: {secure: false}":                          {"--metrics-secure=false"},
		"massAbsenceLimit: 0":                               {"--mass-absence-limit=0"},
		`rateLimitShare: "0.5"`:                             {"--rate-limit-share=0.5"}, // As --set gives it.
	} {
		got := deploymentOf(t, render(t, helm, values)).Spec.Template.Spec.Containers[0].Args
		got = slices.DeleteFunc(got, func(arg string) bool {
			return slices.Contains([]string{"--leader-elect", "--health-probe-bind-address=:8081", "--metrics-bind-address=:8443"}, arg)
		})
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("flags with %s (-want +got):\n%s", values, d)
		}
	}
}

// Values that are left out of the flags are what the operator does by itself.
func TestDefaultsAreTheOperators(t *testing.T) {
	help, err := exec.CommandContext(t.Context(), manager, "--help").CombinedOutput()
	must(t, err)
	var values map[string]any
	must(t, yaml.Unmarshal([]byte(read(t, helm.Chart()+"/values.yaml")), &values))
	for value, flag := range map[string]string{
		"allowedAPIURLs": "allowed-api-urls", "massDeleteLimit": "mass-delete-limit", "massAbsenceLimit": "mass-absence-limit", "resyncInterval": "resync-interval", "rateLimitShare": "rate-limit-share",
		"unknownOutcomeGrace": "unknown-outcome-grace", "maxConcurrentReconciles": "max-concurrent-reconciles", "protectSecrets": "protect-secrets",
	} {
		found := regexp.MustCompile(`(?m)^  -` + flag + `.*\n.*?(?:\(default "?(.*?)"?\))?$`).FindStringSubmatch(string(help))
		if found == nil {
			t.Errorf("the operator has no flag --%s", flag)
			continue
		}
		want := strings.TrimSuffix(found[1], "0s")
		if want == "" {
			want = "0"
		}
		text, err := yaml.Marshal(values[value])
		must(t, err)
		if got := strings.Trim(strings.TrimPrefix(strings.TrimSpace(string(text)), "- "), `"`); got != want {
			t.Errorf("%s is %s by default, and --%s %s", value, got, flag, want)
		}
	}
}

// Bad values are refused in words that name the value.
func TestRefusedValues(t *testing.T) {
	const only = "watchNamespaces: [a]\nownerID: a\ncrds: {install: false}\nmetrics: {enabled: false}\nrbac: {namespacedOnly: true}\n"
	for name, tc := range map[string]struct {
		values string
		says   []string
	}{
		"Unknown":               {"replicaCount: 2", []string{"replicaCount"}},
		"UnknownBelow":          {"image: {name: x}", []string{"image", "name"}},
		"Type":                  {"replicas: two", []string{"replicas", "integer"}},
		"NotOneOf":              {"log: {level: 8}", []string{"log/level"}},
		"Duration":              {"resyncInterval: 10 minutes", []string{"resyncInterval"}},
		"DurationOfNothing":     {"resyncInterval: 0s", []string{"resyncInterval"}},
		"DurationTooShort":      {"unknownOutcomeGrace: 500ms", []string{"unknownOutcomeGrace"}},
		"Share":                 {"rateLimitShare: 0", []string{"rateLimitShare"}},
		"ShareAsText":           {`rateLimitShare: "0.0"`, []string{"rateLimitShare"}},
		"Null":                  {"allowedAPIURLs: null", []string{"allowedAPIURLs"}},
		"NullBelow":             {"crds: {keep: null}", []string{"crds", "keep"}},
		"NullSection":           {"metrics: null", []string{"metrics"}},
		"Name":                  {"fullnameOverride: 1st", []string{"fullnameOverride"}},
		"URL":                   {"allowedAPIURLs: [api.cal.com]", []string{"allowedAPIURLs/0"}},
		"NoURL":                 {"allowedAPIURLs: []", []string{"allowedAPIURLs"}},
		"URLWithComma":          {"allowedAPIURLs: ['https://a.org,https://b.org']", []string{"allowedAPIURLs/0"}},
		"Namespace":             {"watchNamespaces: [team_a]", []string{"watchNamespaces/0"}},
		"NamespaceEmpty":        {"watchNamespaces: [a, '']", []string{"watchNamespaces/1"}},
		"NamespaceInCapitals":   {"watchNamespaces: [Team]", []string{"watchNamespaces/0"}},
		"NamespacesInOneText":   {"watchNamespaces: ['a,b']", []string{"watchNamespaces/0"}},
		"NamespaceTooLong":      {"watchNamespaces: [" + strings.Repeat("a", 64) + "]", []string{"watchNamespaces/0", "63"}},
		"NamespaceOfALine":      {`watchNamespaces: ["a\n"]`, []string{"watchNamespaces/0"}},
		"NamespaceTwice":        {"watchNamespaces: [a, a]", []string{"watchNamespaces", "equal"}},
		"Digest":                {"image: {digest: sha256:12}", []string{"image/digest"}},
		"OwnerID":               {"ownerID: a/b", []string{"ownerID"}},
		"Port":                  {"metrics: {port: 0}", []string{"metrics/port"}},
		"CIDR":                  {"networkPolicy: {calcom: {cidrs: [api.cal.com]}}", []string{"networkPolicy/calcom/cidrs/0"}},
		"Quote":                 {"policies: {breakGlassGroup: \"it's\"}", []string{"policies/breakGlassGroup"}},
		"TwoWithoutLease":       {"leaderElection: {enabled: false}", []string{"replicas:", "set leaderElection.enabled to true"}},
		"NoServiceAccount":      {"serviceAccount: {create: false}", []string{"serviceAccount.name:"}},
		"NothingToScrape":       {"{metrics: {enabled: false}, serviceMonitor: {enabled: true}}", []string{"serviceMonitor.enabled:", "set metrics.enabled to true"}},
		"NoServer":              {"policies: {apiURLs: {enabled: true}}", []string{"policies.apiURLs.prefixes:", "name the servers"}},
		"ListForNothing":        {"policies: {apiURLs: {prefixes: [https://api.cal.com]}}", []string{"policies.apiURLs.enabled:", "set it to true"}},
		"OnlyWithoutNamespaces": {only + "watchNamespaces: []", []string{"watchNamespaces:"}},
		"OnlyWithoutOwner":      {only + "ownerID: ''", []string{"ownerID:", "set ownerID"}},
		"OnlyWithCRDs":          {only + "crds: {install: true}", []string{"crds.install:", "set it to false"}},
		"OnlyWithMetrics":       {only + "metrics: {enabled: true}", []string{"metrics.secure:", "metrics.enabled to false"}},
		"OnlyWithLimit":         {only + "massDeleteLimit: 10", []string{"massDeleteLimit:", "set it to 0"}},
		"OnlyWithClients":       {only + "clusterOAuthClients: true", []string{"clusterOAuthClients:", "set it to false"}},
		"OtherServers":          {"{allowedAPIURLs: [https://cal.example.com], policies: {apiURLs: {enabled: true, prefixes: [https://api.cal.com]}}}", []string{"policies.apiURLs.prefixes:", "same servers"}},
		"OnlyWithPolicies":      {only, []string{"policies.enabled:", "set it to false"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := template(t, helm, lastWins(t, tc.values))
			if err == nil {
				t.Fatal("the values are taken")
			}
			for _, part := range tc.says {
				if !strings.Contains(string(out), part) {
					t.Errorf("the error lacks %q:\n%s", part, out)
				}
			}
		})
	}
}

// lastWins returns values in which of keys that are there twice the last counts.
func lastWins(t *testing.T, values string) string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(values), "\n")
	last := lines[len(lines)-1]
	key, _, _ := strings.Cut(last, ":")
	lines = slices.DeleteFunc(lines[:len(lines)-1], func(line string) bool { return strings.HasPrefix(line, key+":") })
	return strings.Join(append(lines, last), "\n")
}

// Go's memory limit follows the container's.
func TestGoMemLimit(t *testing.T) {
	for values, want := range map[string]string{
		"{}":                                 "200MiB",
		"resources: {limits: {memory: 1Gi}}": "800MiB",
		"resources: {limits: {memory: 512Mi, cpu: 1}}":     "400MiB",
		"resources: {limits: {memory: 500M}}":              "",
		"resources: {limits: {memory: null}}":              "",
		"extraEnv: [{name: GOMEMLIMIT, value: 123MiB}]":    "123MiB",
		"extraEnv: [{name: HTTPS_PROXY, value: http://p}]": "200MiB",
	} {
		var got []string
		for _, variable := range deploymentOf(t, render(t, helm, values)).Spec.Template.Spec.Containers[0].Env {
			if variable.Name == "GOMEMLIMIT" {
				got = append(got, variable.Value)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("GOMEMLIMIT is %q with %s, want %q", got, values, want)
		}
	}
}

// Chart.yaml tells Artifact Hub of the CRDs that there are.
func TestChartNamesItsCRDs(t *testing.T) {
	var chart struct {
		Version, AppVersion string
		Annotations         map[string]string
	}
	must(t, yaml.Unmarshal([]byte(read(t, helm.Chart()+"/Chart.yaml")), &chart))
	if chart.AppVersion != "v"+chart.Version {
		t.Errorf("the chart is %s and the operator %s; they are released together", chart.Version, chart.AppVersion)
	}
	type crd struct{ Kind, Version, Name string }
	var got, want []crd
	must(t, yaml.Unmarshal([]byte(chart.Annotations["artifacthub.io/crds"]), &got))
	for _, object := range render(t, helm, "{}") {
		if object.GetKind() != "CustomResourceDefinition" {
			continue
		}
		var definition apiextensionsv1.CustomResourceDefinition
		must(t, runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, &definition, true))
		for _, version := range definition.Spec.Versions {
			want = append(want, crd{definition.Spec.Names.Kind, version.Name, definition.Name})
		}
	}
	byName := func(a, b crd) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(got, byName)
	slices.SortFunc(want, byName)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("artifacthub.io/crds (-want +got):\n%s", d)
	}
	for _, key := range []string{"artifacthub.io/license", "artifacthub.io/changes", "artifacthub.io/crdsExamples"} {
		if chart.Annotations[key] == "" {
			t.Errorf("Chart.yaml lacks %s", key)
		}
	}
}

// The notes say how to free what stays behind when no operator works any more, and who may where the policies are
// installed.
func TestNotesOfLeaving(t *testing.T) {
	const command, group = "kubectl calcom drain --release-secrets --namespace NAMESPACE", "--as-group=glass"
	for name, tc := range map[string]struct {
		values      string
		says, lacks []string
	}{
		"Everywhere":   {"policies: {enabled: false}", []string{command, "kubectl patch secret NAME", "only a running operator takes off."}, []string{"--as-group"}},
		"Namespaces":   {"watchNamespaces: [team-a, team-b]", []string{command, "takes off, in team-a, team-b only."}, nil},
		"Policies":     {"policies: {breakGlassGroup: glass}", []string{command, group}, nil},
		"Unguarded":    {"policies: {breakGlassGroup: glass, finalizers: {enabled: false}}", []string{command}, []string{group}},
		"NoFinalizers": {"protectSecrets: false", nil, []string{command, "in-use"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := helm.Run(t.Context(), tc.values, "install", releaseName, helm.Chart(), "--namespace="+namespace, "--dry-run=client", "--values=-")
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			_, notes, _ := strings.Cut(string(out), "\nNOTES:\n")
			for _, part := range tc.says {
				if !strings.Contains(notes, part) {
					t.Errorf("the notes lack %q:\n%s", part, notes)
				}
			}
			for _, part := range tc.lacks {
				if strings.Contains(notes, part) {
					t.Errorf("the notes say %q:\n%s", part, notes)
				}
			}
		})
	}
}
