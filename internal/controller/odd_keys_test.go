// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"strings"
	"testing"
)

// A value that cannot be a secret key is not sent; of one that Cal.com refuses, the condition says what it looks like.
func TestOddSecretKeys(t *testing.T) {
	pem := "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----"
	for name, tc := range map[string]struct {
		key, reason, words string
		sent               bool
	}{
		"ByteOrderMark": {"\ufeffcanary", "KeyNotFound", "byte order mark", false},
		"LineBreak":     {"can\nary", "KeyNotFound", "line break", false},
		"PEM":           {pem, "KeyNotFound", "PEM", false},
		"Large":         {strings.Repeat("canary", 120_000), "KeyNotFound", "720000 bytes", false},
		"Quotes":        {"'canary'", "Unauthorized", "quotation marks", true},
		"Bearer":        {"Bearer canary", "Unauthorized", "is a header", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.setSecret(tc.key)
			c, mu := s.acme(), s.create()
			s.wantConditions(mu, "CredentialsReady=False/"+tc.reason, "Ready=False/"+tc.reason, "Synced=Unknown/Progressing",
				map[bool]string{false: "Reconciling=True/Progressing", true: "Stalled=True/Unauthorized"}[tc.sent])
			s.wantMessage(mu, tc.words)
			if n := len(s.sandbox.Calls()); (n > 0) != tc.sent {
				t.Errorf("%d calls were made", n)
			}
			ready := s.judged(c)
			if ready.Reason != tc.reason || !strings.Contains(ready.Message, tc.words) {
				t.Errorf("the OAuthClient's condition is %+v", ready)
			}
			if text := show(mu) + ready.Message; strings.Contains(text, "canary") || !tc.sent && !strings.Contains(text, "under secretKey in Secret calcom") {
				t.Errorf("conditions:\n%s", text)
			}
		})
	}
}
