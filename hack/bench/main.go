// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Bench measures the operator with many users on this machine: see package test/bench. It ends with 1 where a count
// misses its target, and never for a time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/calcom-operator/calcom-operator/test/bench"
)

// options are the flags.
type options struct {
	config         bench.Config
	profiles       []bench.Profile
	version        string
	json, markdown string
}

// manyUsers is from where on the unrelated Secrets are part of a run.
const manyUsers = 10_000

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // The signal handler needs no clean-up at the end of the process.
	}
}

func parse(args []string) (*options, error) {
	o := &options{}
	profile, operator := "all", ""
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.config.Users, "n", 1000, "number of `users`")
	flags.StringVar(&profile, "profile", profile, "free: no quota; quota: 500 calls a minute; all: one after the other")
	flags.DurationVar(&o.config.Latency, "latency", 30*time.Millisecond, "`time` that Cal.com waits before each answer")
	flags.Float64Var(&o.config.TimeScale, "time-scale", 6, "`factor` by which the quota's minute is shorter, in the server and in the operator; 1 is real time")
	flags.DurationVar(&o.config.Interval, "resync-interval", 30*time.Second, "`time` between two drift checks")
	flags.IntVar(&o.config.LateUsers, "late-users", 20, "`users` that are created one by one while the others are being swept")
	flags.IntVar(&o.config.UnrelatedSecrets, "unrelated-secrets", -1, "`Secrets` of 1 MB that are created to see what they cost; 0 for none (default 1000 from 10,000 users on, else 0)")
	flags.StringVar(&o.config.ClientKind, "client-kind", "inline", "how users name their OAuth client: "+strings.Join(bench.ClientKinds(), " or "))
	flags.BoolVar(&o.config.Tokens, "tokens", false, "have the tokens of every user published in a Secret; with -time-scale 1, since scaled ones are renewed amid the run")
	flags.StringVar(&operator, "operator-flags", "", "`flags` for the operator, separated by spaces, such as --max-concurrent-reconciles=16")
	flags.StringVar(&o.config.ProfileDir, "pprof", "", "existing `folder` for the operator's CPU and heap profiles")
	flags.StringVar(&o.version, "version", "unknown", "version of the operator, for the report")
	flags.StringVar(&o.json, "json", "", "`file` for the report as JSON")
	flags.StringVar(&o.markdown, "markdown", "", "`file` for the report as Markdown")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q; everything is set by flags, see --help", flags.Arg(0))
	}
	o.config.OperatorFlags = strings.Fields(operator)
	o.profiles = []bench.Profile{bench.Profile(profile)}
	if profile == "all" {
		o.profiles = []bench.Profile{bench.Free, bench.Quota}
	}
	if o.config.UnrelatedSecrets < 0 {
		o.config.UnrelatedSecrets = 0
		if o.config.Users >= manyUsers {
			o.config.UnrelatedSecrets = 1000
		}
	}
	o.config.Say = func(line string) { fmt.Fprintln(os.Stderr, time.Now().Format(time.TimeOnly), line) }
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	report := &bench.Report{Version: o.version, Machine: bench.Machine(), Time: time.Now().UTC().Truncate(time.Second)}
	fmt.Printf("calcom-operator %s\n%s\n", report.Version, report.Machine)
	var missed []string
	for _, profile := range o.profiles {
		config := o.config
		config.Profile = profile
		measured, err := bench.Measure(ctx, config)
		if measured != nil {
			report.Runs = append(report.Runs, measured)
			fmt.Printf("\n%s", measured.Table())
			missed = append(missed, measured.Missed()...)
		}
		if err != nil {
			return errors.Join(err, o.write(report))
		}
	}
	if err := o.write(report); err != nil {
		return err
	}
	if len(missed) > 0 {
		return fmt.Errorf("%d counts miss their targets", len(missed))
	}
	return nil
}

// write writes the files that were asked for.
func (o *options) write(report *bench.Report) error {
	text, err := report.JSON()
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	for path, content := range map[string][]byte{o.json: text, o.markdown: []byte(report.Markdown())} {
		if path == "" {
			continue
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	return nil
}
