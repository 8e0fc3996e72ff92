// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// width is that of the narrowest terminal that output is made for.
const width = 80

// wrap breaks a text into lines that begin with an indent and fit into a terminal.
func wrap(text, indent string) string {
	var b strings.Builder
	b.WriteString(indent)
	used := len(indent)
	for i, word := range strings.Fields(text) {
		if i > 0 {
			if used+1+len(word) > width {
				b.WriteString("\n" + indent)
				used = len(indent)
			} else {
				b.WriteString(" ")
				used++
			}
		}
		b.WriteString(word)
		used += len(word)
	}
	return b.String()
}

// fitted is a message as it is written to out: broken into lines that fit, where out is a terminal.
func fitted(out io.Writer, message string) string {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return message
	}
	lines := strings.Split(message, "\n")
	for i, line := range lines {
		if len(line) > width {
			lines[i] = wrap(line, "")
		}
	}
	return strings.Join(lines, "\n")
}
