// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/api/meta"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// UsernameKey returns what is alike in all addresses of which Cal.com makes one username: the local part and the first
// two labels of the domain, most punctuation counted alike. It may be alike for others as well; these are reconciled
// for nothing.
func UsernameKey(email string) string {
	local, domain, _ := strings.Cut(email, "@")
	labels := strings.SplitN(domain, ".", 3)
	words := strings.FieldsFunc(strings.ToLower(local+"-"+strings.Join(labels[:min(2, len(labels))], "-")), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	return strings.Join(words, "-")
}

// heldUsername returns the username key of the user that an object owns, or nothing.
func heldUsername(mu *v1alpha1.ManagedUser) string {
	if mu == nil || mu.Status.Origin == "" || mu.Status.User == nil {
		return ""
	}
	return UsernameKey(PlainAddress(mu))
}

// FreedUsername returns the username key that an object held and holds no longer, or nothing. after is nil for an
// object that is gone.
func FreedUsername(before, after *v1alpha1.ManagedUser) string {
	if was := heldUsername(before); was != heldUsername(after) {
		return was
	}
	return ""
}

// IsInConflict reports whether an object waits for an address or a username that another user has.
func IsInConflict(mu *v1alpha1.ManagedUser) bool {
	synced := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionSynced)
	return synced != nil && slices.Contains([]string{
		v1alpha1.ReasonAlreadyExists, v1alpha1.ReasonOwnedElsewhere, v1alpha1.ReasonUsernameConflict,
	}, synced.Reason)
}
