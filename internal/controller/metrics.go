// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/metrics"
	"github.com/calcom-operator/calcom-operator/internal/quota"
)

// scrapeTimeout bounds the reading of the cache at a scrape. It answers at once, but for the moments in which it is
// being filled.
const scrapeTimeout = time.Second

// Collectors returns the metrics that are read off the reconciler and its cache at each scrape. leading reports whether
// this replica is the one that works: each object is to be counted by one replica only.
func (r *ManagedUserReconciler) Collectors(ctx context.Context, leading func() bool) []prometheus.Collector {
	return []prometheus.Collector{
		metrics.NewQuotas(r.snapshots, r.clock.Now),
		metrics.NewSweeps(r.config.ResyncInterval, r.sweepFigures),
		metrics.NewTokens(func() (metrics.TokensOutlook, bool) { return r.tokens.outlook(r.clock.Now()), leading() }),
		metrics.NewUsers(func() ([]v1alpha1.ManagedUser, bool) {
			if !leading() {
				return nil, false
			}
			return r.allUsers(ctx)
		}, r.isOpen),
	}
}

func (r *ManagedUserReconciler) snapshots() []quota.Snapshot {
	quotas := r.Quotas()
	snapshots := make([]quota.Snapshot, len(quotas))
	for i := range quotas {
		snapshots[i] = quotas[i].Snapshot
	}
	return snapshots
}

func (r *ManagedUserReconciler) sweepFigures() []metrics.Sweep {
	sweeps := r.Sweeps()
	figures := make([]metrics.Sweep, len(sweeps))
	for i, s := range sweeps {
		figures[i] = metrics.Sweep{
			Since: s.Awaited, LastSuccess: s.Completed, Duration: s.Duration, Calls: s.Calls, Members: s.Members,
			Drifted: s.Drifted, Missing: s.Missing, Leaked: s.Leaked, HeldUp: s.LastError,
		}
	}
	return figures
}

// allUsers returns the objects in the cache, the cache's own and not to be written to, or false when it cannot be read.
func (r *ManagedUserReconciler) allUsers(ctx context.Context) ([]v1alpha1.ManagedUser, bool) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	var list v1alpha1.ManagedUserList
	err := r.client.List(ctx, &list, client.UnsafeDisableDeepCopy)
	return list.Items, err == nil
}

// beginning is how an object was when a visit began, as far as the metrics are concerned.
type beginning struct {
	// ready: its user was as it should be.
	ready bool
	// mirrored: a user stood in status.
	mirrored bool
	// handled: a spec was dealt with before.
	handled bool
	// unresolved: the outcome of a create call was unknown.
	unresolved bool
}

func (r *ManagedUserReconciler) beginningOf(mu *v1alpha1.ManagedUser) beginning {
	i, ok := manageduser.IntentOf(mu, r.clock.Now())
	return beginning{
		ready: isAvailable(mu), mirrored: mu.Status.User != nil, handled: mu.Status.ObservedGeneration != 0,
		unresolved: ok && !i.Settled(mu) && manageduser.HasFinalizer(mu),
	}
}

// isOpen reports whether a create call was sent for an object longer ago than it can take, and nothing tells what
// became of it. One that waits for a person, or is suspended, is not worked on.
func (r *ManagedUserReconciler) isOpen(mu *v1alpha1.ManagedUser) bool {
	conditions := mu.Status.Conditions
	if meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionSynced) || meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionStalled) ||
		mu.Spec.ReconcilePolicy == v1alpha1.ReconcilePolicySuspend || !manageduser.HasFinalizer(mu) {
		return false // Most; no record has to be read.
	}
	now := r.clock.Now()
	i, ok := manageduser.IntentOf(mu, now)
	return ok && !i.Settled(mu) && now.Sub(i.Time) > r.config.UnknownOutcomeGrace
}

func isAvailable(mu *v1alpha1.ManagedUser) bool {
	ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Status == metav1.ConditionTrue && ready.Reason == v1alpha1.ReasonAvailable
}

// resolve notes what became of a create call of unknown outcome, if there was one: its user was found, or not. The
// first verdict counts.
func (v *visit) resolve(found bool) {
	switch {
	case !v.began.unresolved || v.resolved != "":
	case found:
		v.resolved = metrics.ResolvedFound
	default:
		v.resolved = metrics.ResolvedAbsent
	}
}

// measureCreate notes how a create call ended. One that was refused leaves an earlier one's outcome as unknown as it
// was.
func (r *ManagedUserReconciler) measureCreate(v *visit, err error) {
	e, ok := errors.AsType[*calcom.Error](err)
	unknown := ok && e.OutcomeUnknown()
	if unknown {
		r.config.Metrics.CreateUnknown()
	}
	if v.began.unresolved && (err == nil || unknown) { // Else it would not have been sent.
		r.config.Metrics.CreateResolved(metrics.ResolvedAbsent)
		v.began.unresolved = false
	}
}

// measure counts what a visit came to. What will be found again, because the status could not be written, is left for
// then.
func (r *ManagedUserReconciler) measure(v *visit) {
	m := r.config.Metrics
	switch {
	case v.did == v1alpha1.ReasonDriftCorrected:
		m.DriftCorrected(metrics.DriftChanged)
	case v.did == v1alpha1.ReasonCreated && v.began.mirrored:
		m.DriftCorrected(metrics.DriftMissing)
	}
	if v.resolved != "" && (v.stored || v.released) {
		m.CreateResolved(v.resolved)
	}
	switch {
	case v.isFirstReady():
		m.Ready(r.clock.Since(v.mu.CreationTimestamp.Time))
	case v.hasLetGo():
		m.Deleted(r.clock.Since(v.mu.DeletionTimestamp.Time))
	}
}

// isFirstReady reports whether the object has become Ready, and cannot have been before. One that had a user and whose
// spec was dealt with can.
func (v *visit) isFirstReady() bool {
	return v.stored && isAvailable(v.mu) && !v.began.ready && (!v.began.mirrored || !v.began.handled)
}

// hasLetGo reports whether the deletion of an object that had the finalizer has come to its end.
func (v *visit) hasLetGo() bool {
	return v.released && !v.mu.DeletionTimestamp.IsZero() && manageduser.HasFinalizer(v.before)
}
