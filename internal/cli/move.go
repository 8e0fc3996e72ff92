// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/handover"
)

// moveOptions are the flags of move.
type moveOptions struct {
	selection
	toContext, toKubeconfig, toNamespace, toOwnerID, toOperatorNamespace string
	withClients, withSecrets                                             bool
	ignoreGitOps, yes, dryRun                                            bool
	timeout                                                              time.Duration
}

func newMoveCommand(s *session) *cobra.Command {
	var o moveOptions
	cmd := &cobra.Command{
		Use:                   "move NAME... | --all | -A | -l SELECTOR --to-context CONTEXT",
		DisableFlagsInUseLine: true,
		Short:                 "Hand users over to the operator of another cluster",
		Long: `Hand users over to the operator of another cluster. Nobody is deleted, nobody is
made twice, and at no moment two operators may write to the same user:

  1. here, the object is suspended, and its operator says so
  2. there, the object is made, suspended, and its operator says so
  3. in Cal.com, the user gets the mark of the object there
  4. there, the object is resumed, and its operator takes the user over
  5. here, the object is deleted, and the user stays in Cal.com

It can be interrupted at any moment. Started again, it goes on; started in the
other direction, it goes back. A user that cannot be handed over stays as it is.

The OAuth clients have to exist there under the same names, with the same ids,
and be Ready. --with-clients makes those that are missing, and --with-secrets
copies the Secrets with their keys. The object there gets the user's id (userID)
and the deletionPolicy that was in force here.

Tokens (spec.tokens) are published anew there, which ends those that were
published here: have the applications read the Secret there.`,
		Example: `  # What would be done
  kubectl calcom move --all -n team-a --to-context new --dry-run

  # One user to begin with, and then all of the cluster
  kubectl calcom move alice -n team-a --to-context new \
    --with-clients --with-secrets
  kubectl calcom move -A --to-context new`,
		ValidArgsFunction: s.completeUsers,
		RunE:              func(cmd *cobra.Command, args []string) error { return s.move(cmd.Context(), &o, args) },
	}
	o.addFlags(cmd)
	return cmd
}

func (o *moveOptions) addFlags(cmd *cobra.Command) {
	o.selection.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.toContext, "to-context", "", "context of the kubeconfig that leads to the other cluster")
	flags.StringVar(&o.toKubeconfig, "to-kubeconfig", "", "kubeconfig of the other cluster, if it is not this one's")
	flags.StringVar(&o.toNamespace, "to-namespace", "", "namespace there; the same as here when empty")
	flags.StringVar(&o.toOwnerID, "to-owner-id", "", "--owner-id of the operator there; found out when empty")
	flags.StringVar(&o.toOperatorNamespace, "to-operator-namespace", "", "namespace of the operator there; found out when empty")
	flags.BoolVar(&o.withClients, "with-clients", false, "make OAuth clients there that are missing")
	flags.BoolVar(&o.withSecrets, "with-secrets", false, "copy the Secrets of OAuth clients that are missing there")
	flags.BoolVar(&o.ignoreGitOps, "ignore-gitops", false, "go on although a GitOps tool manages the objects here")
	flags.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	flags.BoolVar(&o.dryRun, "dry-run", false, "check all that can be checked, and only say what would be done")
	flags.DurationVar(&o.timeout, "timeout", 2*time.Minute, "how long to wait for an operator, each time")
}

