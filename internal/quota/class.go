// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package quota

// Class is what a call is for. Of those that wait, a class gets four times the calls of the one below it.
type Class int

// The classes, the most urgent first.
const (
	Delete Class = iota // A deletion holds up a namespace, or a person.
	Create              // Somebody waits for the new user.
	Change              // A spec was edited, or somebody asked for a look.
	Tokens              // Tokens are renewed ahead of their time, so they can wait a little.
	Drift               // Nobody waits for these.

	// Classes is how many there are.
	Classes = iota
)

// strides is the way that one call of a class takes it down the common road; who is least far goes next. With four
// times the stride of the class above, drift gets at most a fifth of the calls while anybody else waits, and even it
// gets one of 257 while deletions never end.
var strides = [Classes]int64{1, 4, 16, 64, 256}

// String returns the name of the class, as metrics show it.
func (c Class) String() string {
	return [Classes]string{"delete", "create", "change", "tokens", "drift"}[c]
}
