// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package monitoring tests config/monitoring, the alerts and the dashboard, with Prometheus's own tools, and draws a
// picture of the dashboard. The queries are asked of what a real operator served.
package monitoring

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/util/teststorage"
)

// Recording holds what was scraped, and answers queries as Prometheus would.
//
// The operator was watched on a server whose time goes faster, with intervals that are as much shorter. The recording
// has the time of the server: an hour of it passed in 3600/scale seconds. Moments and durations among the metrics are
// stretched with it, but for the time of a call, which is the network's.
type Recording struct {
	// Begin and End are the moments of the first and the last scrape, in the recording's time.
	Begin, End time.Time
	scale      float64   // How much faster the time went.
	began      time.Time // In real time.
	storage    *teststorage.TestStorage
	engine     *promql.Engine
	parser     parser.Parser
	latest     model.Vector
}

// newRecording returns an empty recording that begins now.
func newRecording(scale float64, now time.Time) (*Recording, error) {
	storage, err := teststorage.NewWithError()
	if err != nil {
		return nil, fmt.Errorf("making a storage: %w", err)
	}
	begin := now.UTC().Truncate(time.Hour)
	r := &Recording{Begin: begin, End: begin, scale: scale, began: now, storage: storage, parser: parser.NewParser(parser.Options{})}
	r.engine = promql.NewEngine(promql.EngineOpts{
		MaxSamples: 50_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, EnableAtModifier: true, Parser: r.parser,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
	})
	return r, nil
}

// Close removes the recording.
func (r *Recording) Close() error { return errors.Join(r.engine.Close(), r.storage.Close()) }

// at returns a real moment in the recording's time.
func (r *Recording) at(moment time.Time) time.Time {
	return r.Begin.Add(time.Duration(float64(moment.Sub(r.began)) * r.scale))
}

// add stores what a pod answered to a scrape.
func (r *Recording) add(ctx context.Context, pod string, now time.Time, body io.Reader) error {
	textParser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := textParser.TextToMetricFamilies(body)
	if err != nil {
		return fmt.Errorf("reading the metrics: %w", err)
	}
	r.End = r.at(now)
	app := r.storage.Appender(ctx)
	for _, family := range families {
		samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.TimeFromUnixNano(r.End.UnixNano())}, family)
		if err != nil {
			return errors.Join(fmt.Errorf("reading the metrics: %w", err), app.Rollback())
		}
		for _, s := range samples {
			r.stretch(s)
			s.Metric["namespace"], s.Metric["job"] = "calcom-system", "calcom-operator-metrics"
			s.Metric["pod"], s.Metric["instance"] = model.LabelValue(pod), model.LabelValue(pod+":8443")
			if _, err := app.Append(0, labelsOf(s.Metric), int64(s.Timestamp), float64(s.Value)); err != nil {
				return errors.Join(fmt.Errorf("storing %s: %w", s.Metric, err), app.Rollback())
			}
		}
		r.latest = append(r.latest, samples...)
	}
	return app.Commit()
}

func labelsOf(metric model.Metric) labels.Labels {
	all := make(map[string]string, len(metric))
	for name, value := range metric {
		all[string(name)] = string(value)
	}
	return labels.FromMap(all)
}

// stretched are the durations that pass on the server, or depend on it.
var stretched = []string{
	"calcom_operator_token_min_remaining_seconds", "calcom_operator_resync_interval_seconds", "calcom_operator_sweep_duration_seconds",
	"calcom_operator_user_ready_seconds", "calcom_operator_user_deletion_seconds", "calcom_operator_quota_wait_seconds",
}

// stretch brings a sample into the recording's time.
func (r *Recording) stretch(s *model.Sample) {
	name := string(s.Metric[model.MetricNameLabel])
	if strings.HasSuffix(name, "_timestamp_seconds") || name == "process_start_time_seconds" {
		seconds, fraction := math.Modf(float64(s.Value))
		s.Value = model.SampleValue(float64(r.at(time.Unix(int64(seconds), int64(fraction*1e9))).UnixMilli()) / 1000)
		return
	}
	for _, prefix := range stretched {
		switch rest, ok := strings.CutPrefix(name, prefix); {
		case ok && (rest == "" || rest == "_sum"):
			s.Value *= model.SampleValue(r.scale)
		case ok && rest == "_bucket":
			if le, err := strconv.ParseFloat(string(s.Metric["le"]), 64); err == nil && !math.IsInf(le, 0) {
				s.Metric["le"] = model.LabelValue(strconv.FormatFloat(le*r.scale, 'g', -1, 64))
			}
		}
	}
}

// Query evaluates an expression once in each step from one moment to another.
func (r *Recording) Query(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error) {
	query, err := r.engine.NewRangeQuery(ctx, r.storage, nil, expr, from, to, step)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", expr, err)
	}
	defer query.Close()
	result := query.Exec(ctx)
	matrix, err := result.Matrix()
	if err != nil {
		return nil, fmt.Errorf("evaluating %s: %w", expr, err)
	}
	all := make(promql.Matrix, len(matrix)) // The query's own is used again.
	for i, series := range matrix {
		all[i] = promql.Series{Metric: series.Metric, Floats: append([]promql.FPoint(nil), series.Floats...)}
	}
	return all, nil
}

// Alert evaluates the rules of a file at each minute of the recording, which adds the series ALERTS to it.
func (r *Recording) Alert(ctx context.Context, file string) error {
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(r.engine, r.storage), AppendableV2: r.storage, Queryable: r.storage, Context: ctx, Parser: r.parser,
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {}, ExternalURL: &url.URL{},
	})
	groups, errs := manager.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, file)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for _, group := range groups {
		for _, rule := range group.Rules() {
			if alert, ok := rule.(*rules.AlertingRule); ok {
				alert.SetRestored(true) // There was nothing before.
			}
		}
	}
	for now := r.Begin; !now.After(r.End); now = now.Add(time.Minute) {
		for _, group := range groups {
			group.Eval(ctx, now)
			for _, rule := range group.Rules() {
				if err := rule.LastError(); err != nil {
					return fmt.Errorf("evaluating %s: %w", rule.Name(), err)
				}
			}
		}
	}
	return nil
}

// value returns the sum of the last scraped samples of a metric that have some labels, given as pairs.
func (r *Recording) value(name string, pairs ...string) float64 {
	sum := 0.0
	for _, s := range r.latest {
		matches := string(s.Metric[model.MetricNameLabel]) == name
		for i := 0; i+1 < len(pairs); i += 2 {
			matches = matches && string(s.Metric[model.LabelName(pairs[i])]) == pairs[i+1]
		}
		if matches {
			sum += float64(s.Value)
		}
	}
	return sum
}
