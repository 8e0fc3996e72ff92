// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// admitted makes one call within the budget.
func admitted[T any](ctx context.Context, s *session, call func() (T, error)) (T, error) {
	if err := s.reserve(1); err != nil {
		var none T
		return none, err
	}
	s.reserved--
	s.made++
	s.called = true
	s.budget.Use()
	s.beginCall()
	result, err := call()
	s.endCall()
	s.learn(ctx, err)
	return result, err
}

func (s *session) CreateUser(ctx context.Context, user calcom.UserFields) (calcom.User, calcom.Tokens, error) {
	var tokens calcom.Tokens
	created, err := admitted(ctx, s, func() (created calcom.User, err error) {
		created, tokens, err = s.client.CreateUser(ctx, user)
		s.created(err)
		return created, err
	})
	return created, tokens, err
}

func (s *session) User(ctx context.Context, id int64) (calcom.User, error) {
	return admitted(ctx, s, func() (calcom.User, error) { return s.client.User(ctx, id) })
}

func (s *session) UsersByEmail(ctx context.Context, emails ...string) ([]calcom.User, error) {
	return admitted(ctx, s, func() ([]calcom.User, error) { return s.client.UsersByEmail(ctx, emails...) })
}

func (s *session) Users(ctx context.Context, limit, offset int) ([]calcom.User, error) {
	return admitted(ctx, s, func() ([]calcom.User, error) { return s.client.Users(ctx, limit, offset) })
}

func (s *session) UpdateUser(ctx context.Context, id int64, update calcom.UserFields) (calcom.User, error) {
	return admitted(ctx, s, func() (calcom.User, error) { return s.client.UpdateUser(ctx, id, update) })
}

func (s *session) DeleteUser(ctx context.Context, id int64) (calcom.User, error) {
	return admitted(ctx, s, func() (calcom.User, error) { return s.client.DeleteUser(ctx, id) })
}

func (s *session) Refresh(ctx context.Context, refreshToken calcom.Hidden[string]) (calcom.Tokens, error) {
	return admitted(ctx, s, func() (calcom.Tokens, error) { return s.client.Refresh(ctx, refreshToken) })
}

func (s *session) ForceRefresh(ctx context.Context, id int64) (calcom.Tokens, error) {
	return admitted(ctx, s, func() (calcom.Tokens, error) { return s.client.ForceRefresh(ctx, id) })
}

// logRefusal writes what Cal.com says of credentials that stand in users alone: no condition of an OAuth client can.
func logRefusal(ctx context.Context, err error) {
	if e, ok := errors.AsType[*calcom.Error](err); ok {
		log.FromContext(ctx).Info("Cal.com refuses the credentials", "status", e.Status, "code", e.Code, "serverMessage", e.Message)
	}
}
