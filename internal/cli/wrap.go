// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"io"
	"strings"
)

// wrap breaks a text into lines that are no longer than width, if their words are not, and begin with an indent; the
// first one with a label instead, which has to be as long.
func wrap(text, label, indent string, width int) string {
	var lines []string
	line, empty := label, true
	for word := range strings.FieldsSeq(text) {
		if !empty && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	return strings.Join(append(lines, strings.TrimRight(line, " ")), "\n")
}

// fitted is a message as it is written to out: broken into lines that fit, where out is a terminal.
func fitted(out io.Writer, message string) string {
	if !isTerminal(out) {
		return message
	}
	lines := strings.Split(message, "\n")
	for i, line := range lines {
		if len(line) > narrow {
			lines[i] = wrap(line, "", "", narrow)
		}
	}
	return strings.Join(lines, "\n")
}
