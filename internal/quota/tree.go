// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package quota

// tree holds tickets in the order of a key, and knows how many calls stand before each. It is a treap, whose shape
// follows from the tickets' numbers alone, so that the same history gives the same decisions. The standard library has
// no ordered collection, and the usual B-trees cannot sum up.
type tree struct {
	root  *node
	count int // Tickets.
}

type node struct {
	key         int64
	number      uint64 // It is unique, above zero, and decides between equal keys.
	ticket      *ticket
	sum         int // Calls of the node and all below.
	weight      uint64
	left, right *node
}

// sumOf and add keep the sums.
func (n *node) sumOf() int {
	if n == nil {
		return 0
	}
	return n.sum
}

func (n *node) add() *node {
	n.sum = n.left.sumOf() + n.ticket.calls + n.right.sumOf()
	return n
}

// isUpTo reports whether the node stands before a place, or at it.
func (n *node) isUpTo(key int64, number uint64) bool {
	return n.key < key || n.key == key && n.number <= number
}

// calls returns the calls of all tickets.
func (t *tree) calls() int { return t.root.sumOf() }

// through returns the calls of the tickets before a place and at it.
func (t *tree) through(key int64, number uint64) int {
	sum := 0
	for n := t.root; n != nil; {
		if n.isUpTo(key, number) {
			sum += n.left.sumOf() + n.ticket.calls
			n = n.right
		} else {
			n = n.left
		}
	}
	return sum
}

// first returns the first ticket, or nil.
func (t *tree) first() *ticket {
	if t.root == nil {
		return nil
	}
	n := t.root
	for n.left != nil {
		n = n.left
	}
	return n.ticket
}

// ascend visits the tickets in order until visit returns false.
func (t *tree) ascend(visit func(*ticket) bool) { t.root.ascend(visit) }

func (n *node) ascend(visit func(*ticket) bool) bool {
	return n == nil || n.left.ascend(visit) && visit(n.ticket) && n.right.ascend(visit)
}

func (t *tree) insert(key int64, ticket *ticket) {
	t.count++
	fresh := &node{key: key, number: ticket.number, ticket: ticket, weight: scatter(ticket.number)}
	left, right := split(t.root, key, ticket.number)
	t.root = join(join(left, fresh.add()), right)
}

// remove takes out the ticket that was inserted with a key.
func (t *tree) remove(key int64, ticket *ticket) {
	t.count--
	left, right := split(t.root, key, ticket.number)
	left, _ = split(left, key, ticket.number-1)
	t.root = join(left, right)
}

// split divides a tree into the nodes up to a place and the rest.
func split(n *node, key int64, number uint64) (left, right *node) {
	if n == nil {
		return nil, nil
	}
	if n.isUpTo(key, number) {
		n.right, right = split(n.right, key, number)
		return n.add(), right
	}
	left, n.left = split(n.left, key, number)
	return left, n.add()
}

// join puts two trees together, all of the first before all of the second.
func join(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.weight > b.weight:
		a.right = join(a.right, b)
		return a.add()
	}
	b.left = join(a, b.left)
	return b.add()
}

// scatter is the finalizer of SplitMix64: numbers in a row come out as if by chance.
func scatter(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
