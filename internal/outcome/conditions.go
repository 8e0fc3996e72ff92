// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MaxMessage bounds the message of a condition, in bytes.
const MaxMessage = 1024

// SetCondition adds a condition, or changes the one of its type, with a message within bounds.
func SetCondition(conditions *[]metav1.Condition, condition metav1.Condition) {
	condition.Message = Clip(condition.Message, MaxMessage)
	meta.SetStatusCondition(conditions, condition)
}

// Clip cuts a text to a number of bytes, at a rune's edge.
func Clip(message string, most int) string {
	if len(message) <= most {
		return message
	}
	const ellipsis = "…"
	cut := most - len(ellipsis)
	for cut > 0 && message[cut]&0xC0 == 0x80 { // The middle of a rune.
		cut--
	}
	return message[:cut] + ellipsis
}
