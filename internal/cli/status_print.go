// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/reasons"
)

// mostNames is how many users are named where one remedy is for all of them.
const mostNames = 5

func (s *session) printOverview(view *overview, namespaces bool) error {
	if len(view.Users) == 0 && len(view.Clients) == 0 {
		s.tell("There are no users here; -A looks at all namespaces.")
		return nil
	}
	header := []string{"NAME", "READY", "REASON", "USER ID", "AGE"}
	var rows [][]string
	for i := range view.Users {
		u := &view.Users[i]
		id := ""
		if u.UserID != 0 {
			id = strconv.FormatInt(u.UserID, 10)
		}
		rows = append(rows, []string{u.Name, u.Ready, u.Reason, id, u.Age})
	}
	if namespaces {
		header = append([]string{"NAMESPACE"}, header...)
		for i := range rows {
			rows[i] = append([]string{view.Users[i].Namespace}, rows[i]...)
		}
	}
	if len(rows) > 0 {
		if err := s.table(header, rows); err != nil {
			return err
		}
		s.printf("\n")
	}
	s.printTroubles(view.Users, namespaces)
	return s.printClients(view.Clients, namespaces)
}

// printTroubles writes each reason for which users are not Ready, with the remedy and some of their names.
func (s *session) printTroubles(users []userRow, namespaces bool) {
	type trouble struct{ reason, remedy string }
	byReason := make(map[trouble][]string)
	var order []trouble
	for i := range users {
		u := &users[i]
		if u.Ready == string(metav1.ConditionTrue) || u.Reason == "" {
			continue
		}
		name := u.Name
		if namespaces {
			name = u.Namespace + "/" + name
		}
		why := trouble{u.Reason, u.Remedy}
		if byReason[why] == nil {
			order = append(order, why)
		}
		byReason[why] = append(byReason[why], name)
	}
	slices.SortStableFunc(order, func(a, b trouble) int { return cmp.Compare(len(byReason[b]), len(byReason[a])) })
	for _, why := range order {
		names := byReason[why]
		s.printf("%s: %s\n", why.reason, count(len(names), "user", "users"))
		if r, ok := reasons.Find(why.reason); ok {
			s.paragraph("  ", "  ", r.Meaning)
		}
		if why.remedy != "" {
			s.paragraph("  What to do: ", "  ", why.remedy)
		}
		shown := names[:min(len(names), mostNames)]
		list := strings.Join(shown, ", ")
		if more := len(names) - len(shown); more > 0 {
			list += fmt.Sprintf(" and %d more", more)
		}
		s.paragraph("  Users: ", "    ", list)
		s.printf("\n")
	}
}

func (s *session) printClients(clients []clientRow, namespaces bool) error {
	header := []string{"OAUTH CLIENT", "READY", "USERS", "QUOTA", "DRIFTED", "MISSING", "LEAKED"}
	var rows [][]string
	for i := range clients {
		c := &clients[i]
		name := c.Client
		if namespaces && c.Namespace != "" {
			name = c.Namespace + "/" + name
		}
		row := []string{name, cmp.Or(c.Ready, "-"), fmt.Sprintf("%d/%d", c.ReadyUsers, c.Users), "-", "-", "-", "-"}
		if c.Quota != nil {
			row[3] = fmt.Sprintf("%d of %d", c.Quota.Allowed, c.Quota.Limit)
		}
		if c.Use != nil {
			row[3] += fmt.Sprintf(", %d used", c.Use.Used)
		}
		if c.Sweep != nil {
			row[4], row[5], row[6] = strconv.Itoa(int(c.Sweep.Drifted)), strconv.Itoa(int(c.Sweep.Missing)), strconv.Itoa(int(c.Sweep.Leaked))
		}
		rows = append(rows, row)
	}
	if err := s.table(header, rows); err != nil {
		return err
	}
	s.printf("\n")
	s.paragraph("", "", "USERS are the Ready ones and all that are shown, QUOTA is what the operator may use of the calls in 60 seconds, and the rest is what the last drift sweep found.")
	for i := range clients {
		c := &clients[i]
		if c.Remedy != "" {
			s.paragraph(c.Client+": ", "  ", c.Reason+". "+c.Remedy)
		}
		if c.Sweep != nil && c.Sweep.Leaked > 0 {
			s.paragraph(c.Client+": ", "  ", fmt.Sprintf("%s in Cal.com without an object; see kubectl calcom orphans --client %s.",
				count(int(c.Sweep.Leaked), "user is", "users are"), clientFlag(c.Client)))
		}
	}
	return nil
}

// clientFlag is a client as --client takes it.
func clientFlag(client string) string {
	return strings.TrimPrefix(client, strings.ToLower(v1alpha1.KindOAuthClient)+"/")
}

// table writes rows that fit the terminal: where they do not, the first column, which holds names, goes on a line of
// its own.
func (s *session) table(header []string, rows [][]string) error {
	widths := make([]int, len(header))
	for _, row := range append([][]string{header}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	total := 3 * (len(widths) - 1)
	for _, width := range widths {
		total += width
	}
	if total <= s.width() {
		return table(s.Out, header, rows)
	}
	rest := make([][]string, len(rows))
	for i, row := range rows {
		rest[i] = row[1:]
	}
	return s.tall(header, rows, rest)
}

// tall writes each first cell on a line of its own, and the others below it.
func (s *session) tall(header []string, rows, rest [][]string) error {
	var b strings.Builder
	if err := table(&b, header[1:], rest); err != nil {
		return err
	}
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	s.printf("%s\n   %s\n", header[0], lines[0])
	for i, line := range lines[1:] {
		s.printf("%s\n   %s\n", rows[i][0], line)
	}
	return nil
}
