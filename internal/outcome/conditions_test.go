// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

func TestClip(t *testing.T) {
	cases := map[string]struct{ message, want string }{
		"Empty":          {"", ""},
		"Short":          {"Short", "Short"},
		"ExactlyFits":    {strings.Repeat("a", MaxMessage), strings.Repeat("a", MaxMessage)},
		"OneTooMany":     {strings.Repeat("a", MaxMessage+1), strings.Repeat("a", MaxMessage-3) + "…"},
		"RunesThatFit":   {strings.Repeat("ä", MaxMessage/2), strings.Repeat("ä", MaxMessage/2)},
		"CutInARune":     {strings.Repeat("ä", MaxMessage), strings.Repeat("ä", (MaxMessage-3)/2) + "…"},
		"CutAtARune":     {"a" + strings.Repeat("ä", MaxMessage), "a" + strings.Repeat("ä", (MaxMessage-4)/2) + "…"},
		"CutInFourBytes": {strings.Repeat("😀", MaxMessage), strings.Repeat("😀", (MaxMessage-3)/4) + "…"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := Clip(tc.message, MaxMessage)
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("message (-want +got):\n%s", d)
			}
			if len(got) > MaxMessage || !utf8.ValidString(got) {
				t.Errorf("%d bytes, valid %t", len(got), utf8.ValidString(got))
			}
		})
	}
}

// escalate leaves alone what heals without anybody, and what has nothing to do with credentials.
func TestEscalate(t *testing.T) {
	now := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	long := []metav1.Condition{{
		Type: v1alpha1.ConditionCredentialsReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonSecretNotFound,
		LastTransitionTime: metav1.NewTime(now.Add(-time.Hour)),
	}}
	if (*Problem)(nil).Escalate(long, now) != nil {
		t.Error("no problem became one")
	}
	for name, test := range map[string]struct {
		problem    *Problem
		conditions []metav1.Condition
		severity   Severity
		within     time.Duration
	}{
		"first seen":         {NotUsable(v1alpha1.ReasonSecretNotFound, Waiting, "x"), nil, Waiting, ArrivalGrace},
		"seen long ago":      {NotUsable(v1alpha1.ReasonClientNotFound, Waiting, "x"), long, Stalled, 0},
		"a server's failure": {&Problem{Condition: v1alpha1.ConditionSynced, Severity: Waiting}, long, Waiting, 0},
		"a quota":            {&Problem{Condition: v1alpha1.ConditionCredentialsReady, Severity: Transient}, long, Transient, 0},
	} {
		got := test.problem.Escalate(test.conditions, now)
		if got.Severity != test.severity || got.Within != test.within {
			t.Errorf("%s: severity %v, again within %v", name, got.Severity, got.Within)
		}
	}
}

func TestInFull(t *testing.T) {
	e := &calcom.Error{Operation: calcom.OpList, Status: 401, Code: "UnauthorizedException", Message: "Invalid client secret."}
	p := Classify(e)
	if strings.Contains(p.Message, "Invalid") || !strings.Contains(p.InFull().Message, "(status 401 UnauthorizedException: Invalid client secret); put") {
		t.Errorf("got %q and in full %q", p.Message, p.InFull().Message)
	}
	other := *e
	other.Code, other.Message = "Other", "Another request."
	told := []metav1.Condition{{
		Type: v1alpha1.ConditionCredentialsReady, Status: metav1.ConditionFalse, Reason: p.Reason, ObservedGeneration: 3, Message: p.InFull().Message,
	}}
	if got := Classify(&other).InFull().Stable(told, 3, v1alpha1.ConditionCredentialsReady).Message; got != told[0].Message {
		t.Errorf("the words of another answer are written: %q", got)
	}
	if got := Classify(&other).InFull().Stable(told, 4, v1alpha1.ConditionCredentialsReady).Message; got == told[0].Message {
		t.Errorf("those of an older generation are kept: %q", got)
	}
}
