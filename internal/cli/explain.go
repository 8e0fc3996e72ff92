// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/plan"
)

func newExplain(s *session) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "explain NAME",
		Short: "Say what the operator would do next with a user, and why, without doing it",
		Long: `Say what the operator would do next with a user, and why, without doing it.

The operator's own reconciler is run here, against a copy of the cluster in
memory. It reads from Cal.com, one to three calls as a rule, and its writes and
all other calls are listed instead of made. So the plan is the operator's own
decision, under the flags that its Deployment shows.

For a user that is at rest, it also says what a look at Cal.com would lead to
now, which the drift sweep takes within each --resync-interval, and "kubectl
calcom reconcile" at once.

It needs to read the user, its OAuth client, the Secret with the secret key
and, for a user with tokens, the Secret with these.`,
		Example: `  # Why does alice not become Ready, and what happens next?
  kubectl calcom explain alice

  # For a program
  kubectl calcom explain alice -o json`,
		Args:              exactlyOne("NAME of a ManagedUser"),
		ValidArgsFunction: s.completeUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.explain(cmd.Context(), args[0], &out)
		},
	}
	out.addFlag(cmd.Flags())
	return cmd
}

// exactlyOne wants one argument.
func exactlyOne(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return complain(fmt.Sprintf("there are %d arguments", len(args)), "give the "+what)
		}
		return nil
	}
}

// explanation is what explain prints for programs.
type explanation struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// AtRest is set when the operator does nothing before something changes or the drift sweep comes by; Steps are then
	// those of a look.
	AtRest bool        `json:"atRest"`
	Steps  []plan.Step `json:"steps"`
	// Gone is set when the object would not be there any more afterwards.
	Gone       bool               `json:"gone"`
	Conditions []metav1.Condition `json:"conditions"`
	// NextLook is after how long the operator looks again of its own accord; absent when it does not.
	NextLook *metav1.Duration `json:"nextLook,omitempty"`
	Notes    []string         `json:"notes,omitempty"`
}

func (s *session) explain(ctx context.Context, name string, out *output) error {
	mu, err := s.user(ctx, name)
	if err != nil {
		return err
	}
	config, err := s.settings(ctx)
	if err != nil {
		return err
	}
	r, err := s.rehearsal(config, nil)
	if err != nil {
		return err
	}
	f, err := foretell(ctx, r, client.ObjectKeyFromObject(mu))
	if err != nil {
		return err
	}
	config.notes = append(config.notes, s.cautions(ctx, config, mu.Namespace)...)
	if printed, err := out.print(s.Out, newExplanation(mu, f, config.notes)); printed || err != nil {
		return err
	}
	s.printExplanation(mu, f, config)
	return nil
}

// user reads a ManagedUser of the session's namespace.
func (s *session) user(ctx context.Context, name string) (*v1alpha1.ManagedUser, error) {
	c, err := s.kube()
	if err != nil {
		return nil, err
	}
	namespace, err := s.namespace()
	if err != nil {
		return nil, err
	}
	mu := &v1alpha1.ManagedUser{}
	err = c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, mu)
	if apierrors.IsNotFound(err) {
		return nil, complain(fmt.Sprintf("there is no ManagedUser %s in namespace %s", name, namespace), "see kubectl calcom status -n "+namespace)
	}
	if err != nil {
		return nil, fmt.Errorf("reading ManagedUser %s: %w", name, err)
	}
	return mu, nil
}

func newExplanation(mu *v1alpha1.ManagedUser, f *foretold, notes []string) *explanation {
	last := f.last()
	e := &explanation{
		Namespace: mu.Namespace, Name: mu.Name, AtRest: f.look != nil, Steps: last.Steps, Gone: last.Object == nil, Notes: notes,
	}
	if last.Object != nil {
		e.Conditions = last.Object.Status.Conditions
	}
	if last.Next > 0 {
		e.NextLook = &metav1.Duration{Duration: last.Next.Round(time.Second)}
	}
	return e
}

