// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// confirm asks whether to go on, where somebody can be asked; elsewhere --yes has to have said so.
func (s *session) confirm(ctx context.Context, question string, yes bool) error {
	if yes {
		return nil
	}
	if !isTerminal(s.In) {
		return complain("nobody can be asked whether to go on", "say so by --yes, or see by --dry-run what would be done")
	}
	answer, err := s.ask(ctx, question+" [y/N] ")
	if err != nil {
		return err
	}
	if answer = strings.ToLower(answer); answer != "y" && answer != "yes" {
		return complain("nothing was done", "answer y to go on")
	}
	return nil
}

// confirmNumber has a person type how many things a command is about to do away with. A program gives the number
// beforehand.
func (s *session) confirmNumber(ctx context.Context, given, want int, what string) error {
	if given != 0 {
		if given != want {
			return complain(fmt.Sprintf("--confirm=%d, and there are %d %s", given, want, what), "look at the list again")
		}
		return nil
	}
	if !isTerminal(s.In) {
		return complain(fmt.Sprintf("nobody is here to confirm %d %s", want, what), fmt.Sprintf("give --confirm %d after a look at the list", want))
	}
	answer, err := s.ask(ctx, fmt.Sprintf("Type the number of %s (%d): ", what, want))
	if err != nil {
		return err
	}
	if answer != strconv.Itoa(want) {
		return complain("the number is another one", "nothing was done")
	}
	return nil
}

// ask puts a question and returns the answer; who ends the input answers nothing.
func (s *session) ask(ctx context.Context, question string) (string, error) {
	_, _ = fmt.Fprint(s.ErrOut, question)
	answer, err := bufio.NewReader(s.input(ctx)).ReadString('\n')
	if errors.Is(err, context.Canceled) {
		_, _ = fmt.Fprintln(s.ErrOut) // The cursor stands behind the question.
		return "", complain("interrupted, and nothing was done", "")
	}
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("reading the answer: %w", err)
	}
	return strings.TrimSpace(answer), nil
}

// input is the standard input. A read of it ends when the command is interrupted: nobody types any more then.
func (s *session) input(ctx context.Context) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		type result struct {
			n   int
			err error
		}
		read, buffer := make(chan result, 1), make([]byte, len(p)) // Of its own: a read that is given up may still end.
		go func() {
			n, err := s.In.Read(buffer)
			read <- result{n, err}
		}()
		select {
		case r := <-read:
			return copy(p, buffer[:r.n]), r.err
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// isTerminal reports whether a person is at the other end of a stream.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
