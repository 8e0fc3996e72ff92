// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"cmp"
	"context"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// The grid: a column's and a line's size, and the space between panels, in pixels. The proportions are Grafana's.
const (
	cellWidth, cellHeight, gap = 66, 30, 6
	heading                    = 46
)

// palette are the colours of series, in order.
var palette = []string{"#73BF69", "#F2CC0C", "#8AB8FF", "#FF780A", "#F2495C", "#B877D9", "#37872D", "#FADE2A", "#5794F2", "#FFA6B0"}

// named are the colours of the dashboard's thresholds.
var named = map[string]string{"green": "#73BF69", "orange": "#FF9830", "red": "#F2495C"}

// canvas collects the picture.
type canvas struct{ svg strings.Builder }

func (c *canvas) add(format string, args ...any) {
	_, _ = fmt.Fprintf(&c.svg, format, args...) // It cannot fail.
}

func (c *canvas) rect(x, y, w, h float64, fill string) {
	c.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill=%q/>`+"\n", x, y, w, h, fill)
}

// text writes at a baseline. class is one of those of the style sheet.
func (c *canvas) text(x, y float64, class, anchor, text string) {
	c.add(`<text x="%.1f" y="%.1f" class=%q text-anchor=%q>%s</text>`+"\n", x, y, class, anchor, html.EscapeString(text))
}

func (c *canvas) line(x1, y1, x2, y2 float64, style string) {
	c.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`+"\n", x1, y1, x2, y2, style)
}

const style = `<style>
text { font-family: Inter, "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; fill: #ccccdc; font-size: 11px }
.title { font-size: 13px; font-weight: 600 } .row { font-size: 15px; font-weight: 600 } .page { font-size: 19px; font-weight: 600 }
.faint { fill: #9a9aa8 } .note { fill: #9a9aa8; font-size: 12px } .big { font-size: 34px; font-weight: 600 }
</style>
`

// Draw returns a picture of the dashboard in its own layout, as SVG: each panel's queries, asked of the recording.
func Draw(ctx context.Context, d *Dashboard, r *Recording) (string, error) {
	lines := 0
	for i := range d.Panels {
		lines = max(lines, d.Panels[i].GridPos.Y+d.Panels[i].GridPos.H)
	}
	width, height := columns*cellWidth+gap, heading+lines*cellHeight+gap
	c := &canvas{}
	c.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">`+"\n%s", width, height, width, height, style)
	c.rect(0, 0, float64(width), float64(height), "#111217")
	c.text(gap+4, 28, "page", "start", d.Title)
	c.text(float64(width-gap-4), 28, "note", "end",
		"drawn from config/monitoring/dashboard.json by this project's own renderer, and not by Grafana; recorded from a real operator on a look-alike of Cal.com")
	for i := range d.Panels {
		if err := drawPanel(ctx, c, &d.Panels[i], r); err != nil {
			return "", fmt.Errorf("drawing %s: %w", d.Panels[i].Title, err)
		}
	}
	c.add("</svg>\n")
	return c.svg.String(), nil
}

// columns is how many Grafana's grid has.
const columns = 24

func drawPanel(ctx context.Context, c *canvas, p *Panel, r *Recording) error {
	a := area{
		float64(p.GridPos.X*cellWidth + gap), float64(heading + p.GridPos.Y*cellHeight + gap),
		float64(p.GridPos.W*cellWidth - gap), float64(p.GridPos.H*cellHeight - gap),
	}
	if p.Type == "row" {
		c.text(a.x+4, a.y+17, "row", "start", p.Title)
		return nil
	}
	c.rect(a.x, a.y, a.w, a.h, "#181b1f")
	c.text(a.x+10, a.y+19, "title", "start", p.Title)
	all, err := curves(ctx, p, r)
	if err != nil {
		return err
	}
	inner := area{a.x + 10, a.y + 28, a.w - 20, a.h - 36}
	switch p.Type {
	case "stat":
		drawStat(c, p, inner, all)
	case "state-timeline":
		drawStates(c, p, inner, all, r)
	default:
		drawCurves(c, p, inner, all, r)
	}
	return nil
}

// area is a part of the picture.
type area struct{ x, y, w, h float64 }

// curve is a series with its name and colour.
type curve struct {
	name, colour string
	points       []promql.FPoint
}