func (s *session) move(ctx context.Context, o *moveOptions, args []string) error {
	if err := errors.Join(o.selection.check(args), o.check()); err != nil {
		return err
	}
	there, err := s.other(o)
	if err != nil {
		return err
	}
	m, err := s.newMove(ctx, o, there)
	if err != nil {
		return err
	}
	clients := &clientMove{
		here: s, there: there, ownerHere: m.Here.OwnerID, namespaceThere: m.NamespaceThere,
		withClients: o.withClients, withSecrets: o.withSecrets, dryRun: true, quiet: !o.dryRun, timeout: o.timeout,
	}
	can, of, err := s.toMove(ctx, o, m, clients, args)
	if err != nil {
		return err
	}
	if o.dryRun {
		s.tell("Each user is suspended here, made there, marked as the other cluster's in Cal.com, taken over there, and let go of here. Nothing is written now.")
		return errors.Join(s.sayOnly("move", can), failures(of-len(can), of, ""))
	}
	if err := s.confirm(ctx, fmt.Sprintf("Move %d managed users from %s to %s?%s", len(can), m.Here.Name, m.There.Name, s.estimate(len(can))), o.yes); err != nil {
		return err
	}
	if clients.dryRun = false; o.withClients || o.withSecrets {
		if err := clients.prepare(ctx, can); err != nil {
			return err
		}
	}
	return s.moveAll(ctx, m, there, can, of)
}

// moveAll moves users, and tells what became of them.
func (s *session) moveAll(ctx context.Context, m *handover.Move, there *session, can []client.Object, of int) error {
	failed, err := s.each(ctx, "Moving users", can, func(ctx context.Context, object client.Object) error {
		return explained(m.User(ctx, client.ObjectKeyFromObject(object)))
	})
	if err != nil {
		return err
	}
	s.printf("Moved %d of %d managed users\n", len(can)-failed, of)
	if err := there.tellUnready(ctx, m, can); err != nil {
		return err
	}
	return failures(failed+of-len(can), of, "start it again for those; it goes on from where it stopped")
}

// toMove returns the users that can be moved, for whom all that they need is there or may be made, and of how many. Of
// the others it has told why.
func (s *session) toMove(ctx context.Context, o *moveOptions, m *handover.Move, clients *clientMove, args []string) (can []client.Object, of int, err error) {
	objects, err := s.moving(ctx, o, m, args)
	if err != nil {
		return nil, 0, err
	}
	if err := o.checkObjects(objects); err != nil {
		return nil, 0, err
	}
	if can, err = s.movable(ctx, o, m, objects); err != nil {
		return nil, 0, err
	}
	if len(can) == 0 {
		return nil, 0, failures(len(objects), len(objects), "mend that first")
	}
	return can, len(objects), clients.prepare(ctx, can)
}

// check returns what is wrong with the command line.
func (o *moveOptions) check() error {
	if o.toContext == "" && o.toKubeconfig == "" {
		return complain("nothing says where to", "name the other cluster by --to-context, --to-kubeconfig, or both")
	}
	return nil
}

// checkObjects returns what is wrong with what is named.
func (o *moveOptions) checkObjects(objects []client.Object) error {
	for _, object := range objects {
		if _, ok := object.(*v1alpha1.ManagedUser); !ok {
			return complain(nameOf(object)+" is no managed user", "name users; OAuth clients go along by --with-clients")
		}
		if o.toNamespace != "" && object.GetNamespace() != objects[0].GetNamespace() {
			return complain("--to-namespace would mix the users of several namespaces", "move one namespace after the other")
		}
	}
	return nil
}

// moving returns what the command is about: what is selected here, and what is in the middle of a move from there to
// here and has not come.
func (s *session) moving(ctx context.Context, o *moveOptions, m *handover.Move, args []string) ([]client.Object, error) {
	if o.named() {
		var objects []client.Object
		for _, arg := range args {
			found, err := s.objects(ctx, &o.selection, []string{arg})
			if apierrors.IsNotFound(err) {
				found, err = s.coming(ctx, o, m, arg)
			}
			if err != nil {
				return nil, err
			}
			objects = append(objects, found...)
		}
		return objects, nil
	}
	coming, err := s.coming(ctx, o, m, "")
	if err != nil {
		return nil, err
	}
	objects, err := s.objects(ctx, &o.selection, args)
	if err != nil && len(coming) == 0 {
		return nil, err
	}
	known := make(map[client.ObjectKey]bool, len(objects))
	for _, object := range objects {
		known[client.ObjectKeyFromObject(object)] = true
	}
	for _, object := range coming {
		if !known[client.ObjectKeyFromObject(object)] {
			objects = append(objects, object)
		}
	}
	return objects, nil
}

