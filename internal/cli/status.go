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
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/reasons"
)

// statusOptions are the flags of status.
type statusOptions struct {
	output

	all      bool
	selector string
	offline  bool
	quota    bool
}

func newStatus(s *session) *cobra.Command {
	o := &statusOptions{}
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show how users and their OAuth clients are, and what to do about those that are not well",
		Long: `Show how users and their OAuth clients are, and what to do about those that are
not well.

Without NAME, it shows a table of users, the remedies for what is wrong, and a
summary of each OAuth client with its quota and what the drift sweep found. It
makes no call to Cal.com, but with --quota, and shows no e-mail address.

With NAME, it shows everything about one user: each condition, the remedy, how
Cal.com differs from the spec, field by field, what the operator did last and
how long the tokens live. The comparison takes one call to Cal.com where the
Secret with the secret key may be read; with --offline, or where it may not,
the spec is compared with what the operator saw last.`,
		Example: `  # All users of the current namespace
  kubectl calcom status

  # What is wrong in the whole cluster, for a program
  kubectl calcom status -A -o json | jq '.users[] | select(.ready != "True")'

  # Everything about alice
  kubectl calcom status alice`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return complain(fmt.Sprintf("there are %d arguments", len(args)), "give one NAME, or none for all users")
			}
			if len(args) == 1 && (o.all || o.selector != "") {
				return complain("NAME is one user, and --all-namespaces and --selector are for many", "leave one of them out")
			}
			return nil
		},
		ValidArgsFunction: s.completeUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return s.statusOfOne(cmd.Context(), args[0], o)
			}
			return s.statusOfMany(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	o.addFlag(flags)
	flags.BoolVarP(&o.all, "all-namespaces", "A", false, "users of all namespaces")
	flags.StringVarP(&o.selector, "selector", "l", "", "only users with these labels, as team=a")
	flags.BoolVar(&o.quota, "quota", false, "ask Cal.com, by one call for each OAuth client, how much of its quota is used at the moment")
	flags.BoolVar(&o.offline, "offline", false, "make no call to Cal.com")
	return cmd
}

// overview is what status prints for programs.
type overview struct {
	Users   []userRow   `json:"users"`
	Clients []clientRow `json:"clients"`
}

