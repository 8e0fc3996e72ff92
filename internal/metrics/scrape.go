// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
)

// figure is a metric whose values are read off something else at each scrape.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func gauge(name, help string, labels ...string) figure {
	return figure{prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil), prometheus.GaugeValue}
}

func counter(name, help string, labels ...string) figure {
	return figure{prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil), prometheus.CounterValue}
}

// is sends a value.
func (f figure) is(to chan<- prometheus.Metric, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
}

// snapshot is a collector that reads everything at each scrape.
type snapshot struct {
	figures []figure
	read    func(to chan<- prometheus.Metric)
}

// Describe implements prometheus.Collector.
func (s *snapshot) Describe(to chan<- *prometheus.Desc) {
	for _, f := range s.figures {
		to <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (s *snapshot) Collect(to chan<- prometheus.Metric) { s.read(to) }

// NewBuild returns a collector that names the build.
func NewBuild(version string) prometheus.Collector {
	info := gauge("build_info", "Always 1; the labels name the operator's version and that of Go which built it.", "version", "go_version")
	return &snapshot{[]figure{info}, func(to chan<- prometheus.Metric) { info.is(to, 1, version, runtime.Version()) }}
}
