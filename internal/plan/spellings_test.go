// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// Objects that write one server's URL in different ways meet in one rehearsed Cal.com: the second one of an address
// finds the first one's user.
func TestSpellingsOfOneServer(t *testing.T) {
	var connected []Account
	connect := func(_ context.Context, account Account, _ calcom.Hidden[string]) (Users, error) {
		connected = append(connected, account)
		return noUsers{}, nil
	}
	absent := apierrors.NewNotFound(schema.GroupResource{}, "any")
	r := New(Options{Cluster: deaf{err: absent, asked: new(0)}, Scheme: testScheme(t), Connect: connect, Config: testConfig(t)})
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: aKey.Namespace, Name: "calcom"}, Data: map[string][]byte{"key": []byte("s")}}
	first, second := anObject(), anObject()
	first.UID, second.UID = "uid-1", "uid-2"
	second.Name = "second"
	first.Spec.OAuthClient.APIURL = "https://calcom.example/v2"
	second.Spec.OAuthClient.APIURL = "HTTPS://CALCOM.example.:0443/a/..//%76%32/"
	if err := errors.Join(r.Put(secret), r.Put(first), r.Put(second)); err != nil {
		t.Fatal(err)
	}
	key := aKey
	for _, key.Name = range []string{first.Name, second.Name} {
		if _, err := r.Reconcile(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	want := []Account{{APIURL: "https://calcom.example/v2", ClientID: "cid"}}
	if d := cmp.Diff(want, connected); d != "" {
		t.Errorf("accounts (-want +got):\n%s", d)
	}
}
