// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/plan"
	"github.com/calcom-operator/calcom-operator/internal/reasons"
)

// planOptions are the flags of plan.
type planOptions struct {
	output

	files     genericclioptions.FileNameFlags
	secretKey string
}

func newPlan(s *session) *cobra.Command {
	o := &planOptions{files: genericclioptions.FileNameFlags{
		Usage: "manifests: a file, a folder, a URL, or - for the standard input", Filenames: new([]string), Kustomize: new(""), Recursive: new(false),
	}}
	cmd := &cobra.Command{
		Use:   "plan (-f FILENAME | -k DIRECTORY)",
		Short: "Say what manifests would do in Cal.com, before they are applied",
		Long: `Say what manifests would do in Cal.com, before they are applied: whom the
operator would create, adopt and change, field by field, and where it would
find itself in conflict.

The API server checks the manifests (a dry run), and then the operator's own
reconciler is run here, against a copy of the cluster in memory. Nothing is
written anywhere: Cal.com sees nothing but reads, one for every 250 users and
one for each user that is known by its id and not found by its address.

Other objects among the manifests count as if they were applied: Secrets,
OAuthClients, ClusterOAuthClients and Namespaces. So a plan can be made before
there is a namespace, or the operator. Where the secret key is neither in the
cluster nor among the manifests, or may not be read, name it by
--secret-key-from.

A plan shows what becomes of users in Cal.com, "kubectl diff" what becomes of
objects. It cannot foresee a username that somebody has who is not in the plan,
nor what Cal.com refuses for reasons of its own.

Exit codes are those of "kubectl diff": 0 if nothing would change, 1 if
something would, a conflict included, and 2 if the plan could not be made.`,
		Example: `  # What would this folder do?
  kubectl calcom plan -f users/

  # A kustomization, in a pull request's check
  kubectl calcom plan -k overlays/production -o json

  # Nothing is applied yet, and the secret key is in the environment
  kubectl calcom plan -f users/ --secret-key-from=env:CAL_SECRET_KEY`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return complain(fmt.Sprintf("unknown argument %q", args[0]), "name manifests by -f or -k")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return s.plan(cmd.Context(), o) },
	}
	o.addFlag(cmd.Flags())
	o.files.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.secretKey, "secret-key-from", "", "where the OAuth client's secret key is, if no Secret can be read: env:NAME or file:PATH")
	return cmd
}

// What the operator would do with a user.
const (
	actionCreate    = "create"
	actionAdopt     = "adopt"
	actionChange    = "change"
	actionDelete    = "delete"
	actionUnchanged = "unchanged"
	actionWait      = "wait"
	actionConflict  = "conflict"
)

// planned is what would become of one user.
type planned struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Action is create, adopt, change, delete, unchanged, wait (for what heals by itself) or conflict (which a person
	// has to end).
	Action string `json:"action"`
	// UserID in Cal.com; absent for one that does not exist yet.
	UserID int64 `json:"userID,omitempty"`
	// Reason and Message are those of Ready where the user would not be Ready, Remedy what to do about it.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
	// Changes are the fields that would be sent. In a plan for several users, an e-mail is shown as "(hidden)".
	Changes []plan.Change `json:"changes,omitempty"`
	// EndsTokens is set when all tokens that anybody has of the user would be ended.
	EndsTokens bool `json:"endsTokens,omitempty"`
}

// planReport is what plan prints for programs.
type planReport struct {
	Users []planned `json:"users"`
	// Summary counts users by action.
	Summary map[string]int `json:"summary"`
	Notes   []string       `json:"notes,omitempty"`
}

func (s *session) plan(ctx context.Context, o *planOptions) error {
	m, err := s.readManifests(ctx, o)
	if err != nil {
		return err
	}
	config, err := s.planSettings(ctx, m)
	if err != nil {
		return err
	}
	var r *plan.Rehearsal
	fetch := func(ctx context.Context, of plan.Account) []string { return m.addressesOf(ctx, r, config, of) }
	if r, err = s.rehearsal(config, fetch); err != nil {
		return err
	}
	report := &planReport{Users: []planned{}, Summary: make(map[string]int)}
	if err := s.stageManifests(ctx, r, m, report); err != nil {
		return err
	}
	if err := s.stageSecrets(ctx, r, m, config, o.secretKey); err != nil {
		return err
	}
	if err := s.rehearseAll(ctx, r, m, config, report); err != nil {
		return err
	}
	report.Notes = append(report.Notes, config.notes...)
	return s.tellPlan(report, o)
}

