// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/limits"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// deletions holds a mass deletion up.
type deletions struct {
	limit  int
	record *limitsRecord
	clock  clock.PassiveClock

	byAccount map[account.Name]*limits.Limiter // Under the record's lock.
}

func newDeletions(record *limitsRecord, config Config) *deletions {
	d := &deletions{limit: config.MassDeleteLimit, record: record, clock: config.Clock, byAccount: make(map[account.Name]*limits.Limiter)}
	record.onLost = append(record.onLost, func() { clear(d.byAccount) })
	return d
}

// permit is the right to delete one user.
type permit struct {
	account account.Name
	grant   limits.Grant
}

// admit returns a permit, or the problem of an object that has to wait for one.
func (d *deletions) admit(ctx context.Context, of account.Name, mu *v1alpha1.ManagedUser) (*permit, error) {
	var admitted *permit
	err := d.record.use(ctx, func() error {
		d.dropIdle()
		limiter := d.limiter(of)
		now, key := d.clock.Now(), client.ObjectKeyFromObject(mu).String()
		if grant, ok := limiter.Take(key, now); ok {
			admitted = &permit{of, grant}
			return nil
		}
		next, ok := limiter.Next(now)
		if !ok {
			return d.wait(limiter.Wait(key, now), now)
		}
		if err := d.write(ctx, of, next); err != nil {
			return err
		}
		limiter.Renew(next)
		grant, ok := limiter.Take(key, now)
		if !ok { // Not possible: it was just written.
			return errAgain
		}
		admitted = &permit{of, grant}
		return nil
	})
	return admitted, err
}

// dropIdle drops what is known of accounts of which nothing counts any more.
func (d *deletions) dropIdle() {
	now := d.clock.Now()
	maps.DeleteFunc(d.byAccount, func(_ account.Name, limiter *limits.Limiter) bool { return limiter.Idle(now) })
}

// giveBack returns a permit that was not used.
func (d *deletions) giveBack(p *permit) {
	d.record.mu.Lock()
	defer d.record.mu.Unlock()
	if limiter, ok := d.byAccount[p.account]; ok {
		limiter.GiveBack(p.grant)
	}
}

// forget drops an object that is gone, or goes by another way.
func (d *deletions) forget(name client.ObjectKey) {
	d.record.mu.Lock()
	defer d.record.mu.Unlock()
	for _, limiter := range d.byAccount {
		limiter.Forget(name.String())
	}
	d.dropIdle()
}

func (d *deletions) wait(until, now time.Time) *outcome.Problem {
	return &outcome.Problem{
		Condition: v1alpha1.ConditionReady, Reason: v1alpha1.ReasonMassDeletion, Severity: outcome.Waiting, Pace: outcome.Later, After: max(time.Second, until.Sub(now)),
		Message: fmt.Sprintf(
			"The user is not deleted yet: of this OAuth client no more than %d are within 10 minutes, and many are to be; this one goes about %s; to let it go now set the annotation %s=true on the object or its namespace, to keep the user in Cal.com set deletionPolicy to Orphan",
			d.limit, until.UTC().Format("2006-01-02T15:04Z"), v1alpha1.AllowMassDeletionAnnotation),
	}
}

// limiter returns the limiter of an account.
func (d *deletions) limiter(of account.Name) *limits.Limiter {
	if limiter, ok := d.byAccount[of]; ok {
		return limiter
	}
	now := d.clock.Now()
	text, _ := d.record.text(of.RecordKey())
	limiter := limits.New(d.limit, d.parse(text, now), now)
	d.byAccount[of] = limiter
	return limiter
}

// parse reads an entry. Of one that was edited and cannot be read, the most careful reading is that everything was just
// allowed.
func (d *deletions) parse(text string, now time.Time) []limits.Grant {
	var given []limits.Grant
	if text != "" && json.Unmarshal([]byte(text), &given) != nil {
		return []limits.Grant{{Until: now, Count: d.limit}}
	}
	return given
}

// write records the grants of an account.
func (d *deletions) write(ctx context.Context, of account.Name, given []limits.Grant) error {
	text, err := json.Marshal(given)
	if err != nil {
		return fmt.Errorf("encoding the record of deletions: %w", err)
	}
	return d.record.save(ctx, of.RecordKey(), string(text))
}

// prune returns what still counts of an entry, or nothing.
func (d *deletions) prune(text string, now time.Time) string {
	given := limits.Sound(d.limit, d.parse(text, now), now)
	if len(given) == 0 {
		return ""
	}
	kept, err := json.Marshal(given)
	if err != nil { // Not possible for these fields.
		panic(err)
	}
	return string(kept)
}

// admitDeletion sees to it that the object may have its user deleted now, if mass deletions are held up at all.
func (r *ManagedUserReconciler) admitDeletion(ctx context.Context, v *visit, _ *manageduser.Action) (err error) {
	defer func() { v.evidence.Admitted = err == nil }()
	if r.config.MassDeleteLimit == 0 || v.mu.Annotations[v1alpha1.AllowMassDeletionAnnotation] == "true" {
		return nil
	}
	allowed, err := r.namespaceAllows(ctx, v.mu.Namespace, v1alpha1.AllowMassDeletionAnnotation)
	if err != nil || allowed {
		return err
	}
	v.permit, err = r.deletions.admit(ctx, v.account, v.mu)
	return err
}

// namespaceAllows reports whether an annotation of a namespace has the value "true".
func (r *ManagedUserReconciler) namespaceAllows(ctx context.Context, name, annotation string) (bool, error) {
	namespace := namespaceMetadata()
	err := r.client.Get(ctx, client.ObjectKey{Name: name}, namespace)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("reading the namespace: %w", err)
	}
	return namespace.Annotations[annotation] == "true", nil
}
