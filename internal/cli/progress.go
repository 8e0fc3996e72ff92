// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far a command is: a bar on a terminal, and elsewhere a line for every tenth of the way.
type progress struct {
	out   io.Writer
	bar   *progressbar.ProgressBar // Nil where there is no terminal.
	what  string
	done  int
	total int
}

// progress begins to show how far the command is with total things. what is said with them, as "Reading users".
func (s *session) progress(what string, total int) *progress {
	p := &progress{out: s.ErrOut, what: what, total: total}
	if isTerminal(s.ErrOut) {
		p.bar = progressbar.NewOptions(total,
			progressbar.OptionSetDescription(what), progressbar.OptionSetWriter(s.ErrOut), progressbar.OptionSetWidth(24),
			progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return p
}

// fewThings are done before anybody wonders how far they are.
const fewThings = 50

// progressOfMany is progress, shown only where there are many things.
func (s *session) progressOfMany(what string, total int) *progress {
	if total < fewThings {
		return &progress{out: s.ErrOut, what: what} // It says nothing by itself.
	}
	return s.progress(what, total)
}

// add says that n more are done.
func (p *progress) add(n int) {
	before := p.done
	p.done += n
	if p.bar != nil {
		_ = p.bar.Add(n)
		return
	}
	if p.total > 0 && (p.done*10/p.total != before*10/p.total || before == 0) {
		p.line("%s: %d of %d", p.what, p.done, p.total)
	}
}

// line says something in between, above the bar where there is one.
func (p *progress) line(format string, args ...any) {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	_, _ = fmt.Fprintln(p.out, fitted(p.out, fmt.Sprintf(format, args...)))
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
