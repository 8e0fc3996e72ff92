// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// confirmNumber has a person type how many things a command is about to do away with. A program gives the number beforehand.
func (s *session) confirmNumber(given, want int, what string) error {
	if given != 0 {
		if given != want {
			return complain(fmt.Sprintf("--confirm=%d, and there are %d %s", given, want, what), "look at the list again")
		}
		return nil
	}
	file, ok := s.In.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return complain(fmt.Sprintf("nobody is here to confirm %d %s", want, what), fmt.Sprintf("give --confirm %d after a look at the list", want))
	}
	_, _ = fmt.Fprintf(s.ErrOut, "Type the number of %s (%d): ", what, want)
	answer, err := bufio.NewReader(s.In).ReadString('\n')
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if strings.TrimSpace(answer) != strconv.Itoa(want) {
		return complain("the number is another one", "nothing was done")
	}
	return nil
}
