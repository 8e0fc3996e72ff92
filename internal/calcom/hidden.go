// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"encoding/json"
	"fmt"
	"io"
)

// hiddenText stands for every hidden value, so that not even its length shows.
const hiddenText = "[hidden]"

// Hidden holds what must not be shown: a secret key, a token, or somebody's data. However it is printed, logged or
// encoded, by itself or inside of something else, it shows hiddenText. Only Reveal gives the value out. The zero
// value holds the zero value of T.
type Hidden[T any] struct {
	// Package fmt asks no method of what it reaches through an unexported field, and some verbs follow a pointer there.
	// Nothing looks into a function.
	reveal func() T
}

// Hide returns the value hidden.
func Hide[T any](value T) Hidden[T] {
	return Hidden[T]{reveal: func() T { return value }}
}

// Reveal returns the value, for a request, a comparison, or the object that is its owner's own.
func (h Hidden[T]) Reveal() T {
	if h.reveal == nil {
		var zero T
		return zero
	}
	return h.reveal()
}

// IsZero reports whether nothing was ever hidden here.
func (h Hidden[T]) IsZero() bool { return h.reveal == nil }

// Format answers every verb of package fmt.
func (Hidden[T]) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hiddenText) }

// String is for those who ask for a text without package fmt.
func (Hidden[T]) String() string { return hiddenText }

// GoString is String for %#v.
func (Hidden[T]) GoString() string { return hiddenText }

// MarshalLog is what github.com/go-logr/logr shows.
func (Hidden[T]) MarshalLog() any { return hiddenText }

// MarshalJSON hides the value from encoders too, since structured loggers, log/slog among them, write JSON. What goes
// to the server is built from revealed values, as userBody is.
func (Hidden[T]) MarshalJSON() ([]byte, error) { return json.Marshal(hiddenText) }

// UnmarshalJSON reads the value itself.
func (h *Hidden[T]) UnmarshalJSON(data []byte) error {
	var value T
	if err := json.Unmarshal(data, &value); err != nil {
		return err
	}
	*h = Hide(value)
	return nil
}
