// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Picture draws config/monitoring/dashboard.json with what a real operator served in two hours of good and bad times,
// which pass in a few minutes. It is run in the repository's folder: see make dashboard-picture.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"github.com/calcom-operator/calcom-operator/test/monitoring"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	out := flag.String("out", "docs/images/dashboard.svg", "`file` to write")
	scale := flag.Float64("scale", 40, "how much faster the time goes")
	flag.Parse()
	dir, err := os.MkdirTemp("", "calcom-picture-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	dashboard, err := monitoring.ReadDashboard(filepath.Join("config", "monitoring", "dashboard.json"))
	if err != nil {
		return err
	}
	rules := filepath.Join(dir, "rules.yaml")
	if err := writeRules(rules); err != nil {
		return err
	}
	r, err := monitoring.Record(ctx, monitoring.Config{Dir: dir, Scale: *scale, Users: 400, Minutes: 8, Say: func(title string) { fmt.Println(title) }})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := r.Alert(ctx, rules); err != nil {
		return err
	}
	picture, err := monitoring.Draw(ctx, dashboard, r)
	if err != nil {
		return err
	}
	return os.WriteFile(*out, []byte(picture), 0o644) //nolint:gosec // Everybody may see it.
}

// writeRules writes the alerts as Prometheus reads them.
func writeRules(path string) error {
	content, err := os.ReadFile(filepath.Join("config", "monitoring", "prometheusrule.yaml"))
	if err != nil {
		return fmt.Errorf("reading the alerts: %w", err)
	}
	var resource struct {
		Spec any `json:"spec"`
	}
	if err := yaml.Unmarshal(content, &resource); err != nil {
		return fmt.Errorf("reading the alerts: %w", err)
	}
	if content, err = yaml.Marshal(resource.Spec); err != nil {
		return fmt.Errorf("writing the alerts: %w", err)
	}
	return os.WriteFile(path, content, 0o600)
}
