// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"errors"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// Slot stands in a message for the words that quote puts there. No text of the server can hold it.
const Slot = "\x00"

// Quote puts words into a problem's message that may differ from one answer to the next.
func (p *Problem) Quote(words string) *Problem {
	p.Message, p.Words = strings.Replace(p.Message, Slot, words, 1), words
	return p
}

// Stable returns the problem in the words of the condition that tells of it already, if it differs from that in the
// words of the server alone. kinds are the conditions that may tell of it.
func (p *Problem) Stable(conditions []metav1.Condition, generation int64, kinds ...string) *Problem {
	for _, kind := range kinds {
		told := meta.FindStatusCondition(conditions, kind)
		if told != nil && told.Status == metav1.ConditionFalse && told.Reason == p.Reason && told.ObservedGeneration == generation &&
			DifferInWords(told.Message, p.Message, p.Words) {
			same := *p
			same.Message = told.Message
			return &same
		}
	}
	return p
}

// DifferInWords reports whether two messages differ in nothing but the words of the server, which are some in the new
// one.
func DifferInWords(told, message, words string) bool {
	before, after, found := strings.Cut(message, words)
	if words == "" || !found {
		return false
	}
	rest, begins := strings.CutPrefix(told, before)
	return begins && strings.HasSuffix(rest, after)
}

// InFull returns a problem with the server's message beside status and code, for the condition of an OAuth client:
// there it stands once, and not with each user.
func (p *Problem) InFull() *Problem {
	e, ok := errors.AsType[*calcom.Error](p.Cause)
	if !ok || p.Words == "" || e.Message == "" {
		return p
	}
	full := *p
	full.Words += ": " + strings.TrimRight(e.Message, ". ")
	full.Message = strings.Replace(p.Message, p.Words, full.Words, 1)
	return &full
}