// curves asks a panel's queries.
func curves(ctx context.Context, p *Panel, r *Recording) ([]curve, error) {
	var all []curve
	for i := range p.Targets {
		target := &p.Targets[i]
		from, step := r.Begin, 30*time.Second
		if target.Instant {
			from = r.End
		}
		matrix, err := r.Query(ctx, target.Expression(), from, r.End, step)
		if err != nil {
			return nil, err
		}
		for _, series := range matrix {
			points := slices.DeleteFunc(series.Floats, func(p promql.FPoint) bool { return math.IsNaN(p.F) })
			if len(points) > 0 {
				all = append(all, curve{name: legend(target.LegendFormat, series.Metric), points: points})
			}
		}
	}
	if p.Type == "state-timeline" {
		slices.SortStableFunc(all, func(a, b curve) int { return cmp.Compare(a.points[0].T, b.points[0].T) })
	}
	for i := range all {
		all[i].colour = palette[i%len(palette)]
	}
	return all, nil
}

// legend fills the labels in, and the name of a label where it has no value.
func legend(format string, metric labels.Labels) string {
	metric.Range(func(l labels.Label) { format = strings.ReplaceAll(format, "{{"+l.Name+"}}", l.Value) })
	return strings.NewReplacer("{{", "", "}}", "").Replace(format)
}

// colourOf returns the colour of the highest threshold that a value has reached.
func colourOf(p *Panel, value float64) string {
	colour := ""
	for _, step := range p.FieldConfig.Defaults.Thresholds.Steps {
		if step.Value == nil || value >= *step.Value {
			colour = named[step.Color]
		}
	}
	return colour
}

func drawStat(c *canvas, p *Panel, a area, all []curve) {
	text, colour := p.FieldConfig.Defaults.NoValue, "#9a9aa8"
	if len(all) > 0 {
		last := all[0].points[len(all[0].points)-1].F
		text, colour = format(p.FieldConfig.Defaults.Unit, last), colourOf(p, last)
	}
	c.add(`<text x="%.1f" y="%.1f" class="big" text-anchor="middle" style="fill:%s">%s</text>`+"\n", a.x+a.w/2, a.y+a.h/2+10, colour, html.EscapeString(text))
}

// drawStates draws a line for each series, coloured where it has a value.
func drawStates(c *canvas, p *Panel, a area, all []curve, r *Recording) {
	const names = 260
	if len(all) == 0 {
		c.text(a.x+a.w/2, a.y+a.h/2, "faint", "middle", p.FieldConfig.Defaults.NoValue)
		return
	}
	plot := area{a.x + names, a.y, a.w - names, a.h - 16}
	height := min(26, plot.h/float64(len(all)))
	for i, s := range all {
		y := plot.y + float64(i)*height
		c.text(plot.x-10, y+height/2+4, "", "end", s.name)
		c.rect(plot.x, y+2, plot.w, height-4, "#22252b")
		width := plot.w * float64(30_000) / float64(r.End.Sub(r.Begin).Milliseconds())
		for j := 0; j < len(s.points); { // Neighbours are one bar.
			first := j
			j++
			for j < len(s.points) && s.points[j].T-s.points[j-1].T <= 30_000 {
				j++
			}
			begin := plot.xOf(s.points[first].T, r)
			c.rect(begin, y+2, min(plot.xOf(s.points[j-1].T, r)+width, plot.x+plot.w)-begin, height-4, colourOf(p, s.points[first].F))
		}
	}
	drawTimes(c, plot, r, false)
}

func (a area) xOf(milliseconds int64, r *Recording) float64 {
	return a.x + a.w*float64(milliseconds-r.Begin.UnixMilli())/float64(r.End.UnixMilli()-r.Begin.UnixMilli())
}

// drawTimes labels the lower end of a plot, and draws lines upwards.
func drawTimes(c *canvas, a area, r *Recording, grid bool) {
	step := 30 * time.Minute
	if a.w < 350 {
		step = time.Hour
	}
	for at := r.Begin.Truncate(step); !at.After(r.End); at = at.Add(step) {
		if at.Before(r.Begin) {
			continue
		}
		x := a.xOf(at.UnixMilli(), r)
		if grid {
			c.line(x, a.y, x, a.y+a.h, `stroke="#2a2d34"`)
		}
		c.text(max(x, a.x+8), a.y+a.h+14, "faint", "middle", at.Format("15:04"))
	}
}
