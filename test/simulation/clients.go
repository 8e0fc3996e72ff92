// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// clientName is the OAuthClient to which every object refers that does not name its client itself.
var clientName = types.NamespacedName{Namespace: namespace, Name: "acme"}

// gathering is the operator's own pause before it looks at what objects need, after news of them.
const gathering = time.Second

var clientResource = schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "oauthclients"}

// spellings are ways to write the URL of the one server.
var spellings = []string{"https://calcom.sim/v2", "HTTPS://CALCOM.sim.:0443//%76%32/", "https://calcom.sim:443/a/%2e./v2/."}

// credentials are where every object's key is. number chooses how the server's URL is written.
func credentials(number int) v1alpha1.OAuthClientCredentials {
	return v1alpha1.OAuthClientCredentials{
		ID: clientID, APIURL: spellings[number%len(spellings)], SecretKeyRef: v1alpha1.SecretKeyReference{Name: secretName.Name, Key: "secretKey"},
	}
}

// addClient applies the OAuthClient, unless it is there.
func (a *apiServer) addClient() {
	if a.client != nil {
		return
	}
	a.uids++
	a.storeClient(&v1alpha1.OAuthClient{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: clientName.Namespace, Name: clientName.Name, Generation: 1, UID: types.UID("uid-" + strconv.FormatInt(a.uids, 10)),
		},
		Spec:   v1alpha1.OAuthClientSpec{OAuthClientCredentials: credentials(int(a.uids))},
		Status: v1alpha1.OAuthClientStatus{ObservedGeneration: -1},
	})
}

// removeClient deletes the OAuthClient, or marks it when it has finalizers.
func (a *apiServer) removeClient() {
	if a.client == nil || !a.client.DeletionTimestamp.IsZero() {
		return
	}
	c := a.client.DeepCopy()
	now := metav1.NewTime(a.now().Truncate(time.Second))
	c.DeletionTimestamp = &now
	c.Generation++
	a.storeClient(c)
}

// freeClient takes the finalizers off the OAuthClient by force.
func (a *apiServer) freeClient() {
	if a.client != nil {
		c := a.client.DeepCopy()
		c.Finalizers = nil
		a.storeClient(c)
	}
}

func (a *apiServer) storeClient(c *v1alpha1.OAuthClient) {
	a.version++
	c.ResourceVersion = strconv.FormatInt(a.version, 10)
	if !c.DeletionTimestamp.IsZero() && len(c.Finalizers) == 0 {
		c = nil
	} else {
		a.stored(c)
	}
	a.client = c
	a.log = append(a.log, watchEvent{key: clientName, isClient: true, client: c})
}

// patchClient applies a patch to the OAuthClient's metadata, or to its status.
func (a *apiServer) patchClient(kind types.PatchType, data []byte, status bool) (*v1alpha1.OAuthClient, error) {
	if a.client == nil {
		return nil, apierrors.NewNotFound(clientResource, clientName.Name)
	}
	patched, err := patchedWith(a.client, kind, data)
	if err != nil {
		return nil, err
	}
	result := a.client.DeepCopy()
	if status {
		result.Status = patched.Status
	} else {
		result.Finalizers, result.Annotations = patched.Finalizers, patched.Annotations
	}
	if !result.DeletionTimestamp.IsZero() && len(result.Finalizers) > len(a.client.Finalizers) {
		return nil, apierrors.NewForbidden(clientResource, clientName.Name, errors.New("no new finalizers can be added if the object is being deleted"))
	}
	if equality.Semantic.DeepEqual(result, a.client) {
		return result, nil
	}
	a.storeClient(result)
	return result, nil
}

// needsClient reports whether some object that refers to the OAuthClient may have a user in Cal.com.
func (a *apiServer) needsClient() bool {
	for _, mu := range a.users {
		if mu.Spec.OAuthClientRef != nil && isBound(mu) {
			return true
		}
	}
	return false
}

