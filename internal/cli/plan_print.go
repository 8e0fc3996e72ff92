// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"
)

// hiddenAddress stands for an e-mail in a plan for several users.
const hiddenAddress = "(hidden)"

// tellPlan prints a plan, and ends the command with the exit code for it.
func (s *session) tellPlan(report *planReport, o *planOptions) error {
	one := len(report.Users) == 1
	if !one {
		report.hideAddresses()
	}
	printed, err := o.print(s.Out, report)
	if err != nil {
		return err
	}
	if !printed {
		s.printPlan(report, addresses(one))
	}
	if report.Summary[actionUnchanged] == len(report.Users) {
		return nil
	}
	return errDifferent
}

func (r *planReport) hideAddresses() {
	for i := range r.Users {
		for j := range r.Users[i].Changes {
			if c := &r.Users[i].Changes[j]; c.Field == "email" {
				c.To = new(hiddenAddress)
				if c.From != nil {
					c.From = new(hiddenAddress)
				}
			}
		}
	}
}

// signs stand before each user, as in a diff.
var signs = map[string]string{
	actionCreate: "+", actionAdopt: ">", actionChange: "~", actionDelete: "-", actionWait: "?", actionConflict: "!", actionUnchanged: " ",
}

func (s *session) printPlan(report *planReport, show addresses) {
	told := make(map[string]bool) // What stops everybody, as an OAuth client that is not well, is told once.
	for i := range report.Users {
		p := &report.Users[i]
		if p.Action == actionUnchanged && p.Reason == "" {
			continue
		}
		line := fmt.Sprintf("%s %-9s %s/%s", signs[p.Action], p.Action, p.Namespace, p.Name)
		if p.UserID != 0 {
			line += fmt.Sprintf(" (user %d)", p.UserID)
		}
		if p.Reason != "" {
			line += ": " + p.Reason
		}
		s.printf("%s\n", line)
		const indent = "    "
		for j := range p.Changes {
			s.paragraph(indent, indent+"  ", show.change(&p.Changes[j]))
		}
		if p.EndsTokens {
			s.paragraph(indent, indent+"  ", "all tokens that anybody has of the user end, and new ones are published")
		}
		s.printReason(p, told)
	}
	if report.Summary[actionUnchanged] < len(report.Users) {
		s.printf("\n")
	}
	for _, note := range report.Notes {
		s.paragraph("Note: ", "      ", note)
	}
	s.printf("%s\n", report.sentence())
}

// printReason writes why a user would not be Ready, and what to do, unless that was told of another one.
func (s *session) printReason(p *planned, told map[string]bool) {
	const indent = "    "
	if told[p.Message] {
		s.printf("%sas above\n", indent)
		return
	}
	if p.Message != "" {
		told[p.Message] = true
		s.paragraph(indent, indent, p.Message+".")
	}
	if p.Remedy != "" {
		s.paragraph(indent+"What to do: ", indent, p.Remedy)
	}
}

// sentence is the summary of a plan.
func (r *planReport) sentence() string {
	var parts []string
	for _, part := range []struct{ action, text string }{
		{actionCreate, "to create"}, {actionAdopt, "to adopt"}, {actionChange, "to change"}, {actionDelete, "to delete"}, {actionUnchanged, "unchanged"},
		{actionWait, "waiting"},
	} {
		n := r.Summary[part.action]
		optional := part.action == actionDelete || part.action == actionWait
		if n > 0 || !optional {
			parts = append(parts, fmt.Sprintf("%d %s", n, part.text))
		}
	}
	return "Plan: " + strings.Join(append(parts, count(r.Summary[actionConflict], "conflict", "conflicts")), ", ") + "."
}