// planSettings are the operator's, or what an operator would be started with where there is none yet.
func (s *session) planSettings(ctx context.Context, m *manifests) (*settings, error) {
	config, err := s.settings(ctx)
	if err != nil {
		return nil, err
	}
	if config.Namespace == "" && len(m.clusterClients) > 0 {
		return nil, complain("the Secret of a ClusterOAuthClient is in the operator's namespace, and the operator was not found", "name it by --operator-namespace")
	}
	return config, nil
}

// rehearseAll makes the plan, a user after the other, in the order of their names: what one would do, the next one
// finds done.
func (s *session) rehearseAll(ctx context.Context, r *plan.Rehearsal, m *manifests, config *settings, report *planReport) error {
	for _, mu := range m.users {
		p := planned{Namespace: mu.Namespace, Name: mu.Name}
		switch refusal, refused := m.refused[client.ObjectKeyFromObject(mu)]; {
		case refused:
			p.Action, p.Reason, p.Message = actionConflict, "Invalid", refusal
		case !config.watches(mu.Namespace):
			p.Action, p.Reason, p.Message = actionConflict, "NotWatched", "The operator does not watch this namespace"
			p.Remedy = "Add it to the operator's --watch-namespaces."
		default:
			f, err := foretell(ctx, r, client.ObjectKeyFromObject(mu))
			if err != nil {
				return fmt.Errorf("planning for %s/%s: %w", mu.Namespace, mu.Name, err)
			}
			p.take(f.last())
		}
		report.Summary[p.Action]++
		report.Users = append(report.Users, p)
	}
	return nil
}

// take reads off an outcome what it means for the user.
func (p *planned) take(o *plan.Outcome) {
	done := make(map[calcom.Operation]bool)
	for i := range o.Steps {
		step := &o.Steps[i]
		if !step.ChangesUser() {
			continue
		}
		done[step.Operation] = true
		p.Changes = append(p.Changes, step.Changes...)
		p.UserID = max(p.UserID, step.UserID)
	}
	p.EndsTokens = done[calcom.OpForceRefresh]
	adopted := false
	for _, e := range o.Events {
		adopted = adopted || e.Reason == v1alpha1.ReasonAdopted
	}
	p.UserID = max(p.UserID, idOf(o))
	switch {
	case done[calcom.OpDelete]:
		p.Action = actionDelete
	case p.troubled(o):
	case done[calcom.OpCreate]:
		p.Action, p.UserID = actionCreate, 0
	case adopted:
		p.Action = actionAdopt
	case done[calcom.OpUpdate], p.EndsTokens:
		p.Action = actionChange
	default:
		p.Action = actionUnchanged
	}
}

// idOf returns the id of the user that the status shows, if Cal.com gave it.
func idOf(o *plan.Outcome) int64 {
	if o.Object == nil || o.Object.Status.User == nil || plan.Invented(o.Object.Status.User.ID) {
		return 0
	}
	return o.Object.Status.User.ID
}

// troubled notes why the user would not be Ready, and reports whether that is what there is to say of it.
func (p *planned) troubled(o *plan.Outcome) bool {
	ready := o.Ready()
	if ready == nil || ready.Status == metav1.ConditionTrue {
		return false
	}
	p.Reason, p.Message, p.Remedy = ready.Reason, ready.Message, reasons.Remedy(ready.Reason)
	switch {
	case meta.IsStatusConditionTrue(o.Object.Status.Conditions, v1alpha1.ConditionStalled):
		p.Action = actionConflict
	case !meta.IsStatusConditionTrue(o.Object.Status.Conditions, v1alpha1.ConditionReconciling):
		return false // It is at rest, as with Suspend.
	case ready.Reason == v1alpha1.ReasonRemoteUnavailable, ready.Reason == v1alpha1.ReasonRateLimited, ready.Reason == v1alpha1.ReasonDeleting,
		ready.Reason == v1alpha1.ReasonMassDeletion:
		p.Action = actionWait
	default:
		p.Action = actionConflict
	}
	return true
}
