// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// A user without an object is told apart from one that an object of another name wants, which no deletion may take.
func TestOrphansAmong(t *testing.T) {
	const client, owner = "c1", "cluster-1"
	m := &roster{
		ownerID: owner, clientID: client, everywhere: true, objects: make(map[types.NamespacedName]*v1alpha1.ManagedUser),
		byUser: make(map[int64]*v1alpha1.ManagedUser), byAddress: make(map[string]*v1alpha1.ManagedUser),
	}
	object := func(name, email string, status v1alpha1.ManagedUserStatus) *v1alpha1.ManagedUser {
		return &v1alpha1.ManagedUser{
			ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name}, Status: status,
			Spec: v1alpha1.ManagedUserSpec{Email: email, OAuthClientRef: &v1alpha1.OAuthClientReference{Name: "acme"}},
		}
	}
	m.take(object("well", "well@example.com", v1alpha1.ManagedUserStatus{OAuthClientID: client, User: &v1alpha1.CalcomUser{ID: 1}}))
	m.take(object("renamed", "old@example.com", v1alpha1.ManagedUserStatus{}))
	m.take(object("elsewhere", "lost@example.com", v1alpha1.ManagedUserStatus{OAuthClientID: "c2", User: &v1alpha1.CalcomUser{ID: 9}}))
	read := &census{users: make(map[int64]calcom.User)}
	for id, name := range map[int64]string{1: "well", 2: "old", 3: "lost", 4: "foreign"} {
		mark := manageduser.Mark{OwnerID: owner, Namespace: "team", Name: name, UID: "u"}
		if name == "foreign" {
			mark.OwnerID = "cluster-2"
		}
		marked, err := mark.Marking(calcom.User{})
		if err != nil {
			t.Fatal(err)
		}
		read.users[id] = calcom.User{ID: id, ClientID: client, Email: calcom.Hide(calcom.StoredEmail(strings.ToUpper(name[:1])+name[1:]+"@example.com", client)), Metadata: marked.Metadata}
	}
	var got []string
	for _, o := range m.orphansAmong(read) {
		got = append(got, fmt.Sprintf("%d %s/%s %s", o.UserID, o.Namespace, o.Name, o.WantedBy))
	}
	if d := cmp.Diff([]string{"2 team/old team/renamed", "3 team/lost "}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
