// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/importer"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// adoptOrphans writes manifests that take the users over again.
func (s *session) adoptOrphans(o *orphansOptions, of oauthClient, r *orphanReport) error {
	folder, err := openFolder(o.adopt)
	if err != nil || folder == nil {
		return cmp.Or(err, complain("--adopt takes a directory", "name one"))
	}
	written := 0
	for _, user := range r.Users {
		if folder.Has(user.UserID) {
			continue
		}
		converted, err := importer.Convert(user.user)
		if err != nil {
			s.tell("skipped user %d: %v", user.UserID, err)
			continue
		}
		mu := &v1alpha1.ManagedUser{ObjectMeta: metav1.ObjectMeta{Namespace: user.Namespace, Name: user.Name}, Spec: converted.Spec}
		of.use(&mu.Spec)
		written++
		if !o.dryRun {
			if err := folder.Add(mu); err != nil {
				return err
			}
		}
	}
	verb := map[bool]string{true: "would write", false: "wrote"}[o.dryRun]
	s.tell("%s %s to %s/", verb, count(written, "manifest", "manifests"), strings.TrimSuffix(o.adopt, "/"))
	if o.dryRun {
		return nil
	}
	return folder.Close("")
}

// deleteOrphans deletes the users in Cal.com, if a person says how many.
func (s *session) deleteOrphans(ctx context.Context, o *orphansOptions, a *account, m *roster, r *orphanReport) error {
	operator, err := s.operator(ctx)
	users := slices.DeleteFunc(slices.Clone(r.Users), func(o orphan) bool { return o.WantedBy != "" })
	switch {
	case err != nil:
		return err
	case len(users) == 0 && len(r.Users) > 0:
		return errDifferent
	case len(users) == 0:
		return nil
	case !operator.sure:
		return complain("the operator's Deployment was not found, so that nobody knows for certain which marks are this cluster's", "give the operator's owner id by --owner-id")
	case !m.everywhere:
		return complain("not all namespaces could be looked at for the objects of these users", "use a context that may list managed users in all of them")
	case o.dryRun:
		s.tell("would delete %s", count(len(users), "user", "users"))
		return nil
	}
	what := plural(len(users), "user", "users") + " to delete in Cal.com, with bookings and calendars"
	if err := s.confirmNumber(ctx, o.confirm, len(users), what); err != nil {
		return err
	}
	progress := s.progress("Deleting users", len(users))
	defer progress.end()
	deleted := 0
	for _, user := range users {
		reason, err := s.deleteOrphan(ctx, a, m, user)
		if err != nil {
			return fmt.Errorf("deleting user %d: %w", user.UserID, err)
		}
		if reason != "" {
			progress.line("kept user %d: %s", user.UserID, reason)
		} else {
			deleted++
		}
		progress.add(1)
	}
	progress.line("deleted %s", count(deleted, "user", "users"))
	return nil
}

// deleteOrphan deletes a user, or says why it does not: what was true when the list was made may have changed.
func (s *session) deleteOrphan(ctx context.Context, a *account, m *roster, o orphan) (kept string, err error) {
	c, err := s.kube()
	if err != nil {
		return "", err
	}
	user, err := a.user(ctx, o.UserID)
	if calcom.IsNotFound(err) {
		return "it is gone", nil
	}
	if err != nil {
		return "", err
	}
	owner, _ := manageduser.MarkedOwner(user)
	if owner.OwnerID != m.ownerID || owner.Namespace != o.Namespace || owner.Name != o.Name {
		return "its mark has changed", nil
	}
	// Only this object could have taken the user over meanwhile.
	var mu v1alpha1.ManagedUser
	name := types.NamespacedName{Namespace: o.Namespace, Name: o.Name}
	if err := c.Get(ctx, name, &mu); client.IgnoreNotFound(err) != nil {
		return "", fmt.Errorf("reading ManagedUser %s: %w", name, err)
	} else if err == nil && !m.lacksIn(&mu, user) {
		return "it has an object now", nil
	}
	return "", a.delete(ctx, o.UserID)
}
