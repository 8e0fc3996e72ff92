// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"container/list"

	"github.com/calcom-operator/calcom-operator/internal/quota"
)

// entry is an object in line.
type entry[K comparable] struct {
	key   K
	kind  Kind
	class quota.Class
	// woken is set from when the object was woken until it comes.
	woken bool
}

// line is the objects that wait for a place of one kind: by class, the most urgent first, and within a class in the
// order in which they came.
type line[K comparable] struct {
	classes [quota.Classes]list.List
}

func (l *line[K]) push(e *entry[K]) *list.Element {
	return l.classes[e.class].PushBack(e)
}

func (l *line[K]) remove(element *list.Element) {
	l.classes[entryOf[K](element).class].Remove(element)
}

// behind returns how many objects go before a newcomer of a class.
func (l *line[K]) behind(class quota.Class) int {
	before := 0
	for c := range l.classes[:class+1] {
		before += l.classes[c].Len()
	}
	return before
}

// first calls do for the first n entries, until it returns false.
func (l *line[K]) first(n int, do func(*entry[K]) bool) {
	for c := range l.classes {
		for element := l.classes[c].Front(); element != nil; element = element.Next() {
			if n <= 0 || !do(entryOf[K](element)) {
				return
			}
			n--
		}
	}
}

// isAmong reports whether an entry is one of the first n.
func (l *line[K]) isAmong(n int, e *entry[K]) bool {
	found := false
	l.first(n, func(other *entry[K]) bool {
		found = other == e
		return !found
	})
	return found
}

func entryOf[K comparable](element *list.Element) *entry[K] {
	e, ok := element.Value.(*entry[K])
	if !ok {
		panic("gate: a line holds entries only")
	}
	return e
}
