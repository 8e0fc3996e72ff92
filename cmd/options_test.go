// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"
)

func TestParseOptions(t *testing.T) {
	cases := map[string]struct {
		args  []string
		words string // Of the error; empty when the flags are good.
	}{
		"Defaults":              {nil, ""},
		"Everything":            {strings.Fields("--owner-id=prod --allowed-api-urls=https://,http://cal.svc --watch-namespaces=a,b --resync-interval=1m --rate-limit-share=1 --max-concurrent-reconciles=1 --metrics-bind-address=0"), ""},
		"Argument":              {[]string{"serve"}, `"serve"`},
		"UnknownFlag":           {[]string{"--nope"}, "nope"},
		"URLWithoutScheme":      {[]string{"--allowed-api-urls=api.cal.com"}, "--allowed-api-urls"},
		"NoURL":                 {[]string{"--allowed-api-urls="}, "--allowed-api-urls"},
		"ShortInterval":         {[]string{"--resync-interval=10ms"}, "--resync-interval"},
		"ShortGrace":            {[]string{"--unknown-outcome-grace=0"}, "--unknown-outcome-grace"},
		"NoWorker":              {[]string{"--max-concurrent-reconciles=0"}, "--max-concurrent-reconciles"},
		"NoShare":               {[]string{"--rate-limit-share=0"}, "--rate-limit-share"},
		"MoreThanAll":           {[]string{"--rate-limit-share=1.1"}, "--rate-limit-share"},
		"ShareThatIsNoNumber":   {[]string{"--rate-limit-share=NaN"}, "--rate-limit-share"},
		"ScaledWindow":          {[]string{"--quota-window=6s"}, ""},
		"ShortWindow":           {[]string{"--quota-window=0s"}, "--quota-window"},
		"OwnerIDWithASlash":     {[]string{"--owner-id=a/b"}, "--owner-id"},
		"LongOwnerID":           {[]string{"--owner-id=" + strings.Repeat("a", 64)}, "--owner-id"},
		"LogLevel":              {[]string{"--zap-log-level=7"}, ""},
		"LogLevelDebug":         {[]string{"--zap-log-level=debug"}, ""},
		"LogLevelWithBodies":    {[]string{"--zap-log-level=8"}, "--zap-log-level must be below 8"},
		"LogLevelFarBeyond":     {[]string{"--zap-log-level=100"}, "--zap-log-level"},
		"NoNamespace":           {[]string{"--watch-namespaces="}, ""},
		"NamespaceWithSpaces":   {[]string{"--watch-namespaces= team-a , team-1 "}, ""},
		"NamespaceWithoutAName": {[]string{"--watch-namespaces=a,,b"}, `--watch-namespaces: entry 2 of "a,,b" is empty; remove the comma that is too many`},
		"NamespaceAndAComma":    {[]string{"--watch-namespaces=a,"}, `--watch-namespaces: entry 2 of "a," is empty`},
		"NamespaceOfASpace":     {[]string{"--watch-namespaces= "}, `--watch-namespaces: entry 1 of " " is empty`},
		"NamespaceInCapitals":   {[]string{"--watch-namespaces=a,Team"}, `--watch-namespaces: "Team" is no name of a namespace`},
		"NamespaceWithADot":     {[]string{"--watch-namespaces=team.a"}, "separate the names by commas"},
		"NamespacesBySpaces":    {[]string{"--watch-namespaces=a b"}, `"a b" is no name of a namespace`},
		"NamespacePattern":      {[]string{"--watch-namespaces=team-*"}, `"team-*" is no name of a namespace`},
		"LongNamespace":         {[]string{"--watch-namespaces=" + strings.Repeat("a", 64)}, "must be no more than 63"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := parseOptions(tc.args)
			switch {
			case tc.words == "" && err != nil:
				t.Error(err)
			case tc.words != "" && (err == nil || !strings.Contains(err.Error(), tc.words)):
				t.Errorf("error is %v, want one with %q", err, tc.words)
			}
		})
	}
}

func TestManagerOptions(t *testing.T) {
	o, err := parseOptions([]string{"--watch-namespaces=a, b"})
	if err != nil {
		t.Fatal(err)
	}
	if m := o.outer(); m.Metrics.FilterProvider == nil || !m.Metrics.SecureServing || m.Metrics.BindAddress != ":8443" {
		t.Error("metrics are not served securely by default")
	}
	if m := o.inner(); len(m.Cache.DefaultNamespaces) != 2 {
		t.Errorf("watched namespaces are %v", m.Cache.DefaultNamespaces)
	}
	if m := o.outer(); m.PprofBindAddress != "0" {
		t.Errorf("profiles are served at %q by default", m.PprofBindAddress)
	}
}

// Two replicas must never lead at once: the leader gives up before its lease ends, and it tries often enough to keep
// it.
func TestLeaseTimes(t *testing.T) {
	o, err := parseOptions([]string{"--leader-elect"})
	if err != nil {
		t.Fatal(err)
	}
	m := o.inner()
	if *m.LeaseDuration-*m.RenewDeadline < 2*time.Second || *m.RenewDeadline < 3**m.RetryPeriod {
		t.Errorf("the times are %v, %v and %v", m.LeaseDuration, m.RenewDeadline, m.RetryPeriod)
	}
	if m.Controller.EnableWarmup == nil || !*m.Controller.EnableWarmup {
		t.Error("a standby is not warm")
	}
}