// userRow is a user in a list: nothing of it is anybody's personal data.
type userRow struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Ready is True, False or Unknown; Reason and Message are those of Ready.
	Ready   string `json:"ready"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Remedy says what to do; empty when there is nothing to do.
	Remedy string `json:"remedy,omitempty"`
	UserID int64  `json:"userID,omitempty"`
	// Client is the OAuth client, as kind/name or as an id.
	Client string    `json:"client"`
	Since  time.Time `json:"since,omitzero"`
	Age    string    `json:"-"`
}

// clientRow is an OAuth client: users that refer to none are counted by the id that they name.
type clientRow struct {
	Namespace string `json:"namespace,omitempty"`
	Client    string `json:"client"`
	// Users are those that are shown, ReadyUsers those of them that are Ready.
	Users      int `json:"users"`
	ReadyUsers int `json:"readyUsers"`
	// Ready and Reason are the client's own; empty for one that has no object.
	Ready  string                `json:"ready,omitempty"`
	Reason string                `json:"reason,omitempty"`
	Remedy string                `json:"remedy,omitempty"`
	Quota  *v1alpha1.QuotaStatus `json:"quota,omitempty"`
	Sweep  *v1alpha1.SweepStatus `json:"sweep,omitempty"`
	// Use is the quota as Cal.com tells of it now, with --quota.
	Use *quotaUse `json:"use,omitempty"`

	found oauthClient
}

// quotaUse is how much of an OAuth client's quota is used, by whomever.
type quotaUse struct {
	// Limit of calls in 60 seconds, and how many of them were made.
	Limit int `json:"limit"`
	Used  int `json:"used"`
}

func (s *session) statusOfMany(ctx context.Context, o *statusOptions) error {
	users, clients, err := s.listAll(ctx, o)
	if err != nil {
		return err
	}
	now := time.Now()
	view := &overview{Users: []userRow{}, Clients: []clientRow{}}
	for i := range users {
		view.Users = append(view.Users, newUserRow(&users[i], now))
	}
	view.Clients = append(view.Clients, summarize(view.Users, clients)...)
	if o.quota {
		s.askQuotas(ctx, view.Clients)
	}
	s.warn(ctx, users)
	if printed, err := o.print(s.Out, view); printed || err != nil {
		return err
	}
	return s.printOverview(view, o.all)
}

// warn says why conditions of users may be old.
func (s *session) warn(ctx context.Context, users []v1alpha1.ManagedUser) {
	config, err := s.settings(ctx)
	if err != nil {
		return // The conditions are shown all the same; nothing else depends on the operator.
	}
	var namespaces []string
	for i := range users {
		namespaces = append(namespaces, users[i].Namespace)
	}
	slices.Sort(namespaces)
	for _, note := range s.cautions(ctx, config, slices.Compact(namespaces)...) {
		s.tell("Warning: %s", note)
	}
}

// listAll lists the users that are asked for, and the OAuth clients that they can refer to.
func (s *session) listAll(ctx context.Context, o *statusOptions) ([]v1alpha1.ManagedUser, []clientRow, error) {
	c, err := s.kube()
	if err != nil {
		return nil, nil, err
	}
	selector, err := labels.Parse(o.selector)
	if err != nil {
		return nil, nil, advise(fmt.Errorf("--selector=%s: %w", o.selector, err), "give labels as kubectl takes them, like team=a")
	}
	namespace := ""
	if !o.all {
		if namespace, err = s.namespace(); err != nil {
			return nil, nil, err
		}
	}
	var users v1alpha1.ManagedUserList
	if err := c.List(ctx, &users, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, nil, fmt.Errorf("listing users: %w", err)
	}
	clients, err := s.listClients(ctx, c, namespace, o.quota)
	return users.Items, clients, err
}

// listClients lists the OAuth clients of a namespace, or of all, and those of the cluster. To call these, their
// Secrets' namespace has to be known.
func (s *session) listClients(ctx context.Context, c client.Reader, namespace string, call bool) ([]clientRow, error) {
	var own v1alpha1.OAuthClientList
	if err := c.List(ctx, &own, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing OAuth clients: %w", err)
	}
	var rows []clientRow
	for i := range own.Items {
		o := &own.Items[i]
		rows = append(rows, newClientRow(v1alpha1.KindOAuthClient, o, &o.Status, oauthClient{credentials: o.Spec.OAuthClientCredentials, namespace: o.Namespace}))
	}
	var shared v1alpha1.ClusterOAuthClientList
	if err := c.List(ctx, &shared); err != nil {
		s.tell("Warning: ClusterOAuthClients are left out: %v", err) // They are of the cluster, and not everybody's to see.
	}
	at := ""
	if call && len(shared.Items) > 0 {
		operator, err := s.operator(ctx)
		if err != nil {
			return nil, err
		}
		at = operator.namespace
	}
	for i := range shared.Items {
		o := &shared.Items[i]
		rows = append(rows, newClientRow(v1alpha1.KindClusterOAuthClient, o, &o.Status, oauthClient{credentials: o.Spec.OAuthClientCredentials, namespace: at}))
	}
	return rows, nil
}

// askQuotas makes a call for each OAuth client, and takes what its answer says of the quota. Where that fails, the rest
// is shown all the same.
func (s *session) askQuotas(ctx context.Context, clients []clientRow) {
	for i := range clients {
		c := &clients[i]
		if c.found.ref == nil {
			continue
		}
		a, err := s.account(ctx, c.found)
		if err == nil {
			_, err = a.users(ctx, 1, 0)
		}
		if err != nil {
			s.tell("Warning: the quota of %s is not known: %s", c.Client, sentence(err))
			continue
		}
		if a.limit.Known {
			c.Use = &quotaUse{Limit: a.limit.Limit, Used: a.limit.Limit - a.limit.Remaining}
		}
	}
}

func newUserRow(mu *v1alpha1.ManagedUser, now time.Time) userRow {
	row := userRow{
		Namespace: mu.Namespace, Name: mu.Name, Ready: string(metav1.ConditionUnknown), Client: clientName(mu), Age: age(mu.CreationTimestamp.Time, now),
		Message: "The operator has not looked at it yet",
	}
	if mu.Status.User != nil {
		row.UserID = mu.Status.User.ID
	}
	if ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		row.Ready, row.Reason, row.Message, row.Since = string(ready.Status), ready.Reason, ready.Message, ready.LastTransitionTime.UTC()
		if ready.Status != metav1.ConditionTrue {
			row.Remedy = remedyNow(mu)(ready.Reason)
		}
	}
	return row
}

// remedyNow says what to do about a reason for which a user is not Ready. One that was left in the middle of being
// handed over is suspended for that, and resuming it by hand, the remedy otherwise, would get in the way.
func remedyNow(mu *v1alpha1.ManagedUser) func(reason string) string {
	if _, begun := mu.Annotations[v1alpha1.HandoverAnnotation]; begun {
		return func(string) string {
			return "It is being moved or drained. Should that have been interrupted, start the same kubectl calcom move or drain again; leave reconcilePolicy alone."
		}
	}
	return reasons.Remedy
}

// clientName names the OAuth client of a user.
func clientName(mu *v1alpha1.ManagedUser) string {
	switch {
	case mu.Spec.OAuthClientRef != nil:
		return strings.ToLower(kindOf(*mu.Spec.OAuthClientRef)) + "/" + mu.Spec.OAuthClientRef.Name
	case mu.Spec.OAuthClient != nil:
		return mu.Spec.OAuthClient.ID
	}
	return ""
}

func newClientRow(kind string, object client.Object, status *v1alpha1.OAuthClientStatus, found oauthClient) clientRow {
	found.ref = &v1alpha1.OAuthClientReference{Kind: kind, Name: object.GetName()}
	row := clientRow{
		found:     found,
		Namespace: object.GetNamespace(), Client: strings.ToLower(kind) + "/" + object.GetName(), Ready: string(metav1.ConditionUnknown),
		Quota: status.Quota, Sweep: status.Sweep,
	}
	if ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady); ready != nil {
		row.Ready, row.Reason = string(ready.Status), ready.Reason
		if ready.Status != metav1.ConditionTrue {
			row.Remedy = reasons.Remedy(ready.Reason)
		}
	}
	return row
}

// summarize counts users by their OAuth client.
func summarize(users []userRow, clients []clientRow) []clientRow {
	all := slices.Clone(clients)
	for _, user := range users {
		namespace := user.Namespace
		if strings.HasPrefix(user.Client, strings.ToLower(v1alpha1.KindClusterOAuthClient)+"/") {
			namespace = ""
		}
		at := slices.IndexFunc(all, func(c clientRow) bool { return c.Namespace == namespace && c.Client == user.Client })
		if at < 0 {
			at = len(all)
			all = append(all, clientRow{Namespace: namespace, Client: user.Client})
		}
		all[at].Users++
		if user.Ready == string(metav1.ConditionTrue) {
			all[at].ReadyUsers++
		}
	}
	return all
}
