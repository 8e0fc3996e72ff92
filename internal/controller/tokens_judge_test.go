// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// judged is one Secret as the judge may find it.
type judged struct {
	foundTokens

	stored, newer *tokenPair
	record        tokensRecord
}

func newJudged() *judged {
	mu := pureUser()
	mu.UID = "uid-1"
	mu.Spec.Tokens = &v1alpha1.TokensSpec{SecretName: tokensName}
	mu.Status.User = &v1alpha1.CalcomUser{ID: 7, Email: "alice@example.com"}
	pairOf := func(name string, issued time.Time) *tokenPair {
		return &tokenPair{userID: 7, issued: issued, Tokens: calcom.Tokens{
			AccessToken: calcom.Hide("access " + name), RefreshToken: calcom.Hide("refresh " + name),
			AccessTokenExpiresAt: issued.Add(time.Hour).UnixMilli(), RefreshTokenExpiresAt: issued.AddDate(1, 0, 0).UnixMilli(),
		}}
	}
	j := &judged{stored: pairOf("stored", pureNow), newer: pairOf("newer", pureNow.Add(time.Minute))}
	j.mu, j.userID, j.due = mu, 7, func(*tokenPair) bool { return false }
	j.want = calcom.Hide(tokensData(mu, account.Name{}, 7, nil))
	j.record = recordOf(mu.UID, j.stored)
	j.secret = &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{Kind: "ManagedUser", UID: mu.UID, Controller: new(true)}}},
		Type:       v1alpha1.TokensSecretType, Data: tokensData(mu, account.Name{}, 7, j.stored),
	}
	mu.Status.Tokens = &v1alpha1.TokensStatus{SecretName: tokensName, AccessTokenExpiresAt: metav1.NewTime(j.stored.expires())}
	return j
}

