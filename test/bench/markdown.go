// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"strings"
)

// Markdown returns the report as tables for the documentation, one for each run.
func (r *Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Version %s, %s. Measured on %s. What was as it has to be in every phase is left out: calls answered 429, writes that were\n"+
		"refused or about anything else, users in Cal.com that differ from the objects.\n", r.Version, r.Time.Format("2 January 2006"), r.Machine)
	for _, run := range r.Runs {
		fmt.Fprintf(&b, "\n**%s.**", run.heading()[0])
		for _, line := range run.heading()[1:] {
			fmt.Fprintf(&b, " %s", line)
		}
		b.WriteString("\n\n| phase | what | measured | target | |\n| --- | --- | ---: | :--- | --- |\n")
		for i := range run.Phases {
			run.Phases[i].writeRows(&b)
		}
	}
	return b.String()
}

func (p *Phase) writeRows(b *strings.Builder) {
	fmt.Fprintf(b, "| **%s** | time; CPU of the operator | %s; %s | | |\n", p.Name, seconds(p.Seconds), seconds(p.CPUSeconds))
	for i := range p.Checks {
		c := &p.Checks[i]
		if c.Routine && c.Met() {
			continue
		}
		fmt.Fprintf(b, "| | %s | %s | %s | %s |\n", c.What, strings.ReplaceAll(c.value(), "*", `\*`), c.target(), c.verdict())
	}
}
