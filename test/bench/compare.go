// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"strings"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// markKey is the metadata key whose value begins with owner, namespace and name of a user's object.
const markKey = "kubernetesOwner"

// compareUsers adds how far the users of Cal.com are from the objects.
func (m *measurement) compareUsers(ctx context.Context) error {
	remote, err := m.world.sandbox.users(ctx)
	if err != nil {
		return err
	}
	d := compare(m.world.seen.all(), remote, m.world.sandbox.client.ID)
	if d == (difference{}) {
		m.routine("users twice, without an object, or not as their object says", 0, "=", 0)
		return nil
	}
	m.routine("users in Cal.com twice", d.twice, "=", 0)
	m.routine("users in Cal.com without an object", d.leaked, "=", 0)
	m.routine("objects without their user, or with another than they say", d.wrong, "=", 0)
	return nil
}

// difference is a number of users for each way to be wrong.
type difference struct{ twice, leaked, wrong int }

// compare compares objects with the users of a client.
func compare(objects []*v1alpha1.ManagedUser, remote []remoteUser, clientID string) difference {
	var d difference
	byEmail := make(map[string]remoteUser, len(remote))
	marks := make(map[string]bool, len(remote))
	for _, user := range remote {
		byEmail[strings.Replace(user.Email, "+"+clientID+"@", "@", 1)] = user
		mark, _ := user.Metadata[markKey].(string)
		if marks[mark] {
			d.twice++
		}
		marks[mark] = true
	}
	found := 0
	for _, mu := range objects {
		user, ok := byEmail[mu.Spec.Email]
		if ok {
			found++
		}
		if !ok || !equal(mu, &user) {
			d.wrong++
		}
	}
	d.leaked = len(remote) - found
	return d
}

func equal(mu *v1alpha1.ManagedUser, user *remoteUser) bool {
	mark, _ := user.Metadata[markKey].(string)
	return mu.Status.User != nil && mu.Status.User.ID == user.ID &&
		user.Name == mu.Spec.Name && mu.Spec.Bio != nil && user.Bio == *mu.Spec.Bio &&
		strings.Contains(mark, "/"+mu.Namespace+"/"+mu.Name+"/")
}