func TestJudgeTokens(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*judged)
		want   tokensVerdict
		why    string
	}{
		"Intact":              {func(*judged) {}, keepTokens, ""},
		"IntactAndKnown":      {func(j *judged) { j.newest = j.stored }, keepTokens, ""},
		"Due":                 {func(j *judged) { j.due = func(*tokenPair) bool { return true } }, refreshTokens, ""},
		"RefreshUnderWay":     {func(j *judged) { j.record.Pending = pendingRefresh }, refreshTokens, ""},
		"AnswerNotWrittenYet": {func(j *judged) { j.record.Pending, j.newest = pendingRefresh, j.newer }, writeTokens, ""},
		"ForceUnderWay":       {func(j *judged) { j.record.Pending = pendingForce }, forceTokens, lostForce},
		"ForceNotWrittenYet":  {func(j *judged) { j.record.Pending, j.record.PendingAt, j.newest = pendingForce, pureNow, j.newer }, writeTokens, ""},
		"ForceOfAnother": {func(j *judged) {
			j.record.Pending, j.record.PendingAt, j.newest = pendingForce, pureNow.Add(time.Hour), j.newer
		}, forceTokens, lostForce},
		"RestoredFromABackup":  {func(j *judged) { j.newest = j.newer }, writeTokens, ""},
		"RenewedByAnother":     {func(j *judged) { j.newest = j.newer; j.record.IssuedAt = pureNow.Add(time.Hour) }, keepTokens, ""},
		"OtherEmail":           {func(j *judged) { j.secret.Data["email"] = []byte("bob@example.com") }, writeTokens, ""},
		"KeysOfOthers":         {func(j *judged) { j.secret.Data["note"] = []byte("theirs") }, keepTokens, ""},
		"AccessEditedKnown":    {func(j *judged) { j.newest = j.stored; j.secret.Data["accessToken"] = nil }, writeTokens, ""},
		"AccessEdited":         {func(j *judged) { j.secret.Data["accessToken"] = nil }, refreshTokens, ""},
		"RefreshEditedKnown":   {func(j *judged) { j.newest = j.stored; j.secret.Data["refreshToken"] = nil }, writeTokens, ""},
		"RefreshEdited":        {func(j *judged) { j.secret.Data["refreshToken"] = []byte("bob's") }, forceTokens, lostEdited},
		"RecordLost":           {func(j *judged) { j.record = tokensRecord{} }, refreshTokens, ""},
		"RecordAndUserLost":    {func(j *judged) { j.record = tokensRecord{}; delete(j.secret.Data, "userID") }, forceTokens, lostEdited},
		"RecordAndTokensLost":  {func(j *judged) { j.record = tokensRecord{}; delete(j.secret.Data, "refreshToken") }, forceTokens, lostEdited},
		"PlaceholderOnly":      {func(j *judged) { j.record = tokensRecord{UserID: 7}; j.secret.Data = j.want.Reveal() }, forceTokens, lostNever},
		"OtherUser":            {func(j *judged) { j.userID = 8 }, forceTokens, lostUser},
		"OtherUserKnown":       {func(j *judged) { j.userID, j.newer.userID, j.newest = 8, 8, j.newer }, writeTokens, ""},
		"OtherUserStaleMemory": {func(j *judged) { j.userID, j.newest = 8, j.newer }, forceTokens, lostUser},
		"Gone":                 {func(j *judged) { j.secret = nil }, forceTokens, lostSecret},
		"GoneKnown":            {func(j *judged) { j.secret, j.newest = nil, j.stored }, writeTokens, ""},
		"GoneAndRenewedByAnother": {func(j *judged) {
			j.secret, j.newest = nil, j.stored
			j.mu.Status.Tokens.AccessTokenExpiresAt.Time = pureNow.Add(2 * time.Hour)
		}, forceTokens, lostSecret},
		"NeverThere":                {func(j *judged) { j.secret, j.mu.Status.Tokens = nil, nil }, forceTokens, lostNever},
		"NeverThereKnown":           {func(j *judged) { j.secret, j.newest, j.mu.Status.Tokens = nil, j.stored, nil }, writeTokens, ""},
		"ForeignWithoutOwner":       {func(j *judged) { j.secret.OwnerReferences = nil }, foreignSecret, ""},
		"ForeignOwner":              {func(j *judged) { j.secret.OwnerReferences[0].UID = "uid-2" }, foreignSecret, ""},
		"ForeignThatIsNoController": {func(j *judged) { j.secret.OwnerReferences[0].Controller = nil }, foreignSecret, ""},
		"ForeignType":               {func(j *judged) { j.secret.Type = corev1.SecretTypeOpaque }, foreignSecret, ""},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJudged()
			tc.change(j)
			if j.secret != nil && j.record.UserID != 0 {
				j.secret.Annotations = map[string]string{v1alpha1.TokensAnnotation: j.record.encode()}
			}
			got := judgeTokens(&j.foundTokens)
			if d := cmp.Diff([]string{string(tc.want), tc.why}, []string{string(got.verdict), got.why}); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if (got.verdict == writeTokens || got.verdict == keepTokens || got.verdict == refreshTokens) && got.pair == nil {
				t.Error("there is no pair to do it with")
			}
		})
	}
}

func TestTokensRecord(t *testing.T) {
	j := newJudged()
	j.record.Pending, j.record.PendingAt, j.record.ForcedAt = pendingForce, pureNow, pureNow.Add(-time.Hour)
	got, ok := readTokensRecord(map[string]string{v1alpha1.TokensAnnotation: j.record.encode()})
	if d := cmp.Diff(j.record, got); d != "" || !ok {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, value := range []string{"", "{}", "null", "[]", `{"userID":"7"}`, `{"userID":7,"issuedAt":"yesterday"}`} {
		if _, ok := readTokensRecord(map[string]string{v1alpha1.TokensAnnotation: value}); ok {
			t.Errorf("%q passes for a record", value)
		}
	}
	if fingerprint("uid-1", j.stored.AccessToken) == fingerprint("uid-2", j.stored.AccessToken) {
		t.Error("the same token has the same fingerprint on two objects")
	}
}
