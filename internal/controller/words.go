// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// wordsSlot stands in a message for the words that quote puts there. No text of the server can hold it.
const wordsSlot = "\x00"

// quote puts words into a problem's message that may differ from one answer to the next.
func (p *problem) quote(words string) *problem {
	p.message, p.words = strings.Replace(p.message, wordsSlot, words, 1), words
	return p
}

// stable returns the problem in the words of the condition that tells of it already, if it differs from that in the
// words of the server alone. kinds are the conditions that may tell of it.
func (p *problem) stable(conditions []metav1.Condition, generation int64, kinds ...string) *problem {
	for _, kind := range kinds {
		told := meta.FindStatusCondition(conditions, kind)
		if told != nil && told.Status == metav1.ConditionFalse && told.Reason == p.reason && told.ObservedGeneration == generation &&
			differInWords(told.Message, p.message, p.words) {
			same := *p
			same.message = told.Message
			return &same
		}
	}
	return p
}

// differInWords reports whether two messages differ in nothing but the words of the server, which are some in the new one.
func differInWords(told, message, words string) bool {
	before, after, found := strings.Cut(message, words)
	if words == "" || !found {
		return false
	}
	rest, begins := strings.CutPrefix(told, before)
	return begins && strings.HasSuffix(rest, after)
}

// settleWords keeps what the conditions of an object say already of its problems. A person who asks for a reconcile gets
// the words of the last answer.
func settleWords(v *visit, p *problem) *problem {
	conditions, generation := v.mu.Status.Conditions, v.mu.Generation
	if t := v.tokens.problem; t != nil {
		v.tokens.problem = t.stable(conditions, generation, v1alpha1.ConditionTokensReady, v1alpha1.ConditionReady)
	}
	if p == nil || p.severity == stalled && v.requested() {
		return p
	}
	return p.stable(conditions, generation, p.condition, v1alpha1.ConditionReady)
}

// inFull returns a problem with the server's message beside status and code, for the condition of an OAuth client: there it
// stands once, and not with each user.
func (p *problem) inFull() *problem {
	e, ok := errors.AsType[*calcom.Error](p.cause)
	if !ok || p.words == "" || e.Message == "" {
		return p
	}
	full := *p
	full.words += ": " + strings.TrimRight(e.Message, ". ")
	full.message = strings.Replace(p.message, p.words, full.words, 1)
	return &full
}

// logRefusal writes what Cal.com says of credentials that stand in users alone: no condition of an OAuth client can.
func logRefusal(ctx context.Context, err error) {
	if e, ok := errors.AsType[*calcom.Error](err); ok {
		log.FromContext(ctx).Info("Cal.com refuses the credentials", "status", e.Status, "code", e.Code, "serverMessage", e.Message)
	}
}
