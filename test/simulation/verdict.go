// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// checkRight checks that an object has come to its end, or stands still for a reason that the world gives.
func (w *World) checkRight(c *cluster, key types.NamespacedName) {
	mu := c.api.users[key]
	ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil:
		w.violate("%s %s has no status in the end", c.ownerID, key.Name)
	case !mu.DeletionTimestamp.IsZero():
		if !w.mayStay(c, mu, ready) {
			w.found(&w.figures.Stuck, "%s %s is not gone in the end: %s\n%s", c.ownerID, key.Name, describe(mu), show(mu))
		}
	case lacksRecords(mu):
		w.violate("%s %s lacks its records in the end:\n%s", c.ownerID, key.Name, show(mu))
	case mu.Status.ObservedGeneration != mu.Generation || !w.isRight(c, mu, ready):
		w.violate("%s %s is not right in the end: %s\n%s", c.ownerID, key.Name, describe(mu), show(mu))
	}
}

// mayStay reports whether an object whose deletion was asked for has a reason to be there.
func (w *World) mayStay(c *cluster, mu *v1alpha1.ManagedUser, ready *metav1.Condition) bool {
	observes := mu.Spec.ReconcilePolicy == v1alpha1.ReconcilePolicyObserve && mu.Spec.DeletionPolicy != v1alpha1.DeletionPolicyOrphan
	return ready.Reason == v1alpha1.ReasonDeletionBlocked && (observes || w.isStranger(mu) || w.justified(c, mu, v1alpha1.ReasonOwnedElsewhere))
}

// isRight reports whether an object that is to stay is Ready, or stands still for a reason.
func (w *World) isRight(c *cluster, mu *v1alpha1.ManagedUser, ready *metav1.Condition) bool {
	observes := mu.Spec.ReconcilePolicy == v1alpha1.ReconcilePolicyObserve
	switch {
	case meta.IsStatusConditionTrue(mu.Status.Conditions, v1alpha1.ConditionStalled):
		return w.justified(c, mu, ready.Reason)
	case ready.Status == metav1.ConditionTrue && observes:
		return mu.Status.User != nil
	case ready.Status == metav1.ConditionTrue:
		return w.equal(c, mu) && w.hasTokens(c, mu)
	}
	return observes && ready.Reason == v1alpha1.ReasonNotFound
}

