// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/sweep"
)

// census is what a command found out about an OAuth client's users.
type census struct {
	users map[int64]calcom.User
	// calls that it took.
	calls int
	// complete is set when these are all users of the client. The list shows 500 at most to whom asks for no address.
	complete bool
	// unknown are the addresses, by their lines, that Cal.com has no user for.
	unknown []line
}

// line is an address in a file.
type line struct {
	number  int
	address string
}

// inOrder returns the users by id.
func (c *census) inOrder() []calcom.User {
	return slices.SortedFunc(maps.Values(c.users), func(a, b calcom.User) int { return cmp.Compare(a.ID, b.ID) })
}

func (c *census) take(users []calcom.User) {
	c.calls++
	for _, user := range users {
		c.users[user.ID] = user
	}
}

// join adds what another census has read.
func (c *census) join(other *census) {
	maps.Copy(c.users, other.users)
	c.calls += other.calls
}

// rereads is how often the pages are read again that do not fit together.
const rereads = 3

// readAll reads every user that the list shows without an address: two pages of 250. They are in no certain order, so
// that one may show what the other did, and hide somebody else; then they are read again.
func readAll(ctx context.Context, a *account) (*census, error) {
	c := &census{users: make(map[int64]calcom.User)}
	for range 1 + rereads {
		first, err := a.users(ctx, calcom.MaxListed, 0)
		if err != nil {
			return nil, err
		}
		c.take(first)
		if len(first) < calcom.MaxListed {
			c.complete = true // Users that were only on an earlier first page are gone since.
			return c, nil
		}
		second, err := a.users(ctx, calcom.MaxListed, calcom.MaxOffset)
		if err != nil {
			return nil, err
		}
		c.take(second)
		switch total := len(first) + len(second); {
		case len(second) == calcom.MaxListed && len(c.users) >= total:
			return c, nil // There may be more behind, and nobody can tell.
		case len(second) < calcom.MaxListed && len(c.users) >= total:
			c.complete = true
			return c, nil
		}
	}
	return c, nil
}

// readByEmail reads the users with the given addresses. One that nobody has as it is written is looked for in lower
// case.
func readByEmail(ctx context.Context, a *account, lines []line, seen func(n int)) (*census, error) {
	c := &census{users: make(map[int64]calcom.User)}
	missing, err := c.ask(ctx, a, lines, seen)
	if err != nil {
		return nil, err
	}
	var lower []line
	for _, l := range missing {
		if l.address == strings.ToLower(l.address) {
			c.unknown = append(c.unknown, l)
			continue
		}
		l.address = strings.ToLower(l.address)
		lower = append(lower, l)
	}
	missing, err = c.ask(ctx, a, lower, func(int) {})
	c.unknown = append(c.unknown, missing...)
	slices.SortFunc(c.unknown, func(a, b line) int { return cmp.Compare(a.number, b.number) })
	return c, err
}

// ask asks for addresses, as many at a time as go into a call, and returns those without a user.
func (c *census) ask(ctx context.Context, a *account, lines []line, seen func(n int)) ([]line, error) {
	base, err := calcom.BaseURL(a.apiURL())
	if err != nil {
		return nil, err
	}
	addresses := make([]string, len(lines))
	for i, l := range lines {
		addresses[i] = l.address
	}
	var missing []line
	for room := sweep.Room(base, a.credentials.ID); len(lines) > 0; {
		n := sweep.Batch(addresses, calcom.MaxListed, room)
		users, err := a.usersByEmail(ctx, addresses[:n]...)
		if err != nil {
			return nil, err
		}
		c.take(users)
		found := make(map[string]bool, len(users))
		for _, user := range users {
			found[user.PlainEmail()] = true
		}
		for _, l := range lines[:n] {
			if !found[calcom.PlainEmail(l.address, a.credentials.ID)] {
				missing = append(missing, l)
			}
		}
		seen(n)
		lines, addresses = lines[n:], addresses[n:]
	}
	return missing, nil
}

// addresses reads the file, or the standard input for "-", that holds one address in each line: alone, or in the first
// column of a table with commas, semicolons or tabs. Empty lines and those that begin with # do not count, and neither
// does a heading.
func (s *session) addresses(ctx context.Context, path, clientID string) ([]line, error) {
	in := io.NopCloser(s.input(ctx))
	if path != "-" {
		file, err := os.Open(path) //nolint:gosec // The file is the one that the person names.
		if err != nil {
			return nil, advise(fmt.Errorf("reading the addresses: %w", err), "give --emails-from the file with one address per line, or - for the standard input")
		}
		in = file
	}
	defer func() { _ = in.Close() }()
	var lines []line
	known := make(map[string]bool)
	scanner := bufio.NewScanner(in)
	for number := 1; scanner.Scan(); number++ {
		text := calcom.PlainEmail(firstColumn(scanner.Text()), clientID)
		if text == "" || number == 1 && !strings.Contains(text, "@") || known[text] {
			continue
		}
		if !sweep.Askable(text, clientID) {
			return nil, complain(fmt.Sprintf("line %d of the addresses is none that Cal.com can be asked for", number), "correct or remove it")
		}
		known[text] = true
		lines = append(lines, line{number: number, address: text})
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("reading the addresses: %w", err)
	}
	if len(lines) == 0 {
		return nil, complain("there are no addresses in "+sourceOf(path), "give one per line")
	}
	return lines, nil
}

// sourceOf names a file, or the standard input.
func sourceOf(path string) string {
	if path == "-" {
		return "the standard input"
	}
	return path
}

// firstColumn returns the address in a line, nothing for a comment.
func firstColumn(text string) string {
	text = strings.TrimSpace(text)
	if i := strings.IndexAny(text, ",;\t "); i >= 0 {
		text = text[:i]
	}
	if strings.HasPrefix(text, "#") { // It can stand in an address, but hardly begins one.
		return ""
	}
	return strings.Trim(text, `"'`)
}
