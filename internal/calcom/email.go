// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import "strings"

// StoredEmail returns the address under which Cal.com stores a plain one: +<client id> is put before the @,
// unless it stands there already.
func StoredEmail(plain, clientID string) string {
	local, domain, ok := strings.Cut(plain, "@")
	if !ok || strings.HasSuffix(local, "+"+clientID) {
		return plain
	}
	return local + "+" + clientID + "@" + domain
}

// PlainEmail takes exactly one +<client id> directly before the @ off a stored address.
func PlainEmail(stored, clientID string) string {
	local, domain, ok := strings.Cut(stored, "@")
	if !ok {
		return stored
	}
	return strings.TrimSuffix(local, "+"+clientID) + "@" + domain
}
