// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/calcom-operator/calcom-operator/internal/plan"
)

const (
	// narrow is the width that every output fits, and wide the longest line that is easy to read.
	narrow, wide = 80, 110
	// longestValue of a field that is shown in full, in characters.
	longestValue = 60
)

// width returns how long lines may be.
func (s *session) width() int {
	if file, ok := s.Out.(*os.File); ok {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 {
			return min(columns, wide)
		}
	}
	return narrow
}

// paragraph writes a text in lines that begin with an indent; the first one with a label instead, which has to be as
// long.
func (s *session) paragraph(label, indent, text string) {
	s.printf("%s\n", wrap(text, label, indent, s.width()))
}

// shown is a value as a person may see it: quoted where it could be taken for something else, or act upon the terminal,
// and not too long. Nil is no value.
func shown(value *string) string {
	if value == nil {
		return "(none)"
	}
	text := *value
	if letters := []rune(text); len(letters) > longestValue {
		text = string(letters[:longestValue-1]) + "…"
	}
	plain := text != "" && strings.TrimSpace(text) == text && !strings.HasPrefix(text, "(") && strings.IndexFunc(text, func(r rune) bool {
		return !unicode.IsPrint(r) || r == '"' || r == unicode.ReplacementChar
	}) < 0
	if plain {
		return text
	}
	return strconv.QuoteToGraphic(text)
}

// addresses says whether e-mail addresses may be shown: they are somebody's, and shown only where one user was asked
// for.
type addresses bool

// change is a change in one line: the field, what it is and what it is to be.
func (a addresses) change(c *plan.Change) string {
	switch {
	case c.Field == "email" && !bool(a):
		return "email: another address"
	case c.IsMark() && c.To == nil:
		return "the operator's mark is taken off"
	case c.IsMark():
		return "the operator's mark is put on"
	case c.From == nil:
		return fmt.Sprintf("%s: %s", c.Field, shown(c.To))
	}
	return fmt.Sprintf("%s: %s -> %s", c.Field, shown(c.From), shown(c.To))
}

// age is how long ago something was, as kubectl writes it.
func age(then, now time.Time) string {
	if then.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(then))
}

// count is a number of things.
func count(n int, one, many string) string {
	return fmt.Sprintf("%d %s", n, plural(n, one, many))
}
