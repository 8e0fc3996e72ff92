// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"encoding/json"
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// UnknownOutcomeGrace is how long, as a rule, an absent user proves nothing after a create call of unknown outcome.
// The server has no time-out of its own: it was seen to finish a create long after its caller had gone.
const UnknownOutcomeGrace = 2 * time.Minute

// ReplicaGrace is how long after a create call that succeeded a 404 may come from a read replica that has not
// heard of the user yet.
const ReplicaGrace = 10 * time.Second

// Intent is the record of a create call, written before it is sent.
type Intent struct {
	// Time of the call.
	Time time.Time `json:"time"`
	// Since is the time of the first of several calls whose outcome is not known; zero where Time is that of the first.
	Since time.Time `json:"since,omitzero"`
	// Email that the call names. The spec may name another by the time the outcome is known.
	Email calcom.Hidden[string] `json:"email"`
	// Client is the id of the OAuth client that the call goes to.
	Client string `json:"client,omitempty"`
	// APIURL is where.
	APIURL string `json:"apiURL,omitempty"`
	// UID of the object that the call was for. A copied manifest has the intent of another one.
	UID types.UID `json:"uid,omitempty"`
	// Process names the process that sends the call. Two that record a call in the same second have different records.
	Process string `json:"process,omitempty"`
	// Zoned is whether the call names a time zone: then a finished user has a default schedule.
	Zoned bool `json:"zoned,omitempty"`
	// Recreates is the id of an unfinished user that the call made, and that is being deleted to be created anew.
	Recreates int64 `json:"recreates,omitempty"`
	// Replaces is the id of the user that was gone from Cal.com and is created anew, and ReplacesDate when that one had
	// been created: a server that was wiped gives the same id again.
	Replaces     int64  `json:"replaces,omitempty"`
	ReplacesDate string `json:"replacesDate,omitempty"`
}

// RecordedIntent returns the record as it stands.
func RecordedIntent(mu *v1alpha1.ManagedUser) (i Intent, ok bool) {
	value, ok := mu.Annotations[v1alpha1.CreateIntentAnnotation]
	return i, ok && json.Unmarshal([]byte(value), &i) == nil
}

// IntentOf returns the object's record of a create call, if there is one. A record that cannot be right, because
// somebody edited it or a clock was set back, counts as one of a call made now: it can only make the operator more
// careful.
func IntentOf(mu *v1alpha1.ManagedUser, now time.Time) (Intent, bool) {
	i, ok, _ := ReadIntent(mu, now)
	return i, ok
}

// ReadIntent also reports whether the record is sound as it stands.
func ReadIntent(mu *v1alpha1.ManagedUser, now time.Time) (i Intent, exists, sound bool) {
	value, ok := mu.Annotations[v1alpha1.CreateIntentAnnotation]
	if !ok && !lostRecord(mu) {
		return Intent{}, false, true
	}
	if json.Unmarshal([]byte(value), &i) != nil || i.Email.Reveal() == "" {
		return Intent{Time: now, Email: calcom.Hide(mu.Spec.Email)}, true, false
	}
	if i.Time.IsZero() || i.Time.After(now) {
		i.Time = now
		return i, true, false
	}
	return i, true, true
}

// lostRecord reports whether the object has the finalizer and nothing that says what it stands for, as after a restore
// from a backup without annotations and status. A create call may be behind it.
func lostRecord(mu *v1alpha1.ManagedUser) bool {
	_, known := Identity(mu)
	return HasFinalizer(mu) && !known && adoptedID(mu) == 0
}

// Encode returns the record as the annotation holds it.
func (i Intent) Encode() string {
	value, err := json.Marshal(struct {
		Time      time.Time `json:"time"`
		Since     time.Time `json:"since,omitzero"`
		Email     string    `json:"email"`
		Client    string    `json:"client,omitempty"`
		APIURL    string    `json:"apiURL,omitempty"`
		UID       types.UID `json:"uid,omitempty"`
		Process   string    `json:"process,omitempty"`
		Zoned     bool      `json:"zoned,omitempty"`
		Recreates int64     `json:"recreates,omitempty"`
		Replaces  int64     `json:"replaces,omitempty"`
		Date      string    `json:"replacesDate,omitempty"`
	}{i.Time, i.Since, i.Email.Reveal(), i.Client, i.APIURL, i.UID, i.Process, i.Zoned, i.Recreates, i.Replaces, i.ReplacesDate})
	if err != nil { // Not possible for these fields.
		panic(err)
	}
	return string(value)
}

// Settled reports whether the outcome of the call is known: a user other than the one to be replaced stands in
// status.
func (i Intent) Settled(mu *v1alpha1.ManagedUser) bool {
	id, ok := Identity(mu)
	return ok && (id != i.Replaces || i.ReplacesDate != "" && mu.Status.User.CreatedDate != i.ReplacesDate)
}

// AbsenceCountsIn returns how long it takes until a user that cannot be found proves to be gone; 0 means now. grace is
// how long that takes after a call of unknown outcome.
func AbsenceCountsIn(mu *v1alpha1.ManagedUser, grace time.Duration, now time.Time) time.Duration {
	i, ok := IntentOf(mu, now)
	if !ok {
		return 0
	}
	if i.Settled(mu) {
		grace = ReplicaGrace
	}
	return max(0, i.Time.Add(grace).Sub(now))
}

// IsTo reports whether two records are of calls for the same user at the same OAuth client.
func (i Intent) IsTo(other Intent) bool {
	return i.Email.Reveal() == other.Email.Reveal() && i.Client == other.Client && i.APIURL == other.APIURL
}

// First returns the time of the first call whose outcome is not known.
func (i Intent) First() time.Time {
	if i.Since.IsZero() {
		return i.Time
	}
	return i.Since
}

// SameRecord reports whether two states of an object tell of the same create call.
func SameRecord(a, b *v1alpha1.ManagedUser) bool {
	return a.Annotations[v1alpha1.CreateIntentAnnotation] == b.Annotations[v1alpha1.CreateIntentAnnotation]
}

// SetAnnotation sets an annotation of an object, in memory.
func SetAnnotation(mu *v1alpha1.ManagedUser, key, value string) {
	if mu.Annotations == nil {
		mu.Annotations = make(map[string]string, 1)
	}
	mu.Annotations[key] = value
}
