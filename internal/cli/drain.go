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
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// drainOptions are the flags of drain.
type drainOptions struct {
	everywhere                bool
	client, selector          string
	inventory                 string
	clients, secrets          bool
	ignoreGitOps, yes, dryRun bool
	timeout                   time.Duration
}

func newDrainCommand(s *session) *cobra.Command {
	var o drainOptions
	cmd := &cobra.Command{
		Use:   "drain -n NAMESPACE | -A | --client CLIENT",
		Short: "Release all users without deleting anybody, before an uninstall",
		Long: `Release all users without deleting anybody, before the operator is uninstalled.

First an inventory is written: the manifests of all users, with their ids in
Cal.com. kubectl apply -f takes everybody back. It holds addresses, and no
secret.

Then each object gets deletionPolicy Orphan, is deleted, and let go of by the
operator, which takes its mark off the user where it can. A mark that stays does
no harm, but an operator with another owner id will not take over that user. At
the end, Cal.com is asked whose marks have stayed.

It can be interrupted at any moment and started again.

All of this takes a running operator. With --release-secrets nobody is released:
the finalizer platform.cal.com/in-use is taken off Secrets and OAuthClients that
no managed user needs, where no operator does it, since it is gone or does not
watch the namespace. Otherwise they and their namespace could not be deleted.`,
		Example: `  # What would be done
  kubectl calcom drain -A --dry-run

  # Everybody, and the OAuth clients as well; then nothing is left to lose
  kubectl calcom drain -A --clients
  kubectl delete -f dist/install.yaml

  # Everybody comes back
  kubectl apply -f calcom-inventory-20260105T100000Z.yaml

  # A namespace stays Terminating, and no operator works there
  kubectl calcom drain --release-secrets -n team-a`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.secrets {
				return s.releaseSecrets(cmd.Context(), &o)
			}
			return s.drain(cmd.Context(), &o)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.everywhere, "all-namespaces", "A", false, "all managed users of the cluster")
	flags.StringVar(&o.client, "client", "", "only users of this OAuth client: NAME of an OAuthClient, or clusteroauthclient/NAME")
	flags.StringVarP(&o.selector, "selector", "l", "", "only managed users with these labels, as for kubectl get")
	flags.StringVar(&o.inventory, "inventory", "", "file for the inventory, - for the standard output (default: calcom-inventory-TIME.yaml)")
	flags.BoolVar(&o.clients, "clients", false, "also delete the OAuthClients and ClusterOAuthClients that nobody uses then")
	flags.BoolVar(&o.secrets, "release-secrets", false, "only take the finalizer platform.cal.com/in-use off Secrets and OAuth clients that no managed user needs; takes no operator")
	flags.BoolVar(&o.ignoreGitOps, "ignore-gitops", false, "go on although a GitOps tool manages the objects")
	flags.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	flags.BoolVar(&o.dryRun, "dry-run", false, "only say what would be done; the inventory is not written")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Minute, "how long to wait for the operator, for each object")
	return cmd
}

func (s *session) drain(ctx context.Context, o *drainOptions) error {
	namespace, ref, err := s.scope(o)
	if err != nil {
		return err
	}
	users, err := s.drained(ctx, o, namespace, ref)
	if err != nil {
		return err
	}
	clients, err := s.drainedClients(ctx, o, namespace, ref)
	if err != nil {
		return err
	}
	if len(users)+len(clients) == 0 {
		s.printf("There is nothing to drain\n")
		return nil
	}
	c, err := s.kube()
	if err != nil {
		return err
	}
	d := &handover.Drain{Cluster: handover.Cluster{Client: c, Name: "this cluster", Patience: o.timeout}}
	if err := s.checkDrain(ctx, o, d, users); err != nil {
		return err
	}
	if o.dryRun {
		return errors.Join(s.sayOnly("release", users), s.sayOnly("delete", clients))
	}
	return s.release(ctx, o, d, users, clients)
}

// release writes the inventory, releases the users, and deletes the OAuth clients.
func (s *session) release(ctx context.Context, o *drainOptions, d *handover.Drain, users, clients []client.Object) error {
	operator, err := s.requireOperator(ctx)
	if err != nil {
		return withoutOperator(err)
	}
	if err := s.confirm(ctx, fmt.Sprintf("Release %d managed users? They stay in Cal.com.", len(users)), o.yes); err != nil {
		return err
	}
	if err := s.writeInventory(o.inventory, operator.ownerID, users, clients); err != nil {
		return err
	}
	needed := s.needs(ctx, users, o.everywhere)
	failed, err := s.each(ctx, "Releasing users", users, func(ctx context.Context, object client.Object) error {
		return explained(d.User(ctx, client.ObjectKeyFromObject(object)))
	})
	if err != nil {
		return err
	}
	s.printf("Released %d of %d managed users; all stay in Cal.com\n", len(users)-failed, len(users))
	s.tellMarks(ctx, operator, users)
	if err := failures(failed, len(users), "start it again for those"); err != nil {
		return err
	}
	if err := s.deleteClients(ctx, o, clients); err != nil || o.selector != "" {
		return err
	}
	return s.awaitReleased(ctx, needed)
}

// scope returns the namespace that the command is about, empty for all, and the OAuth client, nil for all.
func (s *session) scope(o *drainOptions) (namespace string, ref *v1alpha1.OAuthClientReference, err error) {
	everywhere := o.everywhere
	if o.client != "" {
		named, err := parseClient(o.client)
		if err != nil {
			return "", nil, err
		}
		ref, everywhere = &named, everywhere || kindOf(named) == v1alpha1.KindClusterOAuthClient
	} else if !everywhere && *s.flags.Namespace == "" {
		return "", nil, complain("nothing says whom to release", "name a namespace by -n, or give -A for the whole cluster, or --client")
	}
	if !everywhere {
		namespace, err = s.namespace()
	}
	return namespace, ref, err
}

