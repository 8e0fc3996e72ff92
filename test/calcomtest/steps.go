// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"net/http"
	"time"
)

// CreateStep is a step of a create. The real server performs them one after
// the other without a transaction, so that one which dies or fails in between
// leaves what the steps before have made (source of 2025-12, services
// oauth-clients-users and organizations-users).
type CreateStep int

// The steps, in their order.
const (
	// StepInsert makes the user with its address, username, time zone, week
	// start and time format, and its membership of the organization.
	StepInsert CreateStep = iota + 1
	// StepLink connects the user with the OAuth client. Without it the check
	// for duplicates sees the user and nothing else does.
	StepLink
	// StepProfile sets name, bio, locale, avatar and metadata.
	StepProfile
	// StepTokens makes the first pair of tokens.
	StepTokens
	// StepEventTypes makes the default event types.
	StepEventTypes
	// StepSchedule makes the default schedule, if the create named a time zone.
	StepSchedule
)

// creation is a create on its way through the steps.
type creation struct {
	user   *user
	in     object
	tokens tokenPair
}

// perform does the steps from the one after done up to last.
func (s *Server) perform(c *call, made *creation, last CreateStep) {
	for step := made.user.step + 1; step <= last; step++ {
		if step > StepInsert {
			now, there := s.users[made.user.ID]
			if !there {
				return // Deleted meanwhile: the step fails.
			}
			made.user = new(*now)
		}
		s.step(c, made, step)
		made.user.step = step
		s.put(made.user)
	}
}

// step does one step to a copy of the stored user.
func (s *Server) step(c *call, made *creation, step CreateStep) {
	u := made.user
	switch step {
	case StepInsert:
		u.ID = s.freeID()
	case StepProfile:
		u.apply(made.in.only("name", "bio", "locale", "avatarUrl", "metadata"))
	case StepTokens:
		made.tokens = s.issue(u, c.now)
	case StepSchedule:
		if _, zoned := made.in.text("timeZone"); zoned {
			u.DefaultScheduleID = new(s.nextSchedule)
			s.nextSchedule++
		}
	case StepLink, StepEventTypes: // What a user has by them shows in its step.
	}
}

// create performs a create up to where the fault of the call stops it. What is
// left happens later if the fault says so, in a server that is slow and not
// dead.
func (s *Server) create(c *call, made *creation) answer {
	if c.stop.after == 0 {
		s.perform(c, made, StepSchedule)
		return success(http.StatusCreated, struct {
			User userView `json:"user"`
			tokenPair
		}{made.user.view(), made.tokens})
	}
	s.perform(c, made, c.stop.after)
	if c.stop.rest > 0 {
		due := c.arrived.Add(c.stop.rest)
		s.later(due, func() {
			c.now = due
			s.perform(c, made, StepSchedule)
		})
	}
	return c.refuse(errDatabase)
}

// stop is where a fault stops a create, and when the steps that are left
// happen; 0 for never.
type stop struct {
	after CreateStep
	rest  time.Duration
}

// Progress returns the last step that the create of a user has done. Users
// that were added by hand have gone through all of them.
func (s *Server) Progress(id int64) (CreateStep, bool) {
	s.lock()
	defer s.mu.Unlock()
	u, ok := s.users[id]
	if !ok {
		return 0, false
	}
	return u.step, true
}
