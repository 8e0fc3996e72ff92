// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// width is the longest line of the table, in characters.
const width = 100

// Table returns the run for people, in lines of at most 100 characters.
func (r *Run) Table() string {
	var b strings.Builder
	for i, line := range r.heading() {
		if i == 0 {
			line = strings.ToUpper(line[:1]) + line[1:]
		}
		b.WriteString(line + "\n")
	}
	for i := range r.Phases {
		b.WriteString("\n")
		r.Phases[i].write(&b)
	}
	b.WriteString("\n" + r.Summary() + "\n")
	return b.String()
}

// heading says what was measured, in sentences of one line each.
func (r *Run) heading() []string {
	interval := time.Duration(r.IntervalSeconds * float64(time.Second))
	lines := []string{fmt.Sprintf("%s users, %s, %.0f ms a call, drift checks every %v",
		number(r.Users), r.quota(), r.LatencySeconds*1000, interval)}
	if r.Tokens {
		lines = append(lines, "Every user's tokens are published in a Secret.")
	}
	if len(r.OperatorFlags) > 0 {
		lines = append(lines, "The operator has "+strings.Join(r.OperatorFlags, " ")+".")
	}
	if r.scaled() {
		lines = append(lines,
			fmt.Sprintf("The quota's minute lasts %.3g s here (time scale %.3g), in the server and in the operator.", quotaWindow.Seconds()/r.TimeScale, r.TimeScale),
			fmt.Sprintf("Times marked * wait for that quota: in real time they would be up to %.3g times as long.", r.TimeScale))
	}
	return lines
}

func (r *Run) quota() string {
	if r.Profile == Free {
		return "no quota"
	}
	return fmt.Sprintf("%d calls a minute (%.0f for the operator)", quotaLimit, quotaLimit*quotaShare)
}

func (r *Run) scaled() bool { return r.Profile == Quota && r.TimeScale != 1 }

// Summary counts the targets in one line.
func (r *Run) Summary() string {
	met, missed, over := 0, 0, 0
	for _, phase := range r.Phases {
		for _, c := range phase.Checks {
			switch {
			case c.Relation == "":
			case c.Met():
				met++
			case c.Kind == Gauge:
				over++
			default:
				missed++
			}
		}
	}
	return fmt.Sprintf("%s: %d targets met; %d counts missed; %d times or amounts over", r.Profile, met, missed, over)
}

func (p *Phase) write(b *strings.Builder) {
	costs := fmt.Sprintf("%s   CPU %s   peak %.1f MiB", seconds(p.Seconds), seconds(p.CPUSeconds), p.PeakMiB)
	if p.PeakSinceStart {
		costs += " since start"
	}
	rule := strings.Repeat("─", max(width-4-runes(p.Name)-runes(costs), 1))
	fmt.Fprintf(b, "%s %s %s\n", p.Name, rule, costs)
	calls := make([]string, 0, len(p.Calls))
	for _, t := range p.Calls {
		calls = append(calls, fmt.Sprintf("%s %s × %s", t.Op, status(t.Status), number(t.Calls)))
	}
	writeList(b, "Cal.com", calls)
	writes := make([]string, 0, len(p.Writes)+1)
	for _, w := range p.Writes {
		writes = append(writes, w.Operation+" × "+number(w.Count))
	}
	writes = append(writes, "for the lease × "+number(p.LeaseWrites))
	writeList(b, "Kubernetes", writes)
	for i := range p.Checks {
		c := &p.Checks[i]
		line := fmt.Sprintf("  %s%s%s%14s   %s", pad(c.verdict(), 6), pad(c.What, 64), "", c.value(), c.target())
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// writeList writes what belongs together, over as many lines as it needs.
func writeList(b *strings.Builder, name string, items []string) {
	if len(items) == 0 {
		items = []string{"nothing"}
	}
	line := "  " + pad(name, 12)
	empty := true
	for i, item := range items {
		if i < len(items)-1 {
			item += ","
		}
		if !empty && runes(line)+1+runes(item) > width {
			b.WriteString(line + "\n")
			line, empty = "  "+pad("", 12), true
		}
		if !empty {
			line += " "
		}
		line, empty = line+item, false
	}
	b.WriteString(line + "\n")
}

// verdict is one word.
func (c *Check) verdict() string {
	switch {
	case c.Relation == "":
		return ""
	case c.Met():
		return "ok"
	case c.Kind == Gauge:
		return "over"
	}
	return "MISS"
}

func (c *Check) value() string {
	text := amount(c.Value, c.Kind, c.Unit)
	if c.Scaled {
		text += "*"
	}
	return text
}

func (c *Check) target() string {
	if c.Relation == "" {
		return ""
	}
	return c.Relation + " " + strings.TrimSpace(amount(c.Target, c.Kind, c.Unit))
}

func amount(value float64, kind Kind, unit string) string {
	switch {
	case kind != Gauge:
		return number(int(value))
	case unit == "s":
		return seconds(value)
	}
	return strconv.FormatFloat(math.Round(value*10)/10, 'f', -1, 64) + " " + unit
}

// seconds shows a time with three digits.
func seconds(s float64) string {
	switch {
	case s < 10:
		return fmt.Sprintf("%.2f s", s)
	case s < 100:
		return fmt.Sprintf("%.1f s", s)
	}
	return fmt.Sprintf("%.0f s", s)
}

// number groups the digits of a number.
func number(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func status(code int) string {
	if code == 0 {
		return "unanswered"
	}
	return strconv.Itoa(code)
}

func pad(s string, to int) string { return s + strings.Repeat(" ", max(to-runes(s), 0)) }

func runes(s string) int { return utf8.RuneCountInString(s) }
