// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/metrics"
)

// visit is one reconcile of one object.
type visit struct {
	// mu is the object; its status is changed in memory along the way and written once, at the end.
	mu *v1alpha1.ManagedUser
	// before is the object as it was read, with the status that was written last.
	before *v1alpha1.ManagedUser
	// told are the conditions as they were read, whose reasons have had their events.
	told []metav1.Condition
	mark manageduser.Mark
	// needs is the metadata of what the user's deletion will need: the object that it refers to for its OAuth client,
	// if it does, and the credentials Secret. Set by connect.
	needs []*metav1.PartialObjectMetadata
	// cal is the way to Cal.com, once connect has found the credentials good.
	cal *session
	// account is whose quota and whose deletions count; set with cal.
	account account.Name
	// permit is the right to delete the user, until it is used.
	permit *permit
	// did is what was done in Cal.com: a reason of Synced and a sentence. Empty when nothing was.
	did, didNote string
	// demand is the number of the sweep's demand for a look; 0 if there is none.
	demand uint64
	// cut is how many calls the visit before lacked, if it was cut in two.
	cut int
	// evidence are the answers of Cal.com so far.
	evidence manageduser.Evidence
	// demanded is set when the renewal of tokens demands a comparison with Cal.com.
	demanded bool
	// rests is set when nothing has to be done, but for tokens.
	rests bool
	// seen is set when Cal.com showed the user in this visit, and it is the object's own.
	seen bool
	// tokens is what there was to do with tokens.
	tokens tokensVisit
	// released is set when the object has no finalizer any more and may be gone.
	released bool
	// again is when the object has to be reconciled again for what another writer removed, if not 0.
	again time.Duration
	// lifted is set when the conflict that Cal.com reported before may have ended.
	lifted bool
	// retried is set when the visit ends in a conflict, or with an object that has to be read again.
	retried bool
	// stored is whether the API server has the status as it is in memory.
	stored bool
	// began and resolved are for the metrics: how the object was at first, and what became of a create call of unknown
	// outcome.
	began    beginning
	resolved metrics.Resolution
}

// Format prints the object's name whatever the verb, since the object holds addresses.
func (v *visit) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "[visit to %s/%s]", v.mu.Namespace, v.mu.Name)
}

// policy is the object's reconcilePolicy, Manage when absent.
func (v *visit) policy() v1alpha1.ReconcilePolicy { return manageduser.PolicyOf(v.mu) }

// requested reports whether somebody asked, by the annotation, for a look at Cal.com that has not happened yet.
func (v *visit) requested() bool {
	return manageduser.RequestedLook(v.mu, v.mu.Status.LastHandledReconcileAt)
}

// record notes what was done in Cal.com, for the conditions and the event.
func (v *visit) record(reason, note string) { v.did, v.didNote = reason, note }

// recordUpdate notes an update. One that follows a creation or an adoption is part of it.
func (v *visit) recordUpdate(fields []string) {
	if v.did != "" {
		return
	}
	list := strings.Join(fields, ", ")
	if v.before.Status.ObservedGeneration != v.mu.Generation {
		v.record(v1alpha1.ReasonUpdated, "Updated "+list)
		return
	}
	v.record(v1alpha1.ReasonDriftCorrected, "Set "+list+" back to the spec")
}

func (r *ManagedUserReconciler) markOf(mu *v1alpha1.ManagedUser) manageduser.Mark {
	return manageduser.MarkOf(r.config.OwnerID, mu)
}
