// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package handover leads users out of a cluster without a loss: Move hands them over to the operator of another
// cluster, Drain lets go of them. Every step is one write, made only if what is found allows it, and what there is to
// do next follows from what is found: in the clusters, and in Cal.com. So both can be killed at any moment, and started
// again they go on.
package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// Cluster is a cluster and what is to be known of the operator in it.
type Cluster struct {
	// Client reads from the API server itself.
	client.Client
	// OwnerID begins the marks of the cluster's users.
	OwnerID string
	// Name is what messages call the cluster.
	Name string
	// Patience is how long the operator may take for what it is waited for.
	Patience time.Duration
}

// Remote is the way to Cal.com for the users of one OAuth client.
type Remote interface {
	// User returns the user with an id.
	User(ctx context.Context, id int64) (calcom.User, error)
	// UpdateUser changes a user and returns it as it is then.
	UpdateUser(ctx context.Context, id int64, update calcom.UserFields) (calcom.User, error)
}

// RefusedError is a reason not to touch a user: it is and stays as it was found.
type RefusedError struct {
	// Reason is what was found, and Remedy what to do about it.
	Reason, Remedy string
}

// Error returns reason and remedy.
func (r *RefusedError) Error() string { return r.Reason + "; " + r.Remedy }

func refuse(remedy, format string, args ...any) error {
	return &RefusedError{Reason: fmt.Sprintf(format, args...), Remedy: remedy}
}

// ErrPatience is the error of an operator that does not do what it is waited for.
var ErrPatience = errors.New("the operator did nothing within the time")

// record is the value of the annotation that stands on an object while it is handed over.
type record struct {
	// To is the owner id of the cluster that the object is moved to, and ToNamespace its namespace there.
	To          string `json:"to,omitempty"`
	ToNamespace string `json:"toNamespace,omitempty"`
	// From is the owner id of the cluster that the object comes from.
	From string `json:"from,omitempty"`
	// ReconcilePolicy as it stood in the spec, and DeletionPolicy as it was in force: see policiesOf.
	ReconcilePolicy v1alpha1.ReconcilePolicy `json:"reconcilePolicy,omitempty"`
	DeletionPolicy  v1alpha1.DeletionPolicy  `json:"deletionPolicy,omitempty"`
	// UserID of the user that is handed over; 0 without one. The operator does not take it over before its turn comes,
	// and if the move is turned round before that, nothing else tells that the user may be marked as this object's.
	UserID int64 `json:"userID,omitempty"`
}

// policiesOf returns the record of an object with which nothing was done yet. Of an object without a user, the
// deletionPolicy is that of the spec: which one it would have is not decided before it creates or adopts one.
func policiesOf(mu *v1alpha1.ManagedUser) record {
	r := record{ReconcilePolicy: mu.Spec.ReconcilePolicy, DeletionPolicy: mu.Spec.DeletionPolicy}
	r.UserID, _ = manageduser.UserIDOf(mu)
	if manageduser.HasFinalizer(mu) {
		r.DeletionPolicy = manageduser.DeletionPolicyInForce(mu)
	}
	return r
}

// userOf returns the id of the user that an object stands for, 0 without one.
func userOf(mu *v1alpha1.ManagedUser) int64 {
	if id, _ := manageduser.UserIDOf(mu); id != 0 {
		return id
	}
	r, _ := recordOf(mu)
	return r.UserID
}

// recordOf returns an object's record; false without one that can be read.
func recordOf(mu *v1alpha1.ManagedUser) (r record, ok bool) {
	value, ok := mu.Annotations[v1alpha1.HandoverAnnotation]
	return r, ok && json.Unmarshal([]byte(value), &r) == nil
}

func (r record) put(mu *v1alpha1.ManagedUser) {
	value, err := json.Marshal(r)
	if err != nil { // Not possible for these fields.
		panic(err)
	}
	if mu.Annotations == nil {
		mu.Annotations = make(map[string]string, 1)
	}
	mu.Annotations[v1alpha1.HandoverAnnotation] = string(value)
}

// change writes a change of an object, if it is one, and takes over the answer. The write is locked: what it was
// decided by is what there is. After a conflict the change is decided anew by the object as it is then.
func (c Cluster) change(ctx context.Context, mu *v1alpha1.ManagedUser, decide func(*v1alpha1.ManagedUser) error) error {
	first := true
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if !first {
			uid := mu.UID
			if err := c.Get(ctx, client.ObjectKeyFromObject(mu), mu); err != nil {
				return err
			}
			if mu.UID != uid {
				return refuse("start again", "%s was deleted and made anew meanwhile", mu.Name)
			}
		}
		first = false
		changed := mu.DeepCopy()
		if err := decide(changed); err != nil {
			return err
		}
		if equality.Semantic.DeepEqual(changed, mu) {
			return nil
		}
		patch := client.MergeFromWithOptions(mu.DeepCopy(), client.MergeFromWithOptimisticLock{})
		if err := c.Patch(ctx, changed, patch); err != nil {
			return err
		}
		*mu = *changed
		return nil
	})
}

// pause is the time between two looks at an object that is waited for. An operator answers in a fraction of a second.
const pause = 100 * time.Millisecond

// await reads an object until it is as it has to be.
func (c Cluster) await(ctx context.Context, mu *v1alpha1.ManagedUser, what string, holds func(*v1alpha1.ManagedUser) bool) error {
	key := client.ObjectKeyFromObject(mu)
	err := wait.PollUntilContextTimeout(ctx, pause, c.Patience, true, func(ctx context.Context) (bool, error) {
		if err := c.Get(ctx, key, mu); err != nil {
			return false, err
		}
		return holds(mu), nil
	})
	return c.impatient(ctx, err, what, lastWord(mu))
}

// awaitGone reads an object until it is not there.
func (c Cluster) awaitGone(ctx context.Context, mu *v1alpha1.ManagedUser) error {
	key, uid := client.ObjectKeyFromObject(mu), mu.UID
	err := wait.PollUntilContextTimeout(ctx, pause, c.Patience, true, func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, key, mu)
		return apierrors.IsNotFound(err) || err == nil && mu.UID != uid, client.IgnoreNotFound(err)
	})
	return c.impatient(ctx, err, "to let it go", lastWord(mu))
}

// impatient names what was waited for in vain.
func (c Cluster) impatient(ctx context.Context, err error, what, last string) error {
	if err == nil || ctx.Err() != nil || !wait.Interrupted(err) {
		return err
	}
	return fmt.Errorf("waiting for the operator in %s %s: %w of %v%s", c.Name, what, ErrPatience, c.Patience, last)
}

// lastWord is what the operator says of an object.
func lastWord(mu *v1alpha1.ManagedUser) string {
	ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return ", and has said nothing of the object yet"
	}
	return fmt.Sprintf(" (%s: %s)", ready.Reason, ready.Message)
}

// isSuspended reports whether the operator has seen that it is to do nothing. It works on an object once at a time, so
// what it had begun before is finished.
func isSuspended(mu *v1alpha1.ManagedUser) bool {
	return mu.Spec.ReconcilePolicy == v1alpha1.ReconcilePolicySuspend && isObserved(mu)
}

// isObserved reports whether the operator has dealt with the policy as it stands.
func isObserved(mu *v1alpha1.ManagedUser) bool {
	ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.ObservedGeneration == mu.Generation &&
		(ready.Reason == v1alpha1.ReasonSuspended) == (mu.Spec.ReconcilePolicy == v1alpha1.ReconcilePolicySuspend)
}

func manages(policy v1alpha1.ReconcilePolicy) bool {
	return policy == "" || policy == v1alpha1.ReconcilePolicyManage
}
