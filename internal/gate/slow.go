// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package gate

import "time"

// Begin notes that a call of an object begins, and reports whether Check has to be called after SlowCall.
func (g *Gate[K]) Begin(key K) (check bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls[key] = &call{began: g.now()}
	check = !g.checking
	g.checking = true
	return check
}

// End notes that the call of an object has ended, and returns the note that was left with Note, or nil.
func (g *Gate[K]) End(key K) (note any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, ok := g.calls[key]
	if !ok {
		return nil
	}
	delete(g.calls, key)
	g.late = g.isLong(c)
	return c.note
}

func (g *Gate[K]) isLong(c *call) bool { return g.now().Sub(c.began) >= SlowCall }

// IsSlow reports whether the OAuth client is slow: a call takes or took longer than SlowCall, or the last create call
// had no clear answer.
func (g *Gate[K]) IsSlow() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.isSlow()
}

func (g *Gate[K]) isSlow() bool {
	if g.cautious || g.late {
		return true
	}
	for _, c := range g.calls {
		if g.isLong(c) {
			return true
		}
	}
	return false
}

// Hide notes an object that waits and whose conditions do not say so. It is woken when the client turns out to be slow:
// at once if it is.
func (g *Gate[K]) Hide(key K) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isSlow() {
		g.wake(key)
		return
	}
	g.hidden[key] = struct{}{}
}

// Check returns the objects whose own call has come to take long, each once, and wakes those that Hide noted if the
// client is slow. next is when to check again; 0 if there is no call to check for.
func (g *Gate[K]) Check() (long []K, next time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, c := range g.calls {
		switch {
		case c.shown:
		case g.isLong(c):
			c.shown = true
			long = append(long, key)
		default:
			wait := SlowCall - g.now().Sub(c.began)
			if next == 0 || wait < next {
				next = wait
			}
		}
	}
	g.checking = next > 0
	if g.isSlow() {
		for key := range g.hidden {
			g.wake(key)
		}
		clear(g.hidden)
	}
	return long, next
}

// Again has the next Check return an object once more, if its call is still under way, and reports whether it is.
func (g *Gate[K]) Again(key K) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, ok := g.calls[key]
	if ok {
		c.shown, g.checking = false, true
	}
	return ok
}

// Note leaves something for the end of an object's call. It is lost if the call has ended.
func (g *Gate[K]) Note(key K, note any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c, ok := g.calls[key]; ok {
		c.note = note
	}
}
