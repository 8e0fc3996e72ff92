// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// Dashboard is what of Grafana's model is looked at here.
type Dashboard struct {
	Title         string
	UID           string
	SchemaVersion int
	Links         []Link
	Templating    struct{ List []Variable }
	Panels        []Panel
}

// Variable is one of the dashboard.
type Variable struct {
	Name, Type, Definition string
	Datasource             *Datasource
}

// Datasource is where a panel's data come from.
type Datasource struct{ Type, UID string }

// Link leads out of the dashboard.
type Link struct{ Title, URL string }

// Panel is a row's title, or a picture of some queries.
type Panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               *Datasource
	GridPos                  struct{ H, W, X, Y int }
	Links                    []Link
	Targets                  []Target
	FieldConfig              struct{ Defaults Field }
	Panels                   []Panel
}

// Target is a query.
type Target struct {
	Datasource         *Datasource
	Expr, LegendFormat string
	Instant, Range     bool
}

// Field is how values are shown.
type Field struct {
	Unit       string
	Decimals   *int
	NoValue    string
	Min        *float64
	Thresholds struct {
		Steps []struct {
			Color string
			Value *float64
		}
	}
	Custom struct {
		ThresholdsStyle, Stacking struct{ Mode string }
	}
}

// ReadDashboard reads one from a file.
func ReadDashboard(path string) (*Dashboard, error) {
	content, err := os.ReadFile(path) //nolint:gosec // The caller chooses the file.
	if err != nil {
		return nil, fmt.Errorf("reading the dashboard: %w", err)
	}
	var d Dashboard
	if err := json.Unmarshal(content, &d); err != nil {
		return nil, fmt.Errorf("reading the dashboard %s: %w", path, err)
	}
	return &d, nil
}

// Expression returns a query as Grafana sends it to Prometheus when everything is chosen.
func (t *Target) Expression() string {
	return strings.NewReplacer("$namespace", ".*", "$job", ".*", "$__rate_interval", "5m").Replace(t.Expr)
}