// drained returns the users that are to be released.
func (s *session) drained(ctx context.Context, o *drainOptions, namespace string, ref *v1alpha1.OAuthClientReference) (users []client.Object, err error) {
	c, err := s.kube()
	if err != nil {
		return nil, err
	}
	found, err := listUsers(ctx, c, namespace, o.selector)
	if err != nil {
		return nil, err
	}
	for i := range found {
		of := found[i].Spec.OAuthClientRef
		if ref == nil || of != nil && of.Name == ref.Name && kindOf(*of) == kindOf(*ref) {
			users = append(users, &found[i])
		}
	}
	return users, nil
}

// drainedClients returns the OAuth clients that go with --clients.
func (s *session) drainedClients(ctx context.Context, o *drainOptions, namespace string, ref *v1alpha1.OAuthClientReference) (clients []client.Object, err error) {
	if !o.clients {
		return nil, nil
	}
	if o.selector != "" {
		return nil, complain("--clients and -l exclude each other", "drain the users first, and then delete the OAuth clients that nobody needs")
	}
	c, err := s.kube()
	if err != nil {
		return nil, err
	}
	all, err := listClients(ctx, c, namespace)
	if err != nil {
		return nil, err
	}
	for _, object := range all {
		_, shared := object.(*v1alpha1.ClusterOAuthClient)
		if ref == nil || object.GetName() == ref.Name && shared == (kindOf(*ref) == v1alpha1.KindClusterOAuthClient) {
			clients = append(clients, object)
		}
	}
	return clients, nil
}

// listClients returns the OAuth clients of a namespace, or of all when it is empty, and then those of the cluster too.
func listClients(ctx context.Context, c client.Reader, namespace string) (all []client.Object, err error) {
	var clients v1alpha1.OAuthClientList
	if err := c.List(ctx, &clients, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing OAuth clients: %w", err)
	}
	for i := range clients.Items {
		all = append(all, &clients.Items[i])
	}
	if namespace != "" {
		return all, nil
	}
	var shared v1alpha1.ClusterOAuthClientList
	if err := c.List(ctx, &shared); err != nil && !apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("listing OAuth clients: %w", err)
	}
	for i := range shared.Items {
		all = append(all, &shared.Items[i])
	}
	return all, nil
}

// checkDrain finds what would keep the users from being released, before anything is written.
func (s *session) checkDrain(ctx context.Context, o *drainOptions, d *handover.Drain, users []client.Object) error {
	if err := refuseManaged(users); err != nil && !o.ignoreGitOps {
		return err
	}
	refused := 0
	for _, object := range users {
		mu, ok := object.(*v1alpha1.ManagedUser)
		if !ok {
			continue
		}
		err := d.Check(ctx, mu)
		if _, ok := errors.AsType[*handover.RefusedError](err); ok {
			s.tell("%s cannot be released: %s", nameOf(object), sentence(explained(err)))
			refused++
			continue
		}
		if err != nil {
			return fmt.Errorf("checking %s: %w", nameOf(object), err)
		}
	}
	if refused > 0 {
		return complain(fmt.Sprintf("%d of %d managed users cannot be released, as told above, and nothing was written", refused, len(users)), "mend that first, or leave them out by -l")
	}
	return nil
}

// withoutOperator adds to an operator that does not run what there is to do when it never will again.
func withoutOperator(err error) error {
	if _, ok := errors.AsType[advised](err); !ok {
		return err
	}
	return complain(err.Error(), remedyFor(err)+". Should it be gone for good, the objects' finalizers can be taken off by hand; "+
		"nobody is deleted in Cal.com by that, and the marks stay: kubectl patch manageduser NAME --type=merge -p '{\"metadata\":{\"finalizers\":null}}'. "+
		"Delete these objects, and then kubectl calcom drain --release-secrets frees the Secrets and OAuthClients")
}

// deleteClients deletes OAuth clients, and waits until they are gone.
func (s *session) deleteClients(ctx context.Context, o *drainOptions, clients []client.Object) error {
	c, err := s.kube()
	if err != nil || len(clients) == 0 {
		return err
	}
	failed, err := s.each(ctx, "Deleting OAuth clients", clients, func(ctx context.Context, object client.Object) error {
		return client.IgnoreNotFound(c.Delete(ctx, object))
	})
	if err != nil {
		return err
	}
	if err := failures(failed, len(clients), "start it again for those"); err != nil {
		return err
	}
	late, err := s.awaitGone(ctx, clients, o.timeout)
	if err != nil {
		return err
	}
	for _, object := range late {
		s.tell("%s is still there: users that were not drained need it", nameOf(object))
	}
	s.printf("Deleted %d of %d OAuth clients\n", len(clients)-len(late), len(clients))
	return failures(len(late), len(clients), "drain the others too")
}

// awaitGone waits until objects are not there any more, and returns those that are.
func (s *session) awaitGone(ctx context.Context, objects []client.Object, within time.Duration) ([]client.Object, error) {
	c, err := s.kube()
	if err != nil {
		return nil, err
	}
	const soon = 30 * time.Second // The operator lets go of what nobody needs within seconds.
	return s.await(ctx, "Waiting for their end", objects, min(within, soon), func(object client.Object) bool {
		return apierrors.IsNotFound(c.Get(ctx, client.ObjectKeyFromObject(object), object))
	})
}

// isOwner reports whether an object stood for a user in Cal.com.
func isOwner(object client.Object) (*v1alpha1.ManagedUser, bool) {
	mu, ok := object.(*v1alpha1.ManagedUser)
	if !ok {
		return nil, false
	}
	id, _ := manageduser.UserIDOf(mu)
	return mu, id != 0
}
