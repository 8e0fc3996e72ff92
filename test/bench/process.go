// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

const (
	// ticksPerSecond is the unit of /proc/<pid>/stat, the same on every Linux that Go runs on.
	ticksPerSecond = 100
	kibPerMiB      = 1024
)

// process is what Linux tells of the operator.
type process int

func (p process) file(name string) string { return fmt.Sprintf("/proc/%d/%s", int(p), name) }

// cpu returns the time that the process has used, user and system.
func (p process) cpu() (time.Duration, error) {
	text, err := os.ReadFile(p.file("stat"))
	if err != nil {
		return 0, fmt.Errorf("reading the operator's CPU time: %w", err)
	}
	// The second field is the name in parentheses, which may hold anything.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	const user, system = 14 - 3, 15 - 3 // As proc(5) counts them, from 1; two are cut off.
	if len(fields) <= system {
		return 0, errors.New("reading the operator's CPU time: /proc/<pid>/stat has too few fields")
	}
	ticks := 0
	for _, field := range [][]byte{fields[user], fields[system]} {
		n, err := strconv.Atoi(string(field))
		if err != nil {
			return 0, fmt.Errorf("reading the operator's CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// memory returns VmRSS, what is resident now, or VmHWM, the most that was, in MiB.
func (p process) memory(field string) (float64, error) {
	text, err := os.ReadFile(p.file("status"))
	if err != nil {
		return 0, fmt.Errorf("reading the operator's memory: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				return 0, fmt.Errorf("reading the operator's memory: %w", err)
			}
			return float64(kib) / kibPerMiB, nil
		}
	}
	return 0, fmt.Errorf("reading the operator's memory: there is no %s", field)
}

// forgetPeak makes VmHWM begin afresh. It is false where the kernel forbids that.
func (p process) forgetPeak() bool {
	const resetPeak = "5"
	return os.WriteFile(p.file("clear_refs"), []byte(resetPeak), 0o600) == nil
}

// settled reports whether the operator has gone through so many users since its start and has no work left in any
// queue.
func (w *world) settled(ctx context.Context, users int) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.metrics, http.NoBody)
	if err != nil {
		return false, fmt.Errorf("reading the operator's metrics: %w", err)
	}
	text, err := fetch(request)
	if err != nil {
		return false, nil //nolint:nilerr // It does not listen yet.
	}
	reconciled, waiting := 0.0, 0.0
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		n, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
		case strings.HasPrefix(name, `controller_runtime_reconcile_total{controller="manageduser"`):
			reconciled += n
		case strings.HasPrefix(name, "workqueue_depth{"), strings.HasPrefix(name, "controller_runtime_active_workers{"):
			waiting += n
		}
	}
	return reconciled >= float64(users) && waiting == 0, nil
}

// profile writes one of the operator's profiles to the folder, and returns where.
func (w *world) profile(ctx context.Context, kind, query string) (string, error) {
	path := filepath.Join(w.config.ProfileDir, fmt.Sprintf("%s-%s.pprof", kind, w.config.Profile))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.pprof+query, http.NoBody)
	if err != nil {
		return "", fmt.Errorf("taking a profile: %w", err)
	}
	text, err := fetch(request)
	if err != nil {
		return "", fmt.Errorf("taking a profile: %w", err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return "", fmt.Errorf("keeping a profile: %w", err)
	}
	return path, nil
}

// Machine describes where it was measured.
func Machine() string {
	model := "CPU of unknown model"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
				model = strings.TrimSpace(value)
			}
		}
	}
	load := "unknown"
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Fields(string(text))[0]
	}
	return fmt.Sprintf("%d cores of %s, shared with API server, etcd and sandbox; load %s before; %s",
		runtime.NumCPU(), model, load, runtime.Version())
}
