// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/controller"
	"github.com/calcom-operator/calcom-operator/internal/plan"
)

// Where a comparison takes the user from.
const (
	fromCalCom = "Cal.com"
	fromStatus = "status"
)

// detail is what status prints of one user for programs.
type detail struct {
	userRow

	Conditions []metav1.Condition `json:"conditions"`
	// Drift is what the operator would set back, or has yet to write; null when it could not be found out.
	Drift []plan.Change `json:"drift"`
	// DriftFrom says what the spec was compared with: Cal.com, or the status, which is what the operator saw last.
	DriftFrom string `json:"driftFrom,omitempty"`
	// DriftUnknown says why there is no drift to show.
	DriftUnknown string `json:"driftUnknown,omitempty"`
	// LastAction is what the operator did last in Cal.com.
	LastAction *lastAction            `json:"lastAction,omitempty"`
	Tokens     *v1alpha1.TokensStatus `json:"tokens,omitempty"`
	// Notes are what else has to be known.
	Notes []string `json:"notes,omitempty"`
}

// lastAction is what was done last, by the condition Synced.
type lastAction struct {
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

func (s *session) statusOfOne(ctx context.Context, name string, o *statusOptions) error {
	mu, err := s.user(ctx, name)
	if err != nil {
		return err
	}
	now := time.Now()
	d := &detail{userRow: newUserRow(mu, now), Conditions: mu.Status.Conditions, Tokens: mu.Status.Tokens}
	if synced := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionSynced); synced != nil && synced.Status == metav1.ConditionTrue {
		d.LastAction = &lastAction{Reason: synced.Reason, Message: synced.Message, At: synced.LastTransitionTime.UTC()}
	}
	d.DriftUnknown = incomparable(mu)
	config, err := s.settings(ctx)
	switch {
	case err == nil:
		d.Notes = s.cautions(ctx, config, mu.Namespace)
		if d.DriftUnknown == "" {
			err = s.compare(ctx, mu, d, config, o.offline)
		}
		if err != nil {
			return err
		}
	case d.DriftUnknown == "":
		return err // Without the operator's flags there is no comparison, and the conditions say what they say all the same.
	}
	if printed, err := o.print(s.Out, d); printed || err != nil {
		return err
	}
	s.printDetail(mu, d, now)
	return nil
}

// incomparable says why a user cannot be compared with its spec; empty if it can.
func incomparable(mu *v1alpha1.ManagedUser) string {
	switch {
	case mu.Status.User == nil:
		return "no user of this object is known yet"
	case !mu.DeletionTimestamp.IsZero():
		return "the object is being deleted"
	case mu.Spec.ReconcilePolicy == v1alpha1.ReconcilePolicyObserve:
		return "reconcilePolicy is Observe: the spec is no demand"
	}
	return ""
}

// compare finds out how Cal.com differs from the spec: by a rehearsal of what the operator would write. It is of a copy
// that leaves out what has no part in that, the tokens, and that a suspended user is not compared.
func (s *session) compare(ctx context.Context, mu *v1alpha1.ManagedUser, d *detail, config *settings, offline bool) error {
	d.Notes = append(d.Notes, config.notes...)
	copied := mu.DeepCopy()
	copied.Spec.Tokens, copied.Spec.ReconcilePolicy = nil, v1alpha1.ReconcilePolicyManage
	if !offline {
		drift, err := s.compareLive(ctx, copied, config)
		if err == nil {
			d.take(drift, fromCalCom)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		d.Notes = append(d.Notes, "Cal.com was not asked: "+sentence(err))
	}
	drift, err := s.compareStatus(ctx, copied, config)
	if err != nil {
		return err
	}
	d.take(drift, fromStatus)
	return nil
}

func (d *detail) take(o *plan.Outcome, from string) {
	looked := false
	d.Drift = []plan.Change{}
	for i := range o.Steps {
		looked = looked || o.Steps[i].At == plan.CalCom && o.Steps[i].Status/100 == 2
		if o.Steps[i].Operation == calcom.OpCreate {
			d.Drift, d.DriftUnknown = nil, "Cal.com does not have the user any more"
			return
		}
		d.Drift = append(d.Drift, o.Steps[i].Changes...)
	}
	if !looked {
		d.Drift, d.DriftUnknown = nil, "nothing in Cal.com was looked at"
		// The conditions of the object may be from when the operator had other flags, or did run.
		if ready := o.Ready(); ready != nil && ready.Status != metav1.ConditionTrue {
			d.DriftUnknown = fmt.Sprintf("as things are, the operator ends before a call to Cal.com. %s: %s", ready.Reason, ready.Message)
		}
		return
	}
	d.DriftFrom = from
}

// compareLive compares with what Cal.com has now.
func (s *session) compareLive(ctx context.Context, mu *v1alpha1.ManagedUser, config *settings) (*plan.Outcome, error) {
	r, err := s.rehearsal(config, nil)
	if err != nil {
		return nil, err
	}
	if err := r.Put(mu); err != nil {
		return nil, err
	}
	return r.Look(ctx, client.ObjectKeyFromObject(mu))
}

// compareStatus compares with what the status shows of Cal.com. Nobody is called, so that no secret key is needed and
// any client will do.
func (s *session) compareStatus(ctx context.Context, mu *v1alpha1.ManagedUser, config *settings) (*plan.Outcome, error) {
	c, err := s.kube()
	if err != nil {
		return nil, err
	}
	seen, err := lastSeen(mu)
	if err != nil {
		return nil, err
	}
	offline := config.Config
	if offline.AllowedAPIURLs, err = controller.ParseURLPrefixes("https://"); err != nil {
		return nil, fmt.Errorf("comparing with the status: %w", err)
	}
	connect := func(context.Context, plan.Account, calcom.Hidden[string]) (plan.Users, error) { return seen, nil }
	r := plan.New(plan.Options{Cluster: c, Scheme: scheme(), Connect: connect, Config: offline})
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: mu.Namespace, Name: "none"}, Data: map[string][]byte{"key": []byte("none")},
	}
	mu.Spec.OAuthClientRef = nil
	mu.Spec.OAuthClient = &v1alpha1.OAuthClientCredentials{
		ID: mu.Status.OAuthClientID, SecretKeyRef: v1alpha1.SecretKeyReference{Name: secret.Name, Key: "key"},
	}
	if err := errors.Join(r.Put(mu), r.Put(secret)); err != nil {
		return nil, err
	}
	return r.Look(ctx, client.ObjectKeyFromObject(mu))
}

