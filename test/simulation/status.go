// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// maxMessage bounds the message of a condition, in bytes.
const maxMessage = 1024

// canaries are parts of every address, secret and token of the simulation, and of nothing else.
var canaries = []string{"@", "canary", "zz", "eyJ", "deadbeef"}

// showing checks a text that people can see.
func (w *World) showing(where, text string) {
	for _, canary := range canaries {
		if strings.Contains(text, canary) {
			w.found(&w.figures.Shown, "%s shows %q: %s", where, canary, text)
			return
		}
	}
}

// checkStatus checks a status as it was written: the rules of kstatus, and what messages look like.
func (w *World) checkStatus(t *task, before, mu *v1alpha1.ManagedUser) {
	conditions := mu.Status.Conditions
	// A status that somebody emptied after it was read is not the one that the patch was made for.
	emptied := t.process.cluster.api.lost[t.key] > versionOf(t.object)
	if len(conditions) > 0 && !emptied {
		w.checkSummary(t, mu)
	}
	if meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReady) {
		w.checkFinished(t.process, mu)
	}
	w.checkMessages(conditions)
	// A write that tells nothing new is an intermediate one; progress is right for it.
	if emptied || equality.Semantic.DeepEqual(before.Status.Conditions, conditions) || !mu.DeletionTimestamp.IsZero() {
		return
	}
	sameSpec := t.object.Generation == mu.Generation && t.object.UID == mu.UID
	if meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionStalled) && sameSpec && mu.Status.ObservedGeneration != mu.Generation {
		w.violate("%s is Stalled at an old generation, which kstatus takes for progress", t.key.Name)
	}
}

func (w *World) checkMessages(conditions []metav1.Condition) {
	for _, c := range conditions {
		w.showing("condition "+c.Type, c.Message)
		if !isLine(c.Message) {
			w.violate("the message of %s is not a line as it should be: %q", c.Type, c.Message)
		}
	}
}

// isLine reports whether a message begins with a capital and is one line of a bounded length without a full stop.
func isLine(m string) bool {
	return m != "" && strings.ToUpper(m[:1]) == m[:1] && !strings.HasSuffix(m, ".") && len(m) <= maxMessage && !strings.Contains(m, "\n")
}

// checkSummary checks the conditions that say how the others are to be taken.
func (w *World) checkSummary(t *task, mu *v1alpha1.ManagedUser) {
	is := func(kind string) bool { return meta.IsStatusConditionTrue(mu.Status.Conditions, kind) }
	busy, stalled := is(v1alpha1.ConditionReconciling), is(v1alpha1.ConditionStalled)
	switch {
	case meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady) == nil:
		w.violate("%s has no condition Ready", t.key.Name)
	case busy && stalled:
		w.violate("%s is Reconciling and Stalled at once", t.key.Name)
	case is(v1alpha1.ConditionReady) && (busy || stalled):
		w.violate("%s is Ready together with Reconciling or Stalled", t.key.Name)
	}
}

// recorder is the event recorder of one process.
type recorder struct{ process *process }

// Eventf checks an event.
func (r *recorder) Eventf(_, _ runtime.Object, _, reason, _, note string, args ...any) {
	r.process.world.showing("event "+reason, fmt.Sprintf(note, args...))
}

// sink is where one reconcile logs to.
type sink struct {
	task   *task
	values []any
}

var _ logr.LogSink = (*sink)(nil)

// Init is for sinks that look at call stacks.
func (s *sink) Init(logr.RuntimeInfo) {}

// Enabled takes every line, down to the last.
func (s *sink) Enabled(int) bool { return true }

// Info checks a line.
func (s *sink) Info(_ int, line string, values ...any) {
	s.task.process.world.showing("the log", fmt.Sprint(line, s.values, values))
}

// Error checks a line with an error.
func (s *sink) Error(err error, line string, values ...any) {
	s.task.process.world.showing("the log", fmt.Sprint(err, line, s.values, values))
}

// WithValues returns a sink that says more in each line.
func (s *sink) WithValues(values ...any) logr.LogSink {
	return &sink{task: s.task, values: append(append([]any{}, s.values...), values...)}
}

// WithName returns the sink: names are the operator's own.
func (s *sink) WithName(string) logr.LogSink { return s }
