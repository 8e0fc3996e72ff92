// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package timezone

import (
	"archive/zip"
	"go/build"
	"path/filepath"
	"strings"
	"testing"
)

func TestValid(t *testing.T) {
	cases := map[string]bool{
		"Europe/Rome":            true,
		"europe/rome":            true,
		"America/Port-au-prince": true, // Cal.com's spelling of America/Port-au-Prince.
		"US/Pacific":             true,
		"UTC":                    true,
		"CET":                    true,
		"Mars/Phobos":            false,
		"Local":                  false,
		"":                       false,
		"Europe/":                false,
		"Europe/Rome\t":          false,
		"+02:00":                 false,
	}
	for name, want := range cases {
		if got := Valid(name); got != want {
			t.Errorf("Valid(%q) = %v, want %v", name, got, want)
		}
	}
}

// To bring the list up to date, list the names in $(go env GOROOT)/lib/time/zoneinfo.zip, without Factory.
func TestNamesAreThoseOfTheGoRelease(t *testing.T) {
	archive, err := zip.OpenReader(filepath.Join(build.Default.GOROOT, "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Skipf("this Go distribution comes without a time zone database: %v", err)
	}
	t.Cleanup(func() { _ = archive.Close() })
	shipped := make(map[string]bool)
	for _, file := range archive.File {
		if strings.HasSuffix(file.Name, "/") || file.Name == "Factory" {
			continue
		}
		shipped[file.Name] = true
		if !Valid(file.Name) {
			t.Errorf("names.txt lacks %s", file.Name)
		}
	}
	for name := range strings.FieldsSeq(names) {
		if !shipped[name] {
			t.Errorf("names.txt has %s, which the Go release does not know", name)
		}
	}
}
