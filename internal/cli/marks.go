// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/sweep"
)

// tellMarks asks Cal.com whose marks have stayed, and tells it. That nobody can be asked is told too, and is no
// failure.
func (s *session) tellMarks(ctx context.Context, operator operator, released []client.Object) {
	remotes := s.remotes()
	groups := make(map[*remote][]*v1alpha1.ManagedUser)
	var order []*remote
	unknown := 0
	for _, object := range released {
		mu, owner := isOwner(object)
		if !owner {
			continue
		}
		r, err := remotes.of(ctx, mu)
		if err != nil {
			if unknown == 0 {
				s.tell("Whether marks have stayed is not known of users of %s: %s", client.ObjectKeyFromObject(mu), sentence(err))
			}
			unknown++
			continue
		}
		if groups[r] == nil {
			order = append(order, r)
		}
		groups[r] = append(groups[r], mu)
	}
	var left []int64
	for _, r := range order {
		ids, err := r.marked(ctx, operator.ownerID, groups[r])
		left = append(left, ids...)
		if err != nil {
			s.tell("Whether marks have stayed is not known of all users of %s: %s", r.oauthClient, sentence(err))
		}
	}
	if len(left) == 0 {
		return
	}
	slices.Sort(left)
	s.tell("%d users still carry this cluster's mark: %s", len(left), idList(left))
	s.tell("Nobody needs to do anything about that, unless another operator is to take them over: start it with --owner-id=%s, "+
		"or take them back here and orphan them once more when what kept the mark is mended (the inventory has their manifests).", operator.ownerID)
}

// marked returns the ids of those users that carry the mark of their object.
func (r *remote) marked(ctx context.Context, ownerID string, users []*v1alpha1.ManagedUser) ([]int64, error) {
	byAddress := make(map[string]manageduser.Mark, len(users))
	var addresses []string
	for _, mu := range users {
		address := mu.Spec.Email
		if known := mu.Status.User; known != nil && known.Email != "" {
			address = calcom.PlainEmail(known.Email, r.credentials.ID)
		}
		if sweep.Askable(address, r.credentials.ID) {
			addresses = append(addresses, address)
		}
		byAddress[address] = manageduser.OwnerOf(ownerID, mu)
	}
	base, err := calcom.BaseURL(cmp.Or(r.credentials.APIURL, v1alpha1.DefaultAPIURL))
	if err != nil {
		return nil, fmt.Errorf("reading the API URL: %w", err)
	}
	var ids []int64
	for room := sweep.Room(base, r.credentials.ID); len(addresses) > 0; {
		n := sweep.Batch(addresses, calcom.MaxListed, room)
		found, err := inTurn(ctx, r, func() ([]calcom.User, error) { return r.usersByEmail(ctx, addresses[:n]...) })
		if err != nil {
			return ids, err
		}
		for _, user := range found {
			if owner, marked := manageduser.MarkedOwner(user); marked && owner.SameObject(byAddress[user.PlainEmail()]) {
				ids = append(ids, user.ID)
			}
		}
		addresses = addresses[n:]
	}
	return ids, nil
}

// idList names ids, the first ten of many.
func idList(ids []int64) string {
	const most = 10
	var names []string
	for _, id := range ids[:min(len(ids), most)] {
		names = append(names, strconv.FormatInt(id, 10))
	}
	text := strings.Join(names, ", ")
	if others := len(ids) - len(names); others > 0 {
		text += fmt.Sprintf(" and %d more", others)
	}
	return text
}
