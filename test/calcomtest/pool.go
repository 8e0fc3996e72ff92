// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

// writers are the creates that the server works on, and the lock on its table
// of users.
type writers struct {
	creates int
	// unlocked is closed when the table is unlocked; nil while it is.
	unlocked chan struct{}
}

// LockUsers holds every create, update and delete back until unlock is called,
// as a long transaction does in the real server's database. A caller that gives
// up meanwhile does not stop the work. Reads go on. It does nothing, and so does
// unlock, while the table is locked already.
func (s *Server) LockUsers() (unlock func()) {
	s.lock()
	defer s.mu.Unlock()
	if s.writers.unlocked != nil {
		return func() {}
	}
	unlocked := make(chan struct{})
	s.writers.unlocked = unlocked
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.writers.unlocked == unlocked {
			close(unlocked)
			s.writers.unlocked = nil
		}
	}
}

// Creating returns how many creates the server works on at the moment.
func (s *Server) Creating() int {
	s.lock()
	defer s.mu.Unlock()
	return s.writers.creates
}

// takeConnection counts a create among those that the server works on, from
// its arrival to its answer. A create that finds all connections taken will be
// refused.
func (s *Server) takeConnection(c *call) (release func()) {
	if c.route.op != OpCreate {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.noConnection = s.opts.WritePool > 0 && s.writers.creates >= s.opts.WritePool
	s.writers.creates++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.writers.creates--
	}
}

// waitForTable waits until the table of users is unlocked, or the server closes.
func (s *Server) waitForTable(c *call) {
	if c.route.op != OpCreate && c.route.op != OpUpdate && c.route.op != OpDelete {
		return
	}
	s.mu.Lock()
	unlocked := s.writers.unlocked
	s.mu.Unlock()
	if unlocked == nil || c.noConnection {
		return
	}
	select {
	case <-unlocked:
	case <-s.ctx.Done():
	}
}
