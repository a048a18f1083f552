package main

import (
	"cmp"
	"fmt"
	"image/color"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"github.com/ossldtls/ossldtls/bench/report"
)

// point says where a metric of a case goes in the plots: on a curve at x, or, with a label,
// among the bars of that name.
type point struct {
	metric int // which one of the case
	file   string
	title  string
	suffix string // of the contender's name, where a curve is one of several
	x      float64
	xLabel string
	byTens bool // x grows by factors
	label  string
}

// datum is a point with what was measured.
type datum struct {
	point
	who, series, unit string
	report.Stat
}

// place returns the data of the rows of a case.
func place(points []point, rows []report.Row) []datum {
	var all []datum
	for _, p := range points {
		if p.metric >= len(rows) {
			continue
		}
		row := rows[p.metric]
		for name, stat := range row.Contenders {
			series := strings.TrimSpace(name + " " + p.suffix)
			all = append(all, datum{p, name, series, row.Unit, stat})
		}
	}
	return all
}

const (
	plotWidth  = 18 * vg.Centimeter
	plotHeight = 11 * vg.Centimeter
)

// drawAll writes a file for each plot.
func drawAll(dir string, data []datum) error {
	byFile := map[string][]datum{}
	for _, d := range data {
		byFile[d.file] = append(byFile[d.file], d)
	}
	for _, file := range slices.Sorted(maps.Keys(byFile)) {
		p, err := draw(byFile[file])
		if err != nil {
			return fmt.Errorf("plot %s: %w", file, err)
		}
		if err := p.Save(plotWidth, plotHeight, filepath.Join(dir, file+".svg")); err != nil {
			return fmt.Errorf("plot %s: %w", file, err)
		}
	}
	return nil
}

func draw(data []datum) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = data[0].title
	p.Y.Label.Text = data[0].unit
	p.X.Label.Text = data[0].xLabel
	p.Y.Min = 0
	p.Legend.Top, p.Legend.Padding, p.Legend.XOffs = true, vg.Millimeter, -vg.Centimeter
	p.Add(plotter.NewGrid())
	bySeries := map[string][]datum{}
	for _, d := range data {
		bySeries[d.series] = append(bySeries[d.series], d)
	}
	names := slices.Sorted(maps.Keys(bySeries))
	if data[0].label != "" {
		return p, bars(p, names, bySeries, labelsOf(data))
	}
	for i, name := range names {
		if err := curve(p, i, name, bySeries[name]); err != nil {
			return nil, err
		}
	}
	p.X.Tick.Marker = ticksOf(data)
	if data[0].byTens {
		p.X.Scale = plot.LogScale{}
	}
	p.Y.Max *= 1.4 // for the legend
	return p, nil
}

// ticksOf marks where something was measured.
func ticksOf(data []datum) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for _, d := range data {
		tick := plot.Tick{Value: d.x, Label: report.Figure(d.x)}
		if d.x < 1000 {
			tick.Label = fmt.Sprint(d.x)
		}
		if !slices.Contains(ticks, tick) {
			ticks = append(ticks, tick)
		}
	}
	return ticks
}

// curve draws the medians, joined, and from the lowest to the highest of each.
func curve(p *plot.Plot, i int, name string, data []datum) error {
	slices.SortFunc(data, func(a, b datum) int { return cmp.Compare(a.x, b.x) })
	c := &spread{}
	for _, d := range data {
		c.XYs = append(c.XYs, plotter.XY{X: d.x, Y: d.Median})
		c.YErrors = append(c.YErrors, struct{ Low, High float64 }{d.Min - d.Median, d.Max - d.Median})
	}
	line, dots, err := plotter.NewLinePoints(c.XYs)
	if err != nil {
		return err
	}
	whiskers, err := plotter.NewYErrorBars(c)
	if err != nil {
		return err
	}
	ink := colorOf(data[0].who)
	line.Color, dots.Color, whiskers.Color = ink, ink, ink
	dots.Shape = plotutil.Shape(i)
	if strings.HasPrefix(data[0].suffix, "1 ") { // the fewer cores
		line.Dashes = plotutil.Dashes(2)
	}
	p.Add(line, dots, whiskers)
	p.Legend.Add(name, line, dots)
	return nil
}

// colorOf returns a contender's color, the same in all plots.
func colorOf(who string) color.Color {
	order := []string{report.Ours, pionName, udpName, cName, report.Ours + " Conn", report.Ours + " openssl", qtName}
	return plotutil.Color(max(0, slices.Index(order, who)))
}

type spread struct {
	plotter.XYs
	plotter.YErrors
}

// labelsOf returns the names of the groups of bars, in the order in which they were measured.
func labelsOf(data []datum) []string {
	var labels []string
	for _, d := range data {
		if !slices.Contains(labels, d.label) {
			labels = append(labels, d.label)
		}
	}
	return labels
}

func bars(p *plot.Plot, names []string, bySeries map[string][]datum, labels []string) error {
	width := vg.Length(float64(plotWidth) * 0.7 / float64(len(labels)*len(names)))
	for i, name := range names {
		values := make(plotter.Values, len(labels))
		for _, d := range bySeries[name] {
			values[slices.Index(labels, d.label)] = d.Median
		}
		chart, err := plotter.NewBarChart(values, width)
		if err != nil {
			return err
		}
		chart.Color, chart.LineStyle.Width = colorOf(bySeries[name][0].who), 0
		chart.Offset = width * vg.Length(float64(i)-float64(len(names)-1)/2)
		p.Add(chart)
		p.Legend.Add(name, chart)
	}
	p.NominalX(labels...)
	p.X.Min, p.X.Max = -0.5, float64(len(labels))-0.5
	p.Y.Max *= 1.3
	return nil
}
