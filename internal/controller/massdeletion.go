// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/massdelete"
)

// deletionsName is the ConfigMap, in the operator's namespace, in which allowed deletions are written down.
const deletionsName = "calcom-operator-deletions"

// deletions holds a mass deletion up. What it allows is in the ConfigMap before it is used, so that neither a restart nor a
// second leader allows it again.
type deletions struct {
	limit  int
	name   client.ObjectKey
	client client.Client
	reader client.Reader // Not cached.
	clock  clock.PassiveClock

	mu sync.Mutex
	// busy is set while the record is read or written. Nobody waits for that; who comes meanwhile comes again.
	busy bool
	// record is the ConfigMap as it was last read or written, nil when it has to be read.
	record    *corev1.ConfigMap
	byAccount map[accountName]*massdelete.Limiter
}

func newDeletions(c client.Client, reader client.Reader, config Config) *deletions {
	return &deletions{
		limit: config.MassDeleteLimit, name: client.ObjectKey{Namespace: config.Namespace, Name: deletionsName},
		client: c, reader: reader, clock: config.Clock, byAccount: make(map[accountName]*massdelete.Limiter),
	}
}

// permit is the right to delete one user.
type permit struct {
	account accountName
	grant   massdelete.Grant
}

// admit returns a permit, or the problem of an object that has to wait for one.
func (d *deletions) admit(ctx context.Context, account accountName, mu *v1alpha1.ManagedUser) (*permit, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy {
		return nil, errAgain
	}
	if d.record == nil {
		if err := d.unlocked(func() error { return d.read(ctx) }); err != nil {
			return nil, err
		}
	}
	limiter := d.limiter(account)
	now, key := d.clock.Now(), client.ObjectKeyFromObject(mu).String()
	if grant, ok := limiter.Take(key, now); ok {
		return &permit{account, grant}, nil
	}
	next, ok := limiter.Next(now)
	if !ok {
		return nil, d.wait(limiter.Wait(key, now), now)
	}
	if err := d.unlocked(func() error { return d.write(ctx, account, next) }); err != nil {
		// Somebody else may have written it, or this write may have had its effect: what is stored has to be read again.
		d.record = nil
		clear(d.byAccount)
		return nil, err
	}
	limiter.Renew(next)
	grant, ok := limiter.Take(key, now)
	if !ok { // Not possible: it was just written.
		return nil, errAgain
	}
	return &permit{account, grant}, nil
}

// unlocked talks to the API server without the lock; nobody else does meanwhile.
func (d *deletions) unlocked(talk func() error) error {
	d.busy = true
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		d.busy = false
	}()
	return talk()
}

// giveBack returns a permit that was not used.
func (d *deletions) giveBack(p *permit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if limiter, ok := d.byAccount[p.account]; ok {
		limiter.GiveBack(p.grant)
	}
}

// forget drops an object that is gone, or goes by another way.
func (d *deletions) forget(name client.ObjectKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, limiter := range d.byAccount {
		limiter.Forget(name.String())
	}
}

func (d *deletions) wait(until, now time.Time) *problem {
	return &problem{
		condition: v1alpha1.ConditionReady, reason: v1alpha1.ReasonMassDeletion, severity: waiting, pace: later, after: max(time.Second, until.Sub(now)),
		message: fmt.Sprintf(
			"The user is not deleted yet: of this OAuth client no more than %d are within 10 minutes, and many are to be; this one goes about %s; to let it go now set the annotation %s=true on the object or its namespace, to keep the user in Cal.com set deletionPolicy to Orphan",
			d.limit, until.UTC().Format("2006-01-02T15:04Z"), v1alpha1.AllowMassDeletionAnnotation),
	}
}

// read gets what was allowed by whoever led before.
func (d *deletions) read(ctx context.Context) error {
	record := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: d.name.Namespace, Name: d.name.Name}}
	err := d.reader.Get(ctx, d.name, record)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading the record of deletions: %w", err)
	}
	d.record = record
	return nil
}

// limiter returns the limiter of an account.
func (d *deletions) limiter(account accountName) *massdelete.Limiter {
	if limiter, ok := d.byAccount[account]; ok {
		return limiter
	}
	var given []massdelete.Grant
	if text, ok := d.record.Data[account.recordKey()]; ok && json.Unmarshal([]byte(text), &given) != nil {
		// Somebody edited it. The most careful reading is that everything was just allowed.
		given = []massdelete.Grant{{Until: d.clock.Now(), Count: d.limit}}
	}
	limiter := massdelete.New(d.limit, given)
	d.byAccount[account] = limiter
	return limiter
}

// recordKey is the account's key in the record: the client's id and, since one id may exist on two servers, a hash.
func (n accountName) recordKey() string {
	hash := sha256.Sum256([]byte(n.apiURL))
	return fmt.Sprintf("%s.%x", n.clientID, hash[:4])
}

// write puts the grants of an account on record. The lock lets only one of two leaders do so.
func (d *deletions) write(ctx context.Context, account accountName, given []massdelete.Grant) error {
	text, err := json.Marshal(given)
	if err != nil {
		return fmt.Errorf("encoding the record of deletions: %w", err)
	}
	changed := d.record.DeepCopy()
	if changed.Data == nil {
		changed.Data = make(map[string]string, 1)
	}
	changed.Data[account.recordKey()] = string(text)
	if changed.ResourceVersion == "" {
		err = d.client.Create(ctx, changed)
	} else {
		err = d.client.Patch(ctx, changed, client.MergeFromWithOptions(d.record, client.MergeFromWithOptimisticLock{}))
	}
	if apierrors.IsAlreadyExists(err) {
		return errAgain
	}
	if err != nil {
		return fmt.Errorf("writing the record of deletions: %w", err)
	}
	d.record = changed
	return nil
}

// admitDeletion sees to it that the object may have its user deleted now, if mass deletions are held up at all.
func (r *ManagedUserReconciler) admitDeletion(ctx context.Context, v *visit) error {
	if r.config.MassDeleteLimit == 0 || v.mu.Annotations[v1alpha1.AllowMassDeletionAnnotation] == "true" {
		return nil
	}
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	err := r.client.Get(ctx, client.ObjectKey{Name: v.mu.Namespace}, namespace)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading the namespace: %w", err)
	}
	if namespace.Annotations[v1alpha1.AllowMassDeletionAnnotation] == "true" {
		return nil
	}
	v.permit, err = r.deletions.admit(ctx, v.account, v.mu)
	return err
}
