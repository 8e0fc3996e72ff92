// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/argoproj/gitops-engine/pkg/health"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// verdict is what the tools say of one object.
type verdict struct {
	// lua is the script's own, and engine what Argo CD shows.
	lua, engine *health.HealthStatus
	kstatus     *status.Result
}

func judge(t *testing.T, c customizations, object *unstructured.Unstructured) verdict {
	t.Helper()
	var v verdict
	var err error
	if v.lua, err = c.GetResourceHealth(object); err != nil {
		t.Fatal(err)
	}
	if v.engine, err = health.GetResourceHealth(object, c); err != nil {
		t.Fatal(err)
	}
	if v.kstatus, err = status.Compute(object); err != nil {
		t.Fatal(err)
	}
	return v
}

// Each state in which the operator was seen to leave an object has the health that is on file, and that file breaks
// none of the rules. New states come from "make shapes", and their health is to be looked at before it is committed.
func TestHealthOfEveryShape(t *testing.T) {
	c, messages, table := readCustomizations(t), readTable(t, "messages.tsv"), readTable(t, "shapes.tsv")
	update := os.Getenv("UPDATE_SHAPES") != ""
	if len(table) < 500 {
		t.Fatalf("there are %d shapes, which cannot be all", len(table))
	}
	for text, decided := range table {
		s, err := parseShape(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range s.kinds() {
			object := s.object(kind, messages)
			v := judge(t, c, object)
			for _, broken := range s.broken(v, messages) {
				t.Errorf("%s (%s): %s", text, kind, broken)
			}
			have := []string{string(v.lua.Status), v.kstatus.Status.String()}
			if update {
				table[text] = have
			} else if d := cmp.Diff(decided, have); d != "" {
				t.Errorf("%s (%s): verdicts of Argo CD and kstatus (-decided +now):\n%s", text, kind, d)
			}
		}
	}
	if update {
		writeTable(t, "shapes.tsv", table)
	}
}

// broken returns the rules that a verdict breaks. They are written without a look at how Argo CD or the script come to
// theirs.
func (s shape) broken(v verdict, messages map[string][]string) []string {
	ready := s.conditions["Ready"]
	current := s.observed == "current"
	works := s.is("Ready", "True") && current && !s.deleted
	said := func(kind string) string { // The message of a condition.
		c := s.conditions[kind]
		return strings.Join(messages[kind+"="+c.status+"/"+c.reason], "")
	}
	argo, k := v.lua.Status, v.kstatus.Status
	rules := []struct {
		rule  string
		holds bool
	}{
		// The operator's part.
		{"Ready says true of a spec that was dealt with", !s.is("Ready", "True") || current},
		{"Stalled says true of a spec that was dealt with", !s.is("Stalled", "True") || current},
		{"Reconciling and Stalled exclude each other and Ready", !two(s.conditions["Ready"].status == "True", s.conditions["Reconciling"].status == "True", s.conditions["Stalled"].status == "True")},
		{"every condition tells its generation", !slices.ContainsFunc([]string{"Ready", "Synced", "CredentialsReady", "TokensReady", "Reconciling", "Stalled"}, func(kind string) bool {
			c, ok := s.conditions[kind]
			return ok && c.observed != "current" && c.observed != "old"
		})},
		// Argo CD.
		{"Healthy is who is Ready at this generation, and nobody else", (argo == health.HealthStatusHealthy) == works},
		{"no verdict is silent", v.lua.Message != "" && v.engine.Message != ""},
		{"who needs somebody is Degraded, with the reason", !s.is("Stalled", "True") || argo == health.HealthStatusDegraded && v.lua.Message == said("Ready")},
		{"nobody else who is being deleted is Degraded", !s.deleted || s.is("Stalled", "True") || argo != health.HealthStatusDegraded},
		{"what is at work is Progressing, with the reason", !s.is("Reconciling", "True") || argo == health.HealthStatusProgressing && v.lua.Message == said("Ready")},
		{"who rests is Suspended", implies(s.is("Ready", "False") && ready.reason == "Suspended" && current, argo == health.HealthStatusSuspended)},
		{"nobody else is", argo != health.HealthStatusSuspended || ready.reason == "Suspended"},
		{"a spec that nobody has looked at is Progressing", s.deleted || current || argo == health.HealthStatusProgressing},
		{"what stands in the way of a new spec is told", current || !s.is("Ready", "False") || v.lua.Message == said("Ready")},
		{"a user that is not there to be observed is Degraded", implies(s.is("Ready", "False") && ready.reason == "NotFound" && current && !s.deleted, argo == health.HealthStatusDegraded)},
		{"gitops-engine does not ask of what is being deleted", !s.deleted || v.engine.Status == health.HealthStatusProgressing && v.engine.Message == "Pending deletion"},
		{"and says what the script says of all else", s.deleted || *v.engine == *v.lua},
		// kstatus, which Flux waits by.
		{"Current is who is Ready at this generation, and nobody else", (k == status.CurrentStatus) == works},
		{"Terminating is who is being deleted", (k == status.TerminatingStatus) == s.deleted},
		{"Failed is who needs somebody", (k == status.FailedStatus) == (s.is("Stalled", "True") && !s.deleted)},
		{"all others are InProgress", works || s.deleted || s.is("Stalled", "True") || k == status.InProgressStatus},
	}
	var broken []string
	for _, r := range rules {
		if !r.holds {
			broken = append(broken, r.rule+", which does not hold: Argo CD says "+string(argo)+" ("+v.lua.Message+"), gitops-engine "+string(v.engine.Status)+", kstatus "+k.String())
		}
	}
	return broken
}

func implies(a, b bool) bool { return !a || b }

func two(all ...bool) bool {
	n := 0
	for _, b := range all {
		if b {
			n++
		}
	}
	return n > 1
}

// States that this version does not write: from backups, from other versions, by hand.
func TestHealthOfStrangeObjects(t *testing.T) {
	c := readCustomizations(t)
	ready := func(status, reason string, more ...any) []any {
		return append([]any{map[string]any{"type": "Ready", "status": status, "reason": reason, "message": "Words", "observedGeneration": int64(2)}}, more...)
	}
	for _, row := range []struct {
		name     string
		status   any
		deleted  bool
		want     health.HealthStatus
		wantKind status.Status
	}{
		{"no status", nil, false, health.HealthStatus{Status: "Progressing", Message: "The operator has not dealt with the spec yet"}, status.CurrentStatus}, // kstatus has no more to go by: hence the default of the CRD.
		{"as created", map[string]any{"observedGeneration": int64(-1)}, false, health.HealthStatus{Status: "Progressing", Message: "The operator has not dealt with the spec yet"}, status.InProgressStatus},
		{"no conditions", map[string]any{"observedGeneration": int64(2)}, false, health.HealthStatus{Status: "Progressing", Message: "The operator has not said yet whether this is Ready"}, status.CurrentStatus},
		{"a reason from the future", map[string]any{"observedGeneration": int64(2), "conditions": ready("False", "Eclipse")}, false, health.HealthStatus{Status: "Degraded", Message: "Words"}, status.InProgressStatus},
		{"a good reason from the future", map[string]any{"observedGeneration": int64(2), "conditions": ready("True", "Excellent")}, false, health.HealthStatus{Status: "Healthy", Message: "Words"}, status.CurrentStatus},
		{"Ready is not known", map[string]any{"observedGeneration": int64(2), "conditions": ready("Unknown", "Progressing")}, false, health.HealthStatus{Status: "Progressing", Message: "The operator has not said yet whether this is Ready"}, status.InProgressStatus},
		{
			"conditions without generations", map[string]any{"observedGeneration": int64(2), "conditions": []any{map[string]any{"type": "Ready", "status": "True", "reason": "Available", "message": "Words"}}}, false,
			health.HealthStatus{Status: "Healthy", Message: "Words"}, status.CurrentStatus,
		},
		{
			"Stalled without words", map[string]any{"observedGeneration": int64(2), "conditions": []any{map[string]any{"type": "Stalled", "status": "True"}}}, false,
			health.HealthStatus{Status: "Degraded", Message: "Somebody has to act; see the conditions"}, status.FailedStatus,
		},
		{"deleted without a status", nil, true, health.HealthStatus{Status: "Progressing", Message: "The deletion is under way"}, status.TerminatingStatus},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, kind := range []string{kindUser, kindClient, kindClusterClient} {
				object := shape{deleted: row.deleted}.object(kind, nil)
				delete(object.Object, "status")
				if row.status != nil {
					object.Object["status"] = row.status
				}
				v := judge(t, c, object)
				if d := cmp.Diff(row.want, *v.lua); d != "" {
					t.Errorf("health of a %s (-want +got):\n%s", kind, d)
				}
				if v.kstatus.Status != row.wantKind {
					t.Errorf("kstatus says %s of a %s, want %s", v.kstatus.Status, kind, row.wantKind)
				}
			}
		})
	}
}