func show(mu *v1alpha1.ManagedUser) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  generation %d, observed %d, deleted %t, finalizers %v, annotations %v\n", mu.Generation,
		mu.Status.ObservedGeneration, !mu.DeletionTimestamp.IsZero(), mu.Finalizers, mu.Annotations)
	for _, c := range mu.Status.Conditions {
		fmt.Fprintf(&b, "  %s=%s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	return b.String()
}

// ownerNameOf is ownerName for an object.
func ownerNameOf(c *cluster, mu *v1alpha1.ManagedUser) string {
	return ownerName(c, types.NamespacedName{Namespace: mu.Namespace, Name: mu.Name})
}

// equal reports whether the user that a Ready object names exists, is marked as its own and equals the spec.
func (w *World) equal(c *cluster, mu *v1alpha1.ManagedUser) bool {
	if mu.Status.User == nil {
		return false
	}
	u, ok := w.ledger.users[mu.Status.User.ID]
	s := &mu.Spec
	if !ok || ownerOf(u, ownerNameOf(c, mu)) != own || plain(u.Email) != s.Email {
		return false
	}
	plan, _ := u.Metadata["plan"].(string)
	return same(s, v1alpha1.FieldName, s.Name, u.Name) && same(s, v1alpha1.FieldWeekStart, s.WeekStart, &u.WeekStart) &&
		same(s, v1alpha1.FieldTimeFormat, int(s.TimeFormat), u.TimeFormat) && same(s, v1alpha1.FieldMetadata, s.Metadata["plan"], &plan) &&
		same(s, v1alpha1.FieldTimeZone, strings.ToLower(s.TimeZone), new(strings.ToLower(u.TimeZone))) &&
		(s.Bio == nil || same(s, v1alpha1.FieldBio, *s.Bio, u.Bio))
}

// same reports whether a field is as the spec wants it, if it wants anything.
func same[T comparable](s *v1alpha1.ManagedUserSpec, field v1alpha1.SpecField, want T, have *T) bool {
	var unset T
	return want == unset || slices.Contains(s.CreateOnly, field) || have != nil && *have == want
}

// justified reports whether the state of Cal.com is a reason to stand still.
func (w *World) justified(c *cluster, mu *v1alpha1.ManagedUser, reason string) bool {
	key := ownerNameOf(c, mu)
	switch reason {
	case v1alpha1.ReasonAlreadyExists:
		return w.isTaken(mu, key)
	case v1alpha1.ReasonUsernameConflict:
		return w.isTaken(mu, "")
	case v1alpha1.ReasonOwnedElsewhere:
		return w.anyUser(func(u calcomtest.User) bool { return isMeant(mu, u) && ownerOf(u, key) == anothers })
	case v1alpha1.ReasonMetadataBlocked:
		return w.anyUser(func(u calcomtest.User) bool { return isMeant(mu, u) && u.Metadata["nested"] != nil })
	case v1alpha1.ReasonNotFound:
		return mu.Spec.UserID != 0 && !w.anyUser(func(u calcomtest.User) bool { return u.ID == mu.Spec.UserID })
	case v1alpha1.ReasonSecretConflict:
		return c.isInTheWay(mu)
	case v1alpha1.ReasonRemoteInconsistent:
		return w.isHalfMade(mu)
	case v1alpha1.ReasonInvalidSpec, v1alpha1.ReasonUnexpectedResponse:
		return w.isSpecToBlame(mu, reason)
	}
	return false
}

// isForgotten reports whether the address has a user whose creation stopped before the mark was written, and another
// tool removed the record of the create call, which alone led to it.
func (w *World) isForgotten(mu *v1alpha1.ManagedUser, key string) bool {
	return w.anyUser(func(u calcomtest.User) bool {
		return isMeant(mu, u) && isBlank(u) && slices.ContainsFunc(w.ledger.claims, func(c *claim) bool {
			return c.key() == key && c.userID == u.ID && (c.exposed || c.wasExposed || w.ledger.amnesia[key])
		})
	})
}

// isHalfMade reports whether Cal.com did not finish the creation of an object's user.
func (w *World) isHalfMade(mu *v1alpha1.ManagedUser) bool {
	return w.halfMade[mu.Spec.Email] || w.anyUser(func(u calcomtest.User) bool { return isMeant(mu, u) && !w.isFinished(u.ID) })
}

// isStranger reports whether the user in status is unmarked, and its address there is none of the object's: another
// tool exchanged statuses, and the mark was removed by hand.
func (w *World) isStranger(mu *v1alpha1.ManagedUser) bool {
	u, exists := w.ledger.users[knownID(mu)]
	in := heldAddress(mu)
	return exists && isIn(mu, u) && u.Metadata[ownerKey] == nil && in != mu.Spec.Email && in != recordOf(mu).Email
}

// isSpecToBlame reports whether the spec is at fault, or wants what the server does not store.
func (w *World) isSpecToBlame(mu *v1alpha1.ManagedUser, reason string) bool {
	if reason == v1alpha1.ReasonUnexpectedResponse {
		return w.isLossy(&mu.Spec)
	}
	return isIncomplete(mu)
}

// isIncomplete reports whether the spec is at fault: there is no name to create a user with, or a userID that is not
// that of the user which the object has already.
func isIncomplete(mu *v1alpha1.ManagedUser) bool {
	return mu.Spec.Name == "" || mu.Spec.UserID != 0 && mu.Spec.UserID != knownID(mu)
}

// isMeant reports whether an object is about a user: by the id in its status or in its spec, or by the address.
func isMeant(mu *v1alpha1.ManagedUser, u calcomtest.User) bool {
	return knownID(mu) != 0 && isIn(mu, u) || u.ID == mu.Spec.UserID || plain(u.Email) == mu.Spec.Email
}

func knownID(mu *v1alpha1.ManagedUser) int64 {
	if mu.Status.User == nil || mu.Status.OAuthClientID != clientID { // Without the client it is merely observed.
		return 0
	}
	return mu.Status.User.ID
}

// isTaken is hasRival, or reports that the user in status is none of the object's, or that the record of the object's
// own is lost.
func (w *World) isTaken(mu *v1alpha1.ManagedUser, key string) bool {
	return w.hasRival(mu, key) || key != "" && (w.isStranger(mu) || w.isForgotten(mu, key))
}

// hasRival reports whether another user has the object's address or the username that goes with it; or, with a key, one
// that nobody's mark is on, or the one that the spec names by its id.
func (w *World) hasRival(mu *v1alpha1.ManagedUser, key string) bool {
	for other := range w.halfMade {
		if alike(other, mu.Spec.Email) {
			return true
		}
	}
	return w.anyUser(func(u calcomtest.User) bool {
		if isBlank(u) && w.ledger.hasLiveClaim(key, u.ID) {
			return false // Its creation stopped before the mark, and it is the object's own all the same.
		}
		other := knownID(mu) == 0 || !isIn(mu, u) || key != "" && ownerOf(u, key) == nobodys
		return other && alike(plain(u.Email), mu.Spec.Email) || key != "" && u.ID == mu.Spec.UserID
	})
}

func (w *World) anyUser(is func(calcomtest.User) bool) bool {
	for _, u := range w.ledger.users {
		if is(u) {
			return true
		}
	}
	return false
}

var punctuation = regexp.MustCompile(`[^a-z0-9]+`)

// alike reports whether Cal.com makes the same username of two addresses: it looks at the first two labels of the
// domain and takes all punctuation for the same.
func alike(a, b string) bool {
	username := func(email string) string {
		local, domain, _ := strings.Cut(email, "@")
		labels := strings.SplitN(domain, ".", 3)
		return punctuation.ReplaceAllString(local+"-"+strings.Join(labels[:2], "-"), "-")
	}
	return username(a) == username(b)
}

func stored(email string) string { return strings.Replace(email, "@", "+"+clientID+"@", 1) }
