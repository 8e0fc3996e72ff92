// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package account names the accounts that the operator calls Cal.com with.
package account

import (
	"crypto/sha256"
	"fmt"
)

// Name is an OAuth client of one server. All its users share one quota.
type Name struct {
	// APIURL is in the form of calcom.BaseURL.
	APIURL string
	// ClientID of the OAuth client.
	ClientID string
}

// RecordKey returns the account's key in a ConfigMap: the client's id and, since one id may exist on two servers, a
// hash.
func (n Name) RecordKey() string {
	hash := sha256.Sum256([]byte(n.APIURL))
	return fmt.Sprintf("%s.%x", n.ClientID, hash[:4])
}
