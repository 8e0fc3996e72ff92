// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/renewal"
)

// tokenPair is an access and a refresh token of a user as Cal.com issued them.
type tokenPair struct {
	calcom.Tokens

	userID int64
	issued time.Time
}

// Format keeps the pair out of whatever prints it.
func (*tokenPair) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "[tokens]") }

func (p *tokenPair) expires() time.Time { return time.UnixMilli(p.AccessTokenExpiresAt).UTC() }

func (p *tokenPair) refreshExpires() time.Time { return time.UnixMilli(p.RefreshTokenExpiresAt).UTC() }

// The calls for new tokens that a record can announce.
const (
	pendingRefresh = "refresh"
	pendingForce   = "forceRefresh"
)

// tokensRecord is what the operator keeps on the Secret beside the tokens, as JSON in an annotation. No secret can be
// made out of it: a fingerprint is of 256 random bits at least.
type tokensRecord struct {
	// UserID of the user whose tokens these are.
	UserID int64 `json:"userID"`
	// IssuedAt and ExpiresAt are the life of the access token; zero before there is one.
	IssuedAt  time.Time `json:"issuedAt,omitzero"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	// Access and Refresh are fingerprints of the tokens, by which an edit by hand is told from what the operator wrote.
	Access  string `json:"access,omitempty"`
	Refresh string `json:"refresh,omitempty"`
	// ForcedAt is when all tokens of the user were last ended.
	ForcedAt time.Time `json:"forcedAt,omitzero"`
	// Pending is the call for new tokens that was about to be sent at PendingAt, and whose outcome is not recorded yet.
	Pending   string    `json:"pending,omitempty"`
	PendingAt time.Time `json:"pendingAt,omitzero"`
}

func (t *tokensRecord) encode() string {
	value, err := json.Marshal(t)
	if err != nil { // Not possible for these fields.
		panic(err)
	}
	return string(value)
}

// readTokensRecord reads the record off a Secret's annotations.
func readTokensRecord(annotations map[string]string) (tokensRecord, bool) {
	var t tokensRecord
	value, ok := annotations[v1alpha1.TokensAnnotation]
	return t, ok && json.Unmarshal([]byte(value), &t) == nil && t.UserID != 0
}

func (t *tokensRecord) life() renewal.Life {
	return renewal.Life{Issued: t.IssuedAt, Expires: t.ExpiresAt}
}

// describes reports whether the record is of these tokens.
func (t *tokensRecord) describes(uid types.UID, p *tokenPair) bool {
	return t.UserID == p.userID && t.Access == fingerprint(uid, p.AccessToken) && t.Refresh == fingerprint(uid, p.RefreshToken)
}

// recordOf returns the record of a pair, with nothing pending.
func recordOf(uid types.UID, p *tokenPair) tokensRecord {
	return tokensRecord{
		UserID: p.userID, IssuedAt: p.issued.UTC(), ExpiresAt: p.expires(),
		Access: fingerprint(uid, p.AccessToken), Refresh: fingerprint(uid, p.RefreshToken),
	}
}

// fingerprint tells one token from another and does not lead back to it. The salt, the object's UID, keeps one from
// being found again on another object.
func fingerprint(uid types.UID, token calcom.Hidden[string]) string {
	sum := sha256.Sum256([]byte(string(uid) + "\x00" + token.Reveal()))
	return hex.EncodeToString(sum[:16])
}

// tokensData is what the Secret holds. Without a pair, the tokens themselves are missing.
func tokensData(mu *v1alpha1.ManagedUser, of account.Name, userID int64, p *tokenPair) map[string][]byte {
	data := map[string][]byte{
		v1alpha1.TokensKeyUserID:   []byte(strconv.FormatInt(userID, 10)),
		v1alpha1.TokensKeyEmail:    []byte(calcom.PlainEmail(mu.Status.User.Email, of.ClientID)),
		v1alpha1.TokensKeyClientID: []byte(of.ClientID),
		v1alpha1.TokensKeyAPIURL:   []byte(of.APIURL),
	}
	if p != nil {
		data[v1alpha1.TokensKeyAccessToken] = []byte(p.AccessToken.Reveal())
		data[v1alpha1.TokensKeyRefreshToken] = []byte(p.RefreshToken.Reveal())
		data[v1alpha1.TokensKeyAccessTokenExpiresAt] = []byte(p.expires().Format(time.RFC3339))
		data[v1alpha1.TokensKeyRefreshTokenExpiresAt] = []byte(p.refreshExpires().Format(time.RFC3339))
	}
	return data
}

// pairIn reads the tokens out of a Secret as they stand there; the record, if it is sound, says when they were issued.
func pairIn(secret *corev1.Secret, record *tokensRecord) *tokenPair {
	text := func(key string) string { return string(secret.Data[key]) }
	when := func(key string) int64 {
		t, err := time.Parse(time.RFC3339, text(key))
		if err != nil {
			return 0
		}
		return t.UnixMilli()
	}
	userID, err := strconv.ParseInt(text(v1alpha1.TokensKeyUserID), 10, 64)
	if err != nil {
		userID = 0
	}
	return &tokenPair{
		userID: userID, issued: record.IssuedAt,
		Tokens: calcom.Tokens{
			AccessToken:           calcom.Hide(text(v1alpha1.TokensKeyAccessToken)),
			RefreshToken:          calcom.Hide(text(v1alpha1.TokensKeyRefreshToken)),
			AccessTokenExpiresAt:  when(v1alpha1.TokensKeyAccessTokenExpiresAt),
			RefreshTokenExpiresAt: when(v1alpha1.TokensKeyRefreshTokenExpiresAt),
		},
	}
}

// holds reports whether the Secret's data is, key by key, what it should be. Keys of others are no concern.
func holds(secret *corev1.Secret, want map[string][]byte) bool {
	have := maps.Clone(secret.Data)
	maps.DeleteFunc(have, func(key string, _ []byte) bool { _, ours := want[key]; return !ours })
	return maps.EqualFunc(have, want, bytes.Equal)
}

// ownsTokens reports whether an object is the owner of a Secret with tokens, as far as its metadata tells.
func ownsTokens(mu *v1alpha1.ManagedUser, secret metav1.Object) bool {
	owner := metav1.GetControllerOf(secret)
	return owner != nil && owner.UID == mu.UID && owner.Kind == "ManagedUser"
}
