// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// exchange is a command of a console block and what the page says that it prints.
type exchange struct{ command, output string }

// exchanges splits a console block. A command goes on while its lines end with a backslash, or with "> " before the
// next.
func exchanges(block string) []exchange {
	var all []exchange
	inCommand := false
	for line := range strings.Lines(block) {
		command, begins := strings.CutPrefix(line, "$ ")
		more, continues := strings.CutPrefix(line, "> ")
		switch {
		case begins:
			all = append(all, exchange{command: command})
		case len(all) == 0:
			return nil // Output of nothing.
		case inCommand && (continues || strings.HasSuffix(all[len(all)-1].command, "\\\n")):
			if !continues {
				more = line
			}
			all[len(all)-1].command += more
			continue
		default:
			all[len(all)-1].output += line
		}
		inCommand = begins
	}
	return all
}

// volatile are the columns of kubectl's tables that differ each time.
var volatile = []string{"AGE", "USER ID", "CREATED", "LAST SEEN"}

var (
	column    = regexp.MustCompile(`\S+(?: \S+)*(?:\s{2,}|$)`)
	spaces    = regexp.MustCompile(`[ \t]{2,}`)
	passing   = regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z\b`)
	uid       = regexp.MustCompile(`\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`)
	duration  = regexp.MustCompile(`\b(?:\d+d)?(?:\d+h)?(?:\d+m)?\d+(?:\.\d+)?(?:s|ms|m|h)\b`)
	remoteID  = regexp.MustCompile(`\b([Uu]ser|id) \d+\b`)
	localPort = regexp.MustCompile(`127\.0\.0\.1:\d+`)
)

// normalise makes two outputs of the same command equal: without ids, times, ages and the width of columns.
func normalise(output string) string {
	var lines []string
	var hidden [][2]int // Where volatile columns begin and end; -1 is the end of the line.
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, " \r\n")
		if header := line == strings.ToUpper(line) && strings.Contains(line, "NAME"); header {
			hidden = volatileColumns(line)
		} else {
			line = blank(line, hidden)
		}
		for _, r := range []struct {
			pattern *regexp.Regexp
			by      string
		}{
			{passing, "<time>"},
			{uid, "<uid>"},
			{localPort, "127.0.0.1:<port>"},
			{remoteID, "$1 <id>"},
			{duration, "<duration>"},
			{spaces, "  "},
		} {
			line = r.pattern.ReplaceAllString(line, r.by)
		}
		lines = append(lines, line)
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

func volatileColumns(header string) [][2]int {
	var ranges [][2]int
	for _, at := range column.FindAllStringIndex(header, -1) {
		if slices.Contains(volatile, strings.TrimSpace(header[at[0]:at[1]])) {
			if at[1] == len(header) {
				at[1] = -1
			}
			ranges = append(ranges, [2]int{at[0], at[1]})
		}
	}
	return ranges
}

func blank(line string, ranges [][2]int) string {
	for _, at := range slices.Backward(ranges) {
		if at[0] >= len(line) {
			continue
		}
		end := at[1]
		if end < 0 || end > len(line) {
			end = len(line)
		}
		line = strings.TrimRight(line[:at[0]]+"  *  "+line[end:], " ")
	}
	return line
}

// matches compares what a page says with what was printed. An ellipsis stands for anything, alone on a line for any
// lines.
func matches(want, got string) bool {
	want, got = normalise(want), normalise(got)
	if !strings.Contains(want, "…") {
		return want == got
	}
	var pattern strings.Builder
	for line := range strings.SplitSeq(want, "\n") {
		if strings.TrimSpace(line) == "…" {
			pattern.WriteString(`(?:.*\n)*`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*") + `\n`)
	}
	return regexp.MustCompile(`^` + pattern.String() + `$`).MatchString(got + "\n")
}

func TestExchanges(t *testing.T) {
	block := "$ kubectl get x\nNAME\na\n$ kubectl apply -f - <<EOF\n> a: b\n> EOF\napplied\n$ one \\\n  two\n"
	want := []exchange{
		{"kubectl get x\n", "NAME\na\n"},
		{"kubectl apply -f - <<EOF\na: b\nEOF\n", "applied\n"},
		{"one \\\n  two\n", ""},
	}
	if d := cmp.Diff(want, exchanges(block), cmp.AllowUnexported(exchange{})); d != "" {
		t.Errorf("exchanges (-want +got):\n%s", d)
	}
	if got := exchanges("no command\n"); got != nil {
		t.Errorf("output without a command is read as %v", got)
	}
}

func TestMatches(t *testing.T) {
	const table = "NAME    READY   REASON      USER ID   AGE\nalice   True    Available   742       5s\n"
	tests := map[string]struct {
		page, printed string
		want          bool
	}{
		"Same":             {table, table, true},
		"AgeAndID":         {table, "NAME    READY   REASON      USER ID   AGE\nalice   True    Available   1         12m\n", true},
		"Width":            {table, "NAME    READY   REASON           USER ID   AGE\nalice   True    Available        1         12m\n", true},
		"OtherReason":      {table, "NAME    READY   REASON     USER ID   AGE\nalice   True    Observed   742       5s\n", false},
		"OtherStatus":      {table, "NAME    READY   REASON      USER ID   AGE\nalice   False   Available   742       5s\n", false},
		"LineMore":         {table, table + "bob   True   Available   1   5s\n", false},
		"Nothing":          {table, "", false},
		"EmptyCell":        {"NAME   USER ID   AGE\na                5s\n", "NAME   USER ID   AGE\na                7s\n", true},
		"ColumnAfter":      {"NAME   AGE   MESSAGE\na      5s    Good\n", "NAME   AGE   MESSAGE\na      71s   Good\n", true},
		"ColumnAfterOther": {"NAME   AGE   MESSAGE\na      5s    Good\n", "NAME   AGE   MESSAGE\na      71s   Bad\n", false},
		"Timestamp":        {`{"at":"2026-01-05T10:00:00Z"}`, `{"at":"2027-11-05T10:20:00Z"}`, true},
		"Ellipsis":         {"Error: … is not found", "Error: alice is not found", true},
		"EllipsisOther":    {"Error: … is not found", "Error: alice is found", false},
		"Lines":            {"first\n…\nlast", "first\na\nb\nlast", true},
		"LinesAround":      {"…\nlast\n…", "first\nlast\nafter\n", true},
		"LinesMissing":     {"…\nlast\n…", "first\nafter\n", false},
		"OtherNumber":      {"timeFormat: 24", "timeFormat: 12", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := matches(tc.page, tc.printed); got != tc.want {
				t.Errorf("matches: %t, want %t\n%s\n%s", got, tc.want, normalise(tc.page), normalise(tc.printed))
			}
		})
	}
}
