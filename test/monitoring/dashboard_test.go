// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func dashboard(t *testing.T) *Dashboard {
	t.Helper()
	d, err := ReadDashboard(filepath.Join(root, "config", "monitoring", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDashboard(t *testing.T) {
	d, alerts := dashboard(t), alertNames(t)
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 36 {
		t.Errorf("the dashboard is %q, %q, with schema %d", d.UID, d.Title, d.SchemaVersion)
	}
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
		if v.Type == "query" && (v.Datasource == nil || v.Datasource.UID != "${datasource}") {
			t.Errorf("the variable %s does not ask the chosen data source", v.Name)
		}
	}
	if !slices.Equal(variables, []string{"datasource", "namespace", "job"}) {
		t.Errorf("the variables are %v", variables)
	}
	ids, taken := make(map[int]bool), make(map[[2]int]string)
	for i := range d.Panels {
		p := &d.Panels[i]
		if p.ID <= 0 || ids[p.ID] {
			t.Errorf("%s: the id %d is not its own", p.Title, p.ID)
		}
		ids[p.ID] = true
		place(t, p, taken)
		if p.Type != "row" {
			checkPanel(t, p, alerts)
		} else if len(p.Panels) > 0 {
			t.Errorf("the row %s is folded", p.Title)
		}
	}
	checkRows(t, taken)
}

// place puts a panel on the grid.
func place(t *testing.T, p *Panel, taken map[[2]int]string) {
	t.Helper()
	g := p.GridPos
	if g.W <= 0 || g.H <= 0 || g.X < 0 || g.Y < 0 || g.X+g.W > columns {
		t.Errorf("%s is outside of the grid", p.Title)
	}
	for x := g.X; x < g.X+g.W; x++ {
		for y := g.Y; y < g.Y+g.H; y++ {
			if other, ok := taken[[2]int{x, y}]; ok {
				t.Fatalf("%s overlaps %s", p.Title, other)
			}
			taken[[2]int{x, y}] = p.Title
		}
	}
}

// checkRows finds holes in the grid.
func checkRows(t *testing.T, taken map[[2]int]string) {
	t.Helper()
	if len(taken)%columns != 0 {
		t.Errorf("%d cells of the grid are taken, which are no full lines", len(taken))
	}
	for cell := range taken {
		for x := range columns {
			if _, ok := taken[[2]int{x, cell[1]}]; !ok {
				t.Fatalf("there is a hole beside %s", taken[cell])
			}
		}
	}
}

func checkPanel(t *testing.T, p *Panel, alerts []string) {
	t.Helper()
	f := p.FieldConfig.Defaults
	if !slices.Contains([]string{"stat", "timeseries", "state-timeline"}, p.Type) {
		t.Errorf("%s: nobody can draw a %s", p.Title, p.Type)
	}
	if len(p.Description) < 20 || !strings.HasSuffix(p.Description, ".") || f.Unit == "" || len(f.Thresholds.Steps) == 0 {
		t.Errorf("%s: the description is %q, the unit %q", p.Title, p.Description, f.Unit)
	}
	if !isChosen(p.Datasource) || len(p.Targets) == 0 {
		t.Errorf("%s does not ask the chosen data source", p.Title)
	}
	for _, target := range p.Targets {
		if !isChosen(target.Datasource) || target.LegendFormat == "" || target.Instant == target.Range {
			t.Errorf("%s: the query %s has no legend, or is of another kind", p.Title, target.Expr)
		}
		for _, selector := range strings.Split(target.Expr, "{")[1:] {
			inside, _, _ := strings.Cut(selector, "}")
			if !strings.Contains(inside, "$namespace") {
				t.Errorf("%s: the query %s is not about the chosen namespace", p.Title, target.Expr)
			}
		}
	}
	for _, link := range p.Links {
		alert := strings.TrimPrefix(link.Title, "Runbook: ")
		if link.URL != runbook+strings.ToLower(alert) || !slices.Contains(alerts, alert) {
			t.Errorf("%s: the link %q leads to %s", p.Title, link.Title, link.URL)
		}
	}
}

func isChosen(d *Datasource) bool {
	return d != nil && d.Type == "prometheus" && d.UID == "${datasource}"
}
