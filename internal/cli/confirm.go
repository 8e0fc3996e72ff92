// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// confirm asks whether to go on, where somebody can be asked; elsewhere --yes has to have said so.
func (s *session) confirm(question string, yes bool) error {
	if yes {
		return nil
	}
	if file, ok := s.In.(*os.File); !ok || !term.IsTerminal(int(file.Fd())) {
		return complain("nobody can be asked whether to go on", "say so by --yes, or see by --dry-run what would be done")
	}
	_, _ = fmt.Fprintf(s.ErrOut, "%s [y/N] ", question)
	answer, err := bufio.NewReader(s.In).ReadString('\n')
	if err != nil && err != io.EOF {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return complain("nothing was done", "answer y to go on")
	}
	return nil
}
