// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package quota

import "time"

// ticket is the place of somebody who waits.
type ticket struct {
	class     Class
	namespace string
	key       string
	calls     int
	since     time.Duration // When it was asked for.
	// deadline by which the calls of class Tokens are needed.
	deadline time.Duration
	// tag orders the tickets of a class, and number those with the same tag.
	tag    int64
	number uint64
	// promise is when the owner was told to come back.
	promise time.Duration
	// lapsed tickets are in no line: their owner did not come. Until expires they keep their tag.
	lapsed  bool
	expires time.Duration
}

// line is who waits in one class, in the order of tags. A namespace's tags count on from its own last one, or from
// where the line has come if that is further: so one with a single ticket stands next to the first of one with
// thousands (self-clocked fair queueing, Golestani 1994). In the class Tokens the tags are the deadlines instead.
type line struct {
	tree
	reached int64           // The tag up to which the line has come.
	pass    int64           // How far the class has come among the classes, in strides.
	flows   map[string]flow // Of the namespaces with tickets.
}

// flow is the tickets of one namespace in one class.
type flow struct {
	last    int64 // Tag.
	tickets int
}

// queue is everybody who waits. Among the classes it is a stride scheduler: each call takes its class one stride
// further, and the class that is least far goes first.
type queue struct {
	lines     [Classes]line
	byPromise tree
	number    uint64
}

func newQueue() *queue {
	q := &queue{}
	for class := range q.lines {
		q.lines[class].flows = make(map[string]flow)
	}
	return q
}

// enter puts a ticket into its line: a new one behind those of its namespace, one that lapsed where it was. It has no
// promise yet.
func (q *queue) enter(t *ticket, fresh bool) {
	l := &q.lines[t.class]
	if l.count == 0 {
		l.pass = q.passOf(t.class)
	}
	f := l.flows[t.namespace]
	if fresh {
		q.number++
		t.number = q.number
		t.tag = max(l.reached, f.last) + int64(t.calls)
		if t.class == Tokens {
			t.tag = int64(t.deadline)
		}
	}
	l.flows[t.namespace] = flow{last: max(f.last, t.tag), tickets: f.tickets + 1}
	l.insert(t.tag, t)
}

// promised notes when the owner of a ticket comes back.
func (q *queue) promised(t *ticket, at time.Duration) {
	if t.promise != 0 {
		q.byPromise.remove(int64(t.promise), t)
	}
	t.promise = at
	q.byPromise.insert(int64(at), t)
}

// leave takes a ticket out of its line.
func (q *queue) leave(t *ticket) {
	l := &q.lines[t.class]
	l.remove(t.tag, t)
	// Whoever comes next starts here. Somebody from the back may have gone first because those in front did not come;
	// that does not put newcomers behind the back.
	reached := t.tag
	if first := l.first(); first != nil {
		reached = min(reached, first.tag-int64(first.calls))
	}
	l.reached = max(l.reached, reached)
	f := l.flows[t.namespace]
	f.tickets--
	if f.tickets == 0 {
		delete(l.flows, t.namespace)
	} else {
		l.flows[t.namespace] = f
	}
	if t.promise != 0 {
		q.byPromise.remove(int64(t.promise), t)
		t.promise = 0
	}
}

// serve counts calls that were admitted.
func (q *queue) serve(class Class, calls int) {
	if q.byPromise.count == 0 {
		return // Nobody waited, so nobody went before anybody.
	}
	l := &q.lines[class]
	l.pass = q.passOf(class) + int64(calls)*strides[class]
}

// passOf returns how far a class has come. One where nobody waited has not saved up anything: it starts where the one
// stands that is least far.
func (q *queue) passOf(class Class) int64 {
	if q.lines[class].count > 0 {
		return q.lines[class].pass
	}
	least := int64(-1)
	for i := range q.lines {
		if l := &q.lines[i]; l.count > 0 && (least < 0 || l.pass < least) {
			least = l.pass
		}
	}
	if least < 0 {
		return 0
	}
	return max(q.lines[class].pass, least)
}

// roadmark is where the last call of a ticket stands on the common road of the classes.
func (q *queue) roadmark(t *ticket) (mark int64, throughIt int) {
	l := &q.lines[t.class]
	throughIt = l.through(t.tag, t.number)
	return l.pass + int64(throughIt)*strides[t.class], throughIt
}

// ahead returns the calls that go before a ticket in all lines, and how many of them are of class Tokens while it is
// not itself: these may be held up by their ceiling, and then the ticket goes before them all the same.
func (q *queue) ahead(t *ticket) (calls, tokens int) {
	mark, throughIt := q.roadmark(t)
	calls = throughIt - t.calls
	for i := range q.lines {
		class, l := Class(i), &q.lines[i]
		if class == t.class || l.count == 0 {
			continue
		}
		before := mark - l.pass
		if class > t.class { // Of two at the same mark, the higher class goes first.
			before--
		}
		n := min(l.calls(), int(max(0, before)/strides[class]))
		calls += n
		if class == Tokens {
			tokens = n
		}
	}
	return calls, tokens
}

// isBefore reports whether a ticket goes before another, whose roadmark is given.
func (q *queue) isBefore(t, other *ticket, mark int64) bool {
	if t.class == other.class {
		return t.tag < other.tag || t.tag == other.tag && t.number < other.number
	}
	own, _ := q.roadmark(t)
	return own < mark || own == mark && t.class < other.class
}
