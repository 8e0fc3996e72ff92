// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/calcom-operator/calcom-operator/internal/importer"
)

// output is the flag -o of commands that people and programs read.
type output struct{ format string }

func (o *output) addFlag(flags *pflag.FlagSet) {
	flags.StringVarP(&o.format, "output", "o", "", "json or yaml, for programs; a table when empty")
}

// print writes a value for programs, if one is asked for, and reports whether it was.
func (o *output) print(out io.Writer, value any) (bool, error) {
	var text []byte
	var err error
	switch o.format {
	case "":
		return false, nil
	case "json":
		if text, err = json.MarshalIndent(value, "", "    "); err == nil {
			text = append(text, '\n')
		}
	case "yaml":
		text, err = importer.Marshal(value)
	default:
		return false, complain(fmt.Sprintf("--output=%s is unknown", o.format), "give json or yaml, or leave it out for a table")
	}
	if err != nil {
		return false, fmt.Errorf("writing the output: %w", err)
	}
	_, err = out.Write(text)
	return true, err
}

// table writes rows below a header, in columns as kubectl does.
func table(out io.Writer, header []string, rows [][]string) error {
	w := printers.GetNewTabWriter(out)
	for _, row := range append([][]string{header}, rows...) {
		if _, err := fmt.Fprintln(w, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}
