// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

func newSuspendCommand(s *session) *cobra.Command {
	var o waiting
	cmd := &cobra.Command{
		Use:   "suspend NAME... | --all | -A | -l SELECTOR",
		Short: "Have the operator keep its hands off users",
		Long: `Have the operator keep its hands off users, and wait until it says so.

It sets reconcilePolicy to Suspend: nothing is compared or changed in Cal.com,
tokens are not renewed, and a deletion waits. What the policy was before is kept
in an annotation for kubectl calcom resume.

A GitOps tool that manages the objects sets the policy back to what stands in
Git; suspend there instead.`,
		Example: `  # Keep everything as it is while somebody works in Cal.com by hand
  kubectl calcom suspend --all -n team-a
  kubectl calcom resume --all -n team-a`,
		ValidArgsFunction: s.completeUsers,
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.setPolicy(cmd.Context(), &o, args, policyChange{
				dry: "suspend", doing: "Suspending", done: "Suspended", change: suspend,
				isDone: saysSuspended,
				isWell: saysSuspended,
			})
		},
	}
	o.addFlags(cmd)
	return cmd
}

func newResumeCommand(s *session) *cobra.Command {
	var o waiting
	cmd := &cobra.Command{
		Use:   "resume NAME... | --all | -A | -l SELECTOR",
		Short: "Have the operator go on with suspended users",
		Long: `Have the operator go on with suspended users, and wait for what it finds. What
changed in Cal.com meanwhile is set back to the spec.

The reconcilePolicy becomes what it was before kubectl calcom suspend, and is
removed, which is the same as Manage, where nobody knows. Users that are not
suspended are left alone. The exit code is 2 when a user is not Ready
afterwards.`,
		Example: `  kubectl calcom resume alice
  kubectl calcom resume --all -n team-a`,
		ValidArgsFunction: s.completeUsers,
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.setPolicy(cmd.Context(), &o, args, policyChange{
				dry: "resume", doing: "Resuming", done: "Resumed", change: resume,
				isDone: isSettled,
				isWell: func(mu *v1alpha1.ManagedUser) bool { _, ready := statusOf(mu); return ready.isReady() },
			})
		},
	}
	o.addFlags(cmd)
	return cmd
}

// policyChange is what suspend and resume do.
type policyChange struct {
	dry, doing, done string
	// change changes an object in memory.
	change func(*v1alpha1.ManagedUser)
	// isDone reports whether the operator has come to an end with an object, and isWell whether it is a good one.
	isDone, isWell func(*v1alpha1.ManagedUser) bool
}

func (s *session) setPolicy(ctx context.Context, o *waiting, args []string, p policyChange) error {
	objects, err := s.objects(ctx, &o.selection, args)
	if err != nil {
		return err
	}
	if err := onlyUsers(objects); err != nil {
		return err
	}
	if o.dryRun {
		return s.sayOnly(p.dry, objects)
	}
	if o.wait {
		if _, err := s.requireOperator(ctx); err != nil {
			return err
		}
	}
	failed, err := s.each(ctx, p.doing, objects, func(ctx context.Context, object client.Object) error {
		return s.writePolicy(ctx, &p, object)
	})
	if err == nil {
		err = failures(failed, len(objects), "start it again for those")
	}
	if err != nil || !o.wait {
		return err
	}
	asUser := func(holds func(*v1alpha1.ManagedUser) bool) func(client.Object) bool {
		return func(object client.Object) bool {
			mu, ok := object.(*v1alpha1.ManagedUser)
			return ok && holds(mu)
		}
	}
	late, err := s.await(ctx, "Waiting for the operator", objects, o.timeout, asUser(p.isDone))
	if err != nil {
		return err
	}
	return s.outcome(objects, late, o, p.done, asUser(p.isWell))
}

// onlyUsers returns an error for what is no managed user.
func onlyUsers(objects []client.Object) error {
	for _, object := range objects {
		if _, ok := object.(*v1alpha1.ManagedUser); !ok {
			return complain(nameOf(object)+" has no reconcilePolicy", "name managed users")
		}
	}
	return nil
}

// writePolicy writes a change, locked: it depends on the policy that it replaces. Whoever wrote at the same moment goes
// first.
func (s *session) writePolicy(ctx context.Context, p *policyChange, object client.Object) error {
	c, err := s.kube()
	if err != nil {
		return err
	}
	mu, ok := object.(*v1alpha1.ManagedUser)
	if !ok {
		return fmt.Errorf("%T is no managed user", object)
	}
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if _, moving := mu.Annotations[v1alpha1.HandoverAnnotation]; moving {
			return complain("it is being moved or drained, which has its own use of reconcilePolicy", "end that first, by kubectl calcom move or drain")
		}
		was := mu.DeepCopy()
		p.change(mu)
		err := c.Patch(ctx, mu, client.MergeFromWithOptions(was, client.MergeFromWithOptimisticLock{}))
		if apierrors.IsConflict(err) {
			err = errors.Join(err, c.Get(ctx, client.ObjectKeyFromObject(mu), mu))
		}
		return err
	})
}

func suspend(mu *v1alpha1.ManagedUser) {
	if mu.Spec.ReconcilePolicy == v1alpha1.ReconcilePolicySuspend {
		return
	}
	if mu.Annotations == nil {
		mu.Annotations = make(map[string]string, 1)
	}
	mu.Annotations[v1alpha1.SuspendedAnnotation] = string(mu.Spec.ReconcilePolicy)
	mu.Spec.ReconcilePolicy = v1alpha1.ReconcilePolicySuspend
}

func resume(mu *v1alpha1.ManagedUser) {
	if mu.Spec.ReconcilePolicy == v1alpha1.ReconcilePolicySuspend {
		mu.Spec.ReconcilePolicy = v1alpha1.ReconcilePolicy(mu.Annotations[v1alpha1.SuspendedAnnotation])
	}
	delete(mu.Annotations, v1alpha1.SuspendedAnnotation)
}

// saysSuspended reports whether the operator says, of the object as it is, that it is suspended.
func saysSuspended(mu *v1alpha1.ManagedUser) bool {
	_, ready := statusOf(mu)
	return ready.Condition != nil && ready.Reason == v1alpha1.ReasonSuspended && ready.ObservedGeneration == mu.Generation
}

// isSettled reports whether the operator has dealt with the object as it is and waits for nothing but a person.
func isSettled(mu *v1alpha1.ManagedUser) bool {
	_, ready := statusOf(mu)
	return mu.DeletionTimestamp != nil ||
		ready.Condition != nil && ready.ObservedGeneration == mu.Generation && mu.Status.ObservedGeneration == mu.Generation && ready.Reason != v1alpha1.ReasonSuspended
}
