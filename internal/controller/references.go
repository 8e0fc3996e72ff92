// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

// references says which key of a map in memory each object uses, so that an entry is dropped with the last object that
// uses it. It is not safe for concurrent use.
type references[K comparable] struct {
	of     map[string]K
	counts map[K]int
}

func newReferences[K comparable]() references[K] {
	return references[K]{of: make(map[string]K), counts: make(map[K]int)}
}

// set notes that an object uses a key from now on. It returns the key that the object used before, if no object uses
// that any more.
func (r *references[K]) set(object string, key K) (unused K, ok bool) {
	if was, used := r.of[object]; used && was == key {
		return unused, false
	}
	unused, ok = r.drop(object)
	r.of[object] = key
	r.counts[key]++
	return unused, ok
}

// drop notes that an object uses nothing any more. It returns the key that it used, if no object uses that any more.
func (r *references[K]) drop(object string) (unused K, ok bool) {
	was, used := r.of[object]
	if !used {
		return unused, false
	}
	delete(r.of, object)
	r.counts[was]--
	if r.counts[was] > 0 {
		return unused, false
	}
	delete(r.counts, was)
	return was, true
}