// deliverClient lets a process hear of the OAuthClient.
func (p *process) deliverClient(e watchEvent) {
	now, before := p.world.now(), p.client
	p.client = e.client
	gone := before == nil || e.client == nil
	const finalizer = v1alpha1.InUseFinalizer
	if !gone && slices.Contains(before.Finalizers, finalizer) && !slices.Contains(e.client.Finalizers, finalizer) {
		p.enqueue(clientName, now)
	}
	if gone || before.UID != e.client.UID || before.Generation != e.client.Generation {
		p.enqueue(clientName, now)
		for _, key := range sortedKeys(p.view) {
			if p.view[key].Spec.OAuthClientRef != nil {
				p.enqueue(key, now)
			}
		}
	}
	if gone || slices.Contains(before.Finalizers, finalizer) != slices.Contains(e.client.Finalizers, finalizer) {
		p.enqueue(secretName, now.Add(gathering))
	}
}

// changeClient deletes the OAuthClient, now and then by force, or applies it again.
func (w *World) changeClient(c *cluster) {
	switch w.random.IntN(4) {
	case 0:
		w.tracef("WORLD: the OAuthClient of %s is deleted", c.ownerID)
		c.api.removeClient()
	case 1:
		if w.random.IntN(3) == 0 {
			w.tracef("WORLD: the OAuthClient of %s is deleted by force", c.ownerID)
			c.api.removeClient()
			c.api.freeClient()
			c.forced = true
		}
	default:
		w.tracef("WORLD: the OAuthClient of %s is applied", c.ownerID)
		c.api.addClient()
	}
}

// clientWritten judges a write of the OAuthClient: while users need it, or may, it is not let go.
func (w *World) clientWritten(c *cluster, before, after *v1alpha1.OAuthClient) {
	const finalizer = v1alpha1.InUseFinalizer
	if !slices.Contains(before.Finalizers, finalizer) || slices.Contains(after.Finalizers, finalizer) {
		return
	}
	for _, claim := range w.ledger.claims {
		if mu := c.api.users[claim.name]; mu != nil && mu.Spec.OAuthClientRef != nil && claim.cluster == c && claim.live() && !w.isExposed(claim) && !w.ledger.takenByAnother(claim) {
			w.violate("the OAuthClient of %s is let go while %s needs it", c.ownerID, claim.name.Name)
		}
	}
}

// checkClientStatus judges what is written of the OAuthClient.
func (w *World) checkClientStatus(c *v1alpha1.OAuthClient) {
	is := func(kind string) bool { return meta.IsStatusConditionTrue(c.Status.Conditions, kind) }
	busy, stalled := is(v1alpha1.ConditionReconciling), is(v1alpha1.ConditionStalled)
	if busy && stalled || is(v1alpha1.ConditionReady) && (busy || stalled) {
		w.violate("the OAuthClient is Ready, Reconciling and Stalled: %t, %t, %t", is(v1alpha1.ConditionReady), busy, stalled)
	}
	for _, condition := range c.Status.Conditions {
		w.showing("condition "+condition.Type, condition.Message)
		if !isLine(condition.Message) {
			w.violate("the message of %s is not a line as it should be: %q", condition.Type, condition.Message)
		}
	}
}

// checkClient checks in the end that the OAuthClient is protected just while somebody needs it, is Ready, and counts
// its users.
func (w *World) checkClient(c *cluster) {
	a, users := c.api, 0
	for _, mu := range a.users {
		if mu.Spec.OAuthClientRef != nil {
			users++
		}
	}
	if held := slices.Contains(a.client.Finalizers, v1alpha1.InUseFinalizer); held != a.needsClient() {
		w.violate("the OAuthClient of %s is protected in the end: %t, needed: %t", c.ownerID, held, a.needsClient())
	}
	if status := a.client.Status; !meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady) || int(status.Users) != users {
		w.violate("in the end the OAuthClient of %s, with %d users, is %+v", c.ownerID, users, status)
	}
}