// A script as it would be by mistake is caught by the rules: they can fail.
func TestRulesCatchMistakes(t *testing.T) {
	messages := readTable(t, "messages.tsv")
	healthy := map[string]string{kindUser: `return {status = "Healthy", message = "fine"}`}
	for _, text := range []string{
		"ManagedUser/Manage observed=never",
		"ManagedUser/Manage observed=old Ready=True/Available@old",
		"ManagedUser/Manage observed=current Ready=False/Unauthorized@current Stalled=True/Unauthorized@current",
		"ManagedUser/Suspend observed=current Ready=False/Suspended@current",
	} {
		s, err := parseShape(text)
		if err != nil {
			t.Fatal(err)
		}
		if v := judge(t, customizations{t: t, health: healthy}, s.object(kindUser, messages)); len(s.broken(v, messages)) == 0 {
			t.Errorf("no rule forbids %s to be Healthy", text)
		}
	}
}

// Each reason that the API declares was seen, so that none is left whose health nobody has decided.
func TestEveryReasonWasSeen(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "api", "v1alpha1", "conditions.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for condition := range readTable(t, "messages.tsv") {
		_, reason, _ := strings.Cut(condition, "/")
		seen[reason] = true
	}
	reasons := 0
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			t.Fatalf("%s is no literal", spec.Names[0].Name)
		}
		reason, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		reasons++
		if !seen[reason] {
			t.Errorf("no object was seen with the reason %s", reason)
		}
		return true
	})
	if reasons < 30 {
		t.Errorf("found %d reasons only", reasons)
	}
}
