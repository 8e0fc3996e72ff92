// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// drawCurves draws series over time, one upon the other if the panel says so.
func drawCurves(c *canvas, p *Panel, a area, all []curve, r *Recording) {
	f := &p.FieldConfig.Defaults
	stacked := f.Custom.Stacking.Mode == "normal"
	rows := legendRows(all, a.w)
	plot := area{a.x + 52, a.y + 4, a.w - 58, a.h - 26 - 15*float64(len(rows))}
	if stacked {
		all = piled(all)
	}
	low, high := bounds(p, all)
	ticks := ticksOf(low, high, f.Unit)
	low, high = min(low, ticks[0]), max(high, ticks[len(ticks)-1])
	yOf := func(v float64) float64 { return plot.y + plot.h*(1-(v-low)/(high-low)) }
	for _, tick := range ticks {
		c.line(plot.x, yOf(tick), plot.x+plot.w, yOf(tick), `stroke="#2a2d34"`)
		c.text(plot.x-7, yOf(tick)+4, "faint", "end", format(f.Unit, tick))
	}
	drawTimes(c, plot, r, true)
	for _, s := range slices.Backward(all) { // The sum of all lies behind.
		drawCurve(c, s, plot, yOf, r, stacked)
	}
	for _, step := range f.Thresholds.Steps {
		if step.Value != nil && f.Custom.ThresholdsStyle.Mode == "line" {
			c.line(plot.x, yOf(*step.Value), plot.x+plot.w, yOf(*step.Value), fmt.Sprintf(`stroke=%q stroke-dasharray="6 4"`, named[step.Color]))
		}
	}
	if len(all) == 0 {
		c.text(plot.x+plot.w/2, plot.y+plot.h/2, "faint", "middle", "No data")
	}
	drawLegend(c, rows, a.x+2, plot.y+plot.h+30)
}

// apart is the time between two points from which on they are not connected.
const apart = 61 * time.Second

func drawCurve(c *canvas, s curve, plot area, yOf func(float64) float64, r *Recording, filled bool) {
	for begin := 0; begin < len(s.points); {
		end := begin + 1
		for end < len(s.points) && s.points[end].T-s.points[end-1].T < apart.Milliseconds() {
			end++
		}
		path := pathOf(s.points[begin:end], plot, yOf, r)
		if filled {
			base := yOf(0)
			c.add(`<path d="M%.1f,%.1fL%sL%.1f,%.1fZ" fill=%q/>`+"\n",
				plot.xOf(s.points[begin].T, r), base, path, plot.xOf(s.points[end-1].T, r), base, s.colour)
		} else {
			c.add(`<path d="M%sh.1" fill="none" stroke=%q stroke-width="1.6" stroke-linecap="round"/>`+"\n", path, s.colour)
		}
		begin = end
	}
}

// pathOf leaves out points that lie on the line between their neighbours.
func pathOf(points []promql.FPoint, plot area, yOf func(float64) float64, r *Recording) string {
	var kept []string
	for i, p := range points {
		if i > 0 && i < len(points)-1 && points[i-1].F == p.F && points[i+1].F == p.F {
			continue
		}
		kept = append(kept, fmt.Sprintf("%.1f,%.1f", plot.xOf(p.T, r), yOf(p.F)))
	}
	return strings.Join(kept, "L")
}

// piled puts each series upon those before; where one has no value it counts as zero.
func piled(all []curve) []curve {
	times := make(map[int64]bool)
	for _, s := range all {
		for _, p := range s.points {
			times[p.T] = true
		}
	}
	sums, stacked := make(map[int64]float64), make([]curve, len(all))
	for i, s := range all {
		values := make(map[int64]float64)
		for _, p := range s.points {
			values[p.T] = p.F
		}
		stacked[i] = curve{name: s.name, colour: s.colour}
		for _, t := range slices.Sorted(maps.Keys(times)) {
			sums[t] += values[t]
			stacked[i].points = append(stacked[i].points, promql.FPoint{T: t, F: sums[t]})
		}
	}
	return stacked
}

func bounds(p *Panel, all []curve) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	if p.FieldConfig.Defaults.Min != nil {
		low = *p.FieldConfig.Defaults.Min
	}
	for _, s := range all {
		for _, point := range s.points {
			low, high = min(low, point.F), max(high, point.F)
		}
	}
	for _, step := range p.FieldConfig.Defaults.Thresholds.Steps {
		if step.Value != nil {
			low, high = min(low, *step.Value), max(high, *step.Value)
		}
	}
	if math.IsInf(high, 0) || high <= low {
		low = min(low, 0)
		high = low + 1
	}
	return low, high
}

// ticksOf returns three to six round numbers that enclose a range; of seconds, round minutes and hours.
func ticksOf(low, high float64, unit string) []float64 {
	steps := []float64{1, 2, 5, 10}
	base := math.Pow(10, math.Floor(math.Log10((high-low)/4)))
	switch {
	case unit == "s" && high-low > 240:
		steps, base = []float64{1, 2, 5, 10, 15, 30, 60, 120, 240}, 60
	case unit == "bytes":
		steps, base = []float64{1, 2, 4, 8, 16, 32, 64}, 1<<20
	}
	step := base * steps[len(steps)-1]
	for _, s := range steps {
		if (high-low)/(base*s) <= 5 {
			step = base * s
			break
		}
	}
	var ticks []float64
	for i := math.Floor(low / step); ; i++ {
		ticks = append(ticks, i*step)
		if i*step >= high-step*1e-9 {
			return ticks
		}
	}
}

// format writes a value in its unit, as Grafana names units.
func format(unit string, v float64) string {
	number := func(v float64) string { return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", v), "0"), ".") }
	switch {
	case unit == "percentunit":
		return strings.TrimSuffix(fmt.Sprintf("%.1f", 100*v), ".0") + " %"
	case unit == "bytes":
		return fmt.Sprintf("%.0f MiB", v/(1<<20))
	case unit == "reqps":
		return number(v) + "/s"
	case unit != "s":
		return number(v)
	case math.Abs(v) >= 7200:
		return number(v/3600) + " h"
	case math.Abs(v) >= 120:
		return number(v/60) + " min"
	case math.Abs(v) < 1 && v != 0:
		return number(v*1000) + " ms"
	}
	return number(v) + " s"
}

// legendRows distributes the names over lines of a width.
func legendRows(all []curve, width float64) [][]curve {
	rows, used := [][]curve{nil}, 0.0
	for _, s := range all {
		if w := widthOf(s.name); used+w > width && used > 0 {
			if len(rows) == 3 {
				return rows // What is more does not fit, and is in Grafana's tooltip.
			}
			rows, used = append(rows, nil), 0
		}
		used += widthOf(s.name)
		rows[len(rows)-1] = append(rows[len(rows)-1], s)
	}
	return rows
}

// widthOf is about how wide a name and its sign are.
func widthOf(name string) float64 { return 30 + 6.1*float64(len(name)) }

func drawLegend(c *canvas, rows [][]curve, x, y float64) {
	for _, row := range rows {
		at := x
		for _, s := range row {
			c.rect(at, y-5, 12, 3, s.colour)
			c.text(at+17, y, "", "start", s.name)
			at += widthOf(s.name)
		}
		y += 15
	}
}