func (s *session) printExplanation(mu *v1alpha1.ManagedUser, f *foretold, config *settings) {
	s.printf("ManagedUser %s in namespace %s\n\n", mu.Name, mu.Namespace)
	s.printConditions("Now", mu.Status.Conditions, remedyNow(mu))
	last := f.last()
	what := "Next, the operator would"
	if f.look != nil {
		s.paragraph("", "", fmt.Sprintf("The user is at rest: nothing is to be done until the spec, the Secret or the OAuth client changes, or the drift sweep finds a difference. It looks within each %s.",
			duration.HumanDuration(config.ResyncInterval)))
		s.printf("\n")
		what = "If somebody asked for a look at Cal.com now, the operator would"
	}
	if len(last.Steps) == 0 {
		s.printf("%s do nothing.\n\n", what)
	} else {
		s.printf("%s\n", what)
		s.printSteps(last.Steps)
		s.printf("\n")
	}
	if last.Object == nil {
		s.printf("Then the object would be gone.\n")
	} else {
		if alike(mu.Status.Conditions, last.Object.Status.Conditions) {
			s.printf("Then: as now\n\n")
		} else {
			s.printConditions("Then", last.Object.Status.Conditions, remedyNow(last.Object))
		}
		s.paragraph("Next look: ", "           ", nextLook(f, config))
	}
	for _, note := range config.notes {
		s.paragraph("Note: ", "      ", note)
	}
}

// alike reports whether conditions tell people the same.
func alike(a, b []metav1.Condition) bool {
	return slices.EqualFunc(inOrder(a), inOrder(b), func(a, b metav1.Condition) bool {
		return a.Type == b.Type && a.Status == b.Status && a.Reason == b.Reason && a.Message == b.Message
	})
}

// nextLook says when the operator would look again, and why.
func nextLook(f *foretold, config *settings) string {
	last := f.last()
	ready := last.Ready()
	switch {
	case last.BacksOff:
		return "in about a second, and then after ever longer waits of up to five minutes."
	case last.Next > 0 && ready != nil && ready.Status == metav1.ConditionTrue:
		return fmt.Sprintf("in %s, to renew the tokens; the drift sweep looks within each %s.", duration.HumanDuration(last.Next), duration.HumanDuration(config.ResyncInterval))
	case last.Next > 0:
		return fmt.Sprintf("in %s, and at once when the spec, the Secret or the OAuth client changes.", duration.HumanDuration(max(last.Next, time.Second)))
	case ready != nil && ready.Status == metav1.ConditionTrue:
		return fmt.Sprintf("by the drift sweep, within %s.", duration.HumanDuration(config.ResyncInterval))
	}
	return "when the object changes."
}

// printConditions writes conditions with what they mean for a person. What was said is not said again.
func (s *session) printConditions(title string, conditions []metav1.Condition, remedyOf func(reason string) string) {
	indent := strings.Repeat(" ", len(title)+2)
	label := title + ": "
	if len(conditions) == 0 {
		s.printf("%sno conditions yet\n\n", label)
		return
	}
	told := map[string]bool{"": true}
	for _, c := range inOrder(conditions) {
		s.printf("%s%s=%s %s\n", label, c.Type, c.Status, c.Reason)
		label = indent
		if !told[c.Message] {
			s.paragraph(indent+"  ", indent+"  ", c.Message+".")
			told[c.Message] = true
		}
		if remedy := remedyOf(c.Reason); remedy != "" && c.Type == v1alpha1.ConditionReady && c.Status != metav1.ConditionTrue {
			s.paragraph(indent+"  What to do: ", indent+"  ", remedy)
		}
	}
	s.printf("\n")
}

// inOrder returns the conditions as people want to read them: first what sums up.
func inOrder(conditions []metav1.Condition) []metav1.Condition {
	var sorted []metav1.Condition
	for _, kind := range []string{
		v1alpha1.ConditionReady, v1alpha1.ConditionSynced, v1alpha1.ConditionCredentialsReady, v1alpha1.ConditionTokensReady,
		v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled,
	} {
		for _, c := range conditions {
			if c.Type == kind {
				sorted = append(sorted, c)
			}
		}
	}
	return sorted
}

// printSteps writes what would be done, one line each, with the fields below.
func (s *session) printSteps(steps []plan.Step) {
	for i := range steps {
		step := &steps[i]
		text := fmt.Sprintf("%s %s: %s", step.Verb, step.Object, step.Summary)
		if step.At == plan.CalCom {
			text = fmt.Sprintf("%s, %s", step.Verb, step.Summary)
			if step.UserID != 0 {
				text += fmt.Sprintf(" (%d)", step.UserID)
			}
			if step.Status/100 != 2 {
				text += fmt.Sprintf(", which is answered with status %d", step.Status)
			}
		}
		s.paragraph(fmt.Sprintf("%4d. %-11s", i+1, step.At), strings.Repeat(" ", 17), text)
		for j := range step.Changes {
			s.paragraph(strings.Repeat(" ", 19), strings.Repeat(" ", 21), addresses(true).change(&step.Changes[j]))
		}
	}
}