// coming returns the users there, or the one that is named, that are in the middle of a move to here, as they would be
// here.
func (s *session) coming(ctx context.Context, o *moveOptions, m *handover.Move, name string) ([]client.Object, error) {
	namespace := ""
	var err error
	if !o.everywhere {
		if namespace, err = s.namespace(); err != nil {
			return nil, err
		}
	}
	inThere := namespace
	if m.NamespaceThere != nil {
		inThere = m.NamespaceThere(namespace)
	}
	users, err := listUsers(ctx, m.There, inThere, o.selector)
	if err != nil {
		return nil, fmt.Errorf("the other cluster: %w", err)
	}
	var objects []client.Object
	for i := range users {
		if mu := &users[i]; handover.Comes(mu, m.Here.OwnerID) && (name == "" || mu.Name == name) {
			if namespace != "" {
				mu.Namespace = namespace
			}
			objects = append(objects, mu)
		}
	}
	if name != "" && len(objects) == 0 {
		return nil, complain(fmt.Sprintf("there is no managed user %s in namespace %s", name, namespace), "see kubectl get managedusers -A")
	}
	return objects, nil
}

// movable tells which users cannot be moved, and returns the others.
func (s *session) movable(ctx context.Context, o *moveOptions, m *handover.Move, objects []client.Object) ([]client.Object, error) {
	if err := refuseManaged(objects); err != nil && !o.ignoreGitOps {
		return nil, err
	}
	var can []client.Object
	for _, object := range objects {
		mu, ok := object.(*v1alpha1.ManagedUser)
		if !ok {
			continue
		}
		if handover.Comes(mu, m.Here.OwnerID) { // It only goes back.
			can = append(can, object)
			continue
		}
		err := m.Check(ctx, mu)
		if _, refused := errors.AsType[*handover.RefusedError](err); refused {
			s.tell("%s cannot be moved: %s", nameOf(object), sentence(explained(err)))
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("checking %s: %w", nameOf(object), err)
		}
		can = append(can, object)
	}
	return can, nil
}

// explained gives an error of a handover its remedy.
func explained(err error) error {
	if refusal, ok := errors.AsType[*handover.RefusedError](err); ok {
		return complain(refusal.Reason, refusal.Remedy)
	}
	if errors.Is(err, handover.ErrPatience) {
		return advise(err, "see that it runs and watches this namespace, and start again; it goes on from there")
	}
	return err
}

// callsPerUser is how many calls to Cal.com the move of a user takes, beside the operators' own.
const callsPerUser = 2

// estimate says how long calls for n users take, if it is worth a word.
func (s *session) estimate(n int) string {
	const limit = 500 // Cal.com's usual one, a minute.
	minutes := float64(n*callsPerUser) / (limit * s.share)
	if minutes < 2 {
		return ""
	}
	return fmt.Sprintf(" With %.0f %% of the quota (--rate-limit-share) that takes about %.0f minutes.", 100*s.share, minutes)
}

// tellUnready tells which of the moved users are not Ready there.
func (s *session) tellUnready(ctx context.Context, m *handover.Move, moved []client.Object) error {
	var there []client.Object
	for _, object := range moved {
		key := client.ObjectKeyFromObject(object)
		if m.NamespaceThere != nil {
			key.Namespace = m.NamespaceThere(key.Namespace)
		}
		there = append(there, &v1alpha1.ManagedUser{})
		there[len(there)-1].SetNamespace(key.Namespace)
		there[len(there)-1].SetName(key.Name)
	}
	c, err := s.kube()
	if err != nil {
		return err
	}
	if err := refresh(ctx, c, there); err != nil {
		return err
	}
	for _, object := range there {
		_, ready := statusOf(object)
		if ready.Condition != nil && !ready.isReady() && ready.Reason != v1alpha1.ReasonSuspended {
			s.tell("%s is %s there", nameOf(object), ready)
		}
	}
	return nil
}
