// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"encoding/xml"
	"fmt"
	"html"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// query is one of those that are shipped, and where.
type query struct{ from, expr string }

// TestQueries asks the operator itself whether every query of the alerts, the dashboard and the documentation is about
// what it serves: each metric, each label and each value. And every panel has something to show.
func TestQueries(t *testing.T) {
	r := record(t)
	file, _ := shippedRules(t)
	if err := r.Alert(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	served := servedBy(t, r)
	all := queries(t)
	for _, q := range all {
		for _, mistake := range served.check(t, q.expr) {
			t.Errorf("%s: %s", q.from, mistake)
		}
		if expr := withoutConditions(t, q.expr); !shows(t, r, expr) {
			t.Errorf("%s: nothing is shown by %s", q.from, expr)
		}
	}
	for _, p := range dashboard(t).Panels {
		// Whether an alert fires depends on how long the story took.
		if p.Type != "row" && p.Type != "state-timeline" && !slices.ContainsFunc(p.Targets, func(q Target) bool { return shows(t, r, q.Expression()) }) {
			t.Errorf("the panel %s is empty", p.Title)
		}
	}
	if len(all) < 70 {
		t.Errorf("only %d queries were found", len(all))
	}
	testPicture(t, r)
	t.Run("Mistakes", func(t *testing.T) { testMistakes(t, served) })
}

// The picture in the documentation shows every panel, and something in each.
func testPicture(t *testing.T, r *Recording) {
	t.Helper()
	d := dashboard(t)
	picture, err := Draw(t.Context(), d, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal([]byte(picture), new(struct {
		Any []byte `xml:",innerxml"`
	})); err != nil {
		t.Errorf("the picture is no XML: %v", err)
	}
	for _, p := range d.Panels {
		if !strings.Contains(picture, ">"+html.EscapeString(p.Title)+"<") {
			t.Errorf("the picture lacks %s", p.Title)
		}
	}
	if empty := strings.Count(picture, ">No data<"); empty > 0 {
		t.Errorf("%d panels of the picture are empty", empty)
	}
}

// shows reports whether an expression has a value at any time.
func shows(t *testing.T, r *Recording, expr string) bool {
	t.Helper()
	matrix, err := r.Query(t.Context(), expr, r.Begin, r.End, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return len(matrix) > 0
}

// A query that is wrong is found, whatever is wrong with it.
func testMistakes(t *testing.T, served *served) {
	t.Helper()
	for expr, want := range map[string]string{
		`calcom_operator_managed_user`:                                           "there is no metric calcom_operator_managed_user",
		`sum(rate(calcom_operator_api_request_duration_seconds_buckets[5m]))`:    "there is no metric calcom_operator_api_request_duration_seconds_buckets",
		`calcom_operator_managed_users{type="Ready"}`:                            "calcom_operator_managed_users has no label type",
		`sum by (type) (calcom_operator_managed_users)`:                          "no metric in sum by (type) (calcom_operator_managed_users) has a label type",
		`calcom_operator_managed_users{condition="Readdy"}`:                      `calcom_operator_managed_users has never condition="Readdy"`,
		`calcom_operator_api_requests_total{code=~"5xx|nothing"}`:                `calcom_operator_api_requests_total has never code="nothing"`,
		`calcom_operator_managed_users{reason!~"Unauthorised"}`:                  `calcom_operator_managed_users has never reason="Unauthorised"`,
		`leader_election_master_status and on (node) calcom_operator_build_info`: "no metric in leader_election_master_status has a label node",
		`controller_runtime_reconcile_error_total`:                               "there is no metric controller_runtime_reconcile_error_total",
		`{__name__=~"calcom.*"}`:                                                 `{__name__=~"calcom.*"} names no metric`,
	} {
		if got := served.check(t, expr); len(got) == 0 || got[0] != want {
			t.Errorf("%s is judged %q, want %q", expr, got, want)
		}
	}
}

// record has the operator live through its chapters as fast as it can.
func record(t *testing.T) *Recording {
	t.Helper()
	t.Chdir(root)
	r, err := Record(t.Context(), Config{Dir: t.TempDir(), Scale: 60, Users: 60, Say: func(title string) { t.Log(title) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Chdir(filepath.Join("test", "monitoring"))
	return r
}

// queries are all that are shipped.
func queries(t *testing.T) []query {
	t.Helper()
	var all []query
	_, alerts := shippedRules(t)
	for _, a := range alerts {
		all = append(all, query{from: "alert " + a.Alert, expr: a.Expr})
	}
	for _, p := range dashboard(t).Panels {
		for _, target := range p.Targets {
			all = append(all, query{from: "panel " + p.Title, expr: target.Expression()})
		}
	}
	for _, page := range []string{"metrics.md", "runbook.md"} {
		for _, block := range regexp.MustCompile("(?s)```promql\n(.*?)```").FindAllSubmatch(read(t, "docs", page), -1) {
			for line := range strings.Lines(string(block[1])) {
				all = append(all, query{from: page, expr: strings.TrimSpace(line)})
			}
		}
	}
	return all
}

// served is what the operator served: of each metric the labels, and of each label the values.
type served struct {
	metrics map[string]map[string][]string
	// reasons may all come, and no story has them all.
	reasons []string
}

// targetLabels are Prometheus's own, whose values depend on the cluster.
var targetLabels = []string{"namespace", "job", "instance", "pod"}

func servedBy(t *testing.T, r *Recording) *served {
	t.Helper()
	matrix, err := r.Query(t.Context(), `{__name__=~".+"}`, r.Begin, r.End, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	s := &served{metrics: make(map[string]map[string][]string), reasons: reasons(t)}
	for _, series := range matrix {
		name := series.Metric.Get(model.MetricNameLabel)
		if s.metrics[name] == nil {
			s.metrics[name] = make(map[string][]string)
		}
		series.Metric.Range(func(l labels.Label) { s.metrics[name][l.Name] = append(s.metrics[name][l.Name], l.Value) })
	}
	return s
}

// reasons are all of the API.
func reasons(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, match := range regexp.MustCompile(`\bReason\w+ += "(\w+)"`).FindAllSubmatch(read(t, "api", "v1alpha1", "conditions.go"), -1) {
		all = append(all, string(match[1]))
	}
	if len(all) < 25 {
		t.Fatalf("only %d reasons were found", len(all))
	}
	return all
}

// parse reads an expression as Prometheus does.
func parse(t *testing.T, expr string) parser.Expr {
	t.Helper()
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return parsed
}

// check returns what of an expression the operator does not serve.
func (s *served) check(t *testing.T, expr string) []string {
	t.Helper()
	var mistakes []string
	parser.Inspect(parse(t, expr), func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			mistakes = append(mistakes, s.checkSelector(n)...)
		case *parser.AggregateExpr:
			mistakes = append(mistakes, s.checkLabels(n.Grouping, n)...)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				mistakes = append(mistakes, s.checkLabels(n.VectorMatching.MatchingLabels, n.LHS)...)
				mistakes = append(mistakes, s.checkLabels(n.VectorMatching.MatchingLabels, n.RHS)...)
			}
		}
		return nil
	})
	return mistakes
}

func (s *served) checkSelector(selector *parser.VectorSelector) []string {
	metric, ok := s.metrics[selector.Name]
	switch {
	case selector.Name == "":
		return []string{selector.String() + " names no metric"}
	case !ok:
		return []string{"there is no metric " + selector.Name}
	}
	var mistakes []string
	for _, m := range selector.LabelMatchers {
		if m.Name == model.MetricNameLabel || slices.Contains(targetLabels, m.Name) || m.Name == "alertname" {
			continue
		}
		known, ok := metric[m.Name]
		if !ok {
			mistakes = append(mistakes, fmt.Sprintf("%s has no label %s", selector.Name, m.Name))
			continue
		}
		switch m.Name {
		case "reason":
			known = slices.Concat(known, s.reasons)
		case "alertstate":
			known = []string{"pending", "firing"}
		}
		if selector.Name == "rest_client_requests_total" && m.Name == "code" {
			continue // HTTP's, and hopefully not all of them have been served.
		}
		for value := range strings.SplitSeq(m.Value, "|") {
			if !slices.Contains(known, value) {
				mistakes = append(mistakes, fmt.Sprintf("%s has never %s=%q", selector.Name, m.Name, value))
			}
		}
	}
	return mistakes
}

// checkLabels looks for labels by which something is grouped or joined.
func (s *served) checkLabels(names []string, within parser.Node) []string {
	known := slices.Clone(targetLabels)
	parser.Inspect(within, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			known = slices.AppendSeq(known, maps.Keys(s.metrics[selector.Name]))
		}
		return nil
	})
	var mistakes []string
	for _, name := range names {
		if !slices.Contains(known, name) {
			mistakes = append(mistakes, fmt.Sprintf("no metric in %s has a label %s", within, name))
		}
	}
	return mistakes
}

// withoutConditions returns an expression that shows what is compared, whether the comparison holds or not, and
// whatever the reason. Of absent, it shows what is to be absent.
func withoutConditions(t *testing.T, expr string) string {
	t.Helper()
	var shown func(parser.Expr) parser.Expr
	shown = func(e parser.Expr) parser.Expr {
		switch n := e.(type) {
		case *parser.BinaryExpr:
			if n.Op.IsComparisonOperator() {
				return shown(n.LHS)
			}
			n.LHS, n.RHS = shown(n.LHS), shown(n.RHS)
		case *parser.ParenExpr:
			n.Expr = shown(n.Expr)
		case *parser.AggregateExpr:
			n.Expr = shown(n.Expr)
		case *parser.Call:
			if n.Func.Name == "absent" {
				return n.Args[0]
			}
			for i, arg := range n.Args {
				n.Args[i] = shown(arg)
			}
		case *parser.MatrixSelector:
			n.VectorSelector = shown(n.VectorSelector)
		case *parser.VectorSelector:
			n.LabelMatchers = slices.DeleteFunc(n.LabelMatchers, func(m *labels.Matcher) bool { return slices.Contains([]string{"reason", "alertstate", "code"}, m.Name) })
		}
		return e
	}
	return shown(parse(t, expr)).String()
}