// lastUser is the user that a status shows, whoever is asked for.
type lastUser struct{ user calcom.User }

func lastSeen(mu *v1alpha1.ManagedUser) (lastUser, error) {
	raw, err := json.Marshal(mu.Status.User)
	var u calcom.User
	if err == nil {
		err = json.Unmarshal(raw, &u)
	}
	if err != nil {
		return lastUser{}, fmt.Errorf("reading the status: %w", err)
	}
	u.ClientID = mu.Status.OAuthClientID
	return lastUser{u}, nil
}

// User returns the user.
func (l lastUser) User(context.Context, int64) (calcom.User, error) { return l.user, nil }

// UsersByEmail returns the user if it has one of the addresses.
func (l lastUser) UsersByEmail(_ context.Context, emails ...string) ([]calcom.User, error) {
	if slices.Contains(emails, l.user.PlainEmail()) {
		return []calcom.User{l.user}, nil
	}
	return nil, nil
}

func (s *session) printDetail(mu *v1alpha1.ManagedUser, d *detail, now time.Time) {
	s.printf("ManagedUser %s in namespace %s\n\n", d.Name, d.Namespace)
	facts := [][2]string{{"OAuth client", d.Client}, {"Age", d.Age}}
	if d.UserID != 0 {
		facts = append(facts, [2]string{"User ID", strconv.FormatInt(d.UserID, 10)})
	}
	if d.LastAction != nil {
		facts = append(facts, [2]string{"Last action", fmt.Sprintf("%s, %s ago: %s", d.LastAction.Reason, age(d.LastAction.At, now), d.LastAction.Message)})
	}
	if d.Tokens != nil {
		facts = append(facts, [2]string{"Tokens", tokenLife(d.Tokens, now)})
	}
	if mu.Generation != mu.Status.ObservedGeneration {
		facts = append(facts, [2]string{"Spec", fmt.Sprintf("generation %d, of which the operator has dealt with %d", mu.Generation, max(mu.Status.ObservedGeneration, 0))})
	}
	for _, fact := range facts {
		s.paragraph(fmt.Sprintf("%-14s", fact[0]+":"), "              ", fact[1])
	}
	s.printf("\n")
	s.printConditions("Now", d.Conditions, remedyNow(mu))
	s.printDrift(d)
	for _, note := range d.Notes {
		s.paragraph("Note: ", "      ", note)
	}
}

// tokenLife says how long published tokens live.
func tokenLife(t *v1alpha1.TokensStatus, now time.Time) string {
	left := func(end metav1.Time) string {
		if !end.After(now) {
			return "ended"
		}
		return "ends in " + duration.HumanDuration(end.Sub(now))
	}
	return fmt.Sprintf("in Secret %s; access token %s, refresh token %s", t.SecretName, left(t.AccessTokenExpiresAt), left(t.RefreshTokenExpiresAt))
}

func (s *session) printDrift(d *detail) {
	switch {
	case d.DriftUnknown != "":
		s.paragraph("Drift: ", "       ", "not known, since "+d.DriftUnknown+".")
		return
	case len(d.Drift) == 0 && d.DriftFrom == fromCalCom:
		s.printf("Drift: none; Cal.com was asked just now.\n")
		return
	case len(d.Drift) == 0:
		s.printf("Drift: none, by what the operator saw last (status.user).\n")
		return
	}
	s.printf("Drift:\n")
	for i := range d.Drift {
		c := &d.Drift[i]
		spec, is := shown(c.To), shown(c.From)
		if c.To == nil {
			spec = "(not in the spec)"
		}
		s.printf("  %s\n", c.Field)
		s.paragraph("    spec:    ", "             ", spec)
		s.paragraph("    "+map[bool]string{true: "Cal.com: ", false: "status:  "}[d.DriftFrom == fromCalCom], "             ", is)
	}
}
