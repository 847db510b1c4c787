// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/plan"
	"github.com/windlass-dev/windlass/internal/simulate"
)

// Size of a plot: fit for a page, and small in Git.
const (
	plotWidth  = 7.5 * vg.Inch
	plotHeight = 7.5 * vg.Inch
	plotDPI    = 130
	plotPoints = 300 // of a line: looks in between cannot be told apart
	fontSize   = 11
)

// Ends of the logarithmic axes: what is below is drawn at them.
const (
	lowWeight   = 0.1  // percent
	lowEvidence = 0.01 // E
	lowDevices  = 1
)

// colours that people with most kinds of colour blindness tell apart (Okabe and Ito, Color Universal Design, 2008).
var colours = []color.RGBA{
	{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {230, 159, 0, 255}, {86, 180, 233, 255}, {0, 0, 0, 255},
}

// traceLine is one rollout to draw.
type traceLine struct {
	name  string
	trace simulate.Trace
}

// plotSimulation draws the typical rollouts: weight, evidence and exposure over time, one above the other.
func plotSimulation(path string, s simulation) error {
	lines := make([]traceLine, 0, len(s.Scenarios))
	for i := range s.Scenarios {
		lines = append(lines, s.Scenarios[i].trace)
	}
	title := fmt.Sprintf("%s: %s", printable(s.Rollout), s.Steps)
	canvas, err := drawPlots(title, lines, filepath.Ext(path))
	if err != nil {
		return fmt.Errorf("--plot: %w", err)
	}
	return replaceFile(path, publicMode, func(f *os.File) error {
		_, err := canvas.WriteTo(f)
		return err
	})
}

// drawPlots draws lines in the format that an extension names.
func drawPlots(title string, lines []traceLine, ext string) (io.WriterTo, error) {
	panels, err := makePanels(lines)
	if err != nil {
		return nil, err
	}
	panels[0].Title.Text = title
	var canvas interface {
		vg.CanvasSizer
		io.WriterTo
	}
	if ext == ".png" {
		canvas = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(plotWidth, plotHeight), vgimg.UseDPI(plotDPI))}
	} else {
		canvas = vgsvg.New(plotWidth, plotHeight)
	}
	dc := draw.New(canvas)
	dc.SetColor(color.White)
	dc.Fill(dc.Path())
	const pad = vg.Length(10)
	tiles := draw.Tiles{Cols: 1, Rows: len(panels), PadX: pad, PadY: pad, PadTop: pad, PadBottom: pad, PadLeft: pad, PadRight: 2 * pad}
	grid := make([][]*plot.Plot, len(panels))
	for i, p := range panels {
		grid[i] = []*plot.Plot{p}
	}
	for i, row := range plot.Align(grid, tiles, dc) {
		panels[i].Draw(row[0])
	}
	return canvas, nil
}

// makePanels draws weight, evidence and exposure, over the same hours.
func makePanels(lines []traceLine) ([]*plot.Plot, error) {
	hours := 0.01 // also of a release that never started
	for _, l := range lines {
		hours = max(hours, l.trace.Took.Hours())
	}
	weight := newPanel("weight (%)", hours, lowWeight, 100)
	evidence := newPanel("evidence against it", hours, lowEvidence, 1000)
	exposed := newPanel("devices exposed", hours, lowDevices, 10)
	exposed.X.Label.Text = "hours since the start"
	for i, l := range lines {
		c := colours[i%len(colours)]
		if err := addLine(weight, l.name, c, weights(l.trace)); err != nil {
			return nil, err
		}
		if err := addLine(evidence, "", c, evidences(l.trace)); err != nil {
			return nil, err
		}
		if err := addLine(exposed, "", c, exposures(l.trace)); err != nil {
			return nil, err
		}
	}
	return []*plot.Plot{weight, evidence, exposed}, addLimits(evidence, hours, lines)
}

// newPanel is an empty plot with a logarithmic axis.
func newPanel(label string, hours, low, high float64) *plot.Plot {
	p := plot.New()
	sans := font.Font{Typeface: "Liberation", Variant: "Sans", Size: fontSize}
	for _, f := range []*font.Font{
		&p.Title.TextStyle.Font, &p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font, &p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font,
	} {
		*f = sans
	}
	p.Title.Padding = 6
	p.Y.Label.Text = label
	p.X.Min, p.X.Max = 0, hours
	p.Y.Min, p.Y.Max = math.Log10(low), math.Log10(high)
	p.X.Tick.Marker = evenTicks{}
	p.Y.Tick.Marker = powers10(low)
	p.Legend.Top, p.Legend.Left, p.Legend.Padding = true, true, 2
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{225}, color.Gray{225}
	p.Add(grid)
	return p
}

// addLine adds steps of (hours, logarithm to base 10).
func addLine(p *plot.Plot, name string, c color.Color, xys plotter.XYs) error {
	line, err := plotter.NewLine(xys)
	if err != nil {
		return err
	}
	line.StepStyle, line.Color, line.Width = plotter.PostStep, c, 1.6
	p.Add(line)
	if name != "" {
		p.Legend.Add(name, line)
	}
	return nil
}

// addLimits draws the evidence at which a release is taken back, and the part of it (in logarithms) from which on nothing rises. Both are
// higher after a slice was excluded, and then are drawn from the rollout of which that is so.
func addLimits(p *plot.Plot, hours float64, lines []traceLine) error {
	var steps plotter.XYs
	for _, l := range lines {
		if mine := limits(l.trace, hours); len(mine) > len(steps) {
			steps = mine
		}
	}
	if steps == nil {
		return nil
	}
	for _, at := range []struct {
		name  string
		part  float64 // of the logarithm
		color color.Color
	}{{"taken back", 1, color.RGBA{180, 0, 0, 255}}, {"nothing rises", eprocess.Suspicion, color.Gray{110}}} {
		xys := make(plotter.XYs, len(steps))
		for i, s := range steps {
			xys[i] = plotter.XY{X: s.X, Y: s.Y * at.part}
		}
		line, err := plotter.NewLine(xys)
		if err != nil {
			return err
		}
		line.StepStyle, line.Color, line.Dashes = plotter.PostStep, at.color, []vg.Length{5, 3}
		p.Add(line)
		p.Legend.Add(at.name+" from "+strconv.FormatFloat(math.Pow(10, xys[0].Y), 'g', 2, 64), line)
	}
	p.Y.Max = max(p.Y.Max, steps[len(steps)-1].Y+1)
	return nil
}

// limits are the limits of a rollout over time, as logarithms to base 10, from the start to the end of the plot.
func limits(t simulate.Trace, hours float64) plotter.XYs {
	var out plotter.XYs
	for _, p := range t.Points {
		y := p.Limit / math.Ln10
		switch {
		case y == 0:
		case out == nil:
			out = append(out, plotter.XY{X: 0, Y: y})
		case math.Abs(y-out[len(out)-1].Y) > 1e-9:
			out = append(out, plotter.XY{X: p.At.Hours(), Y: y})
		}
	}
	if out == nil {
		return nil
	}
	return append(out, plotter.XY{X: hours, Y: out[len(out)-1].Y})
}

func weights(t simulate.Trace) plotter.XYs {
	out := thin(t, lowWeight, func(p simulate.Point) float64 { return float64(p.Weight) / 100 })
	end := 0.0
	switch t.Outcome {
	case simulate.Completed:
		end = plan.FullWeight / 100
	case simulate.Paused, simulate.Held:
		return out
	}
	return append(out, plotter.XY{X: t.Took.Hours(), Y: math.Log10(max(end, lowWeight))})
}

func evidences(t simulate.Trace) plotter.XYs {
	out := thin(t, lowEvidence, func(p simulate.Point) float64 { return math.Exp(p.Evidence) })
	out[0].Y = 0 // before anything is seen, E is 1
	return out
}

func exposures(t simulate.Trace) plotter.XYs {
	out := thin(t, lowDevices, func(p simulate.Point) float64 { return float64(p.AllExposed) })
	return append(out, plotter.XY{X: t.Took.Hours(), Y: math.Log10(max(float64(t.Exposed), lowDevices))})
}

// thin gives a value over time in at most about plotPoints points: of a stretch of time, the highest value, since peaks decide.
func thin(t simulate.Trace, low float64, value func(simulate.Point) float64) plotter.XYs {
	out := plotter.XYs{{X: 0, Y: math.Log10(low)}}
	stretch := t.Took.Hours() / plotPoints
	for _, p := range t.Points {
		x, y := p.At.Hours(), math.Log10(min(max(value(p), low), 1e12))
		last := &out[len(out)-1]
		switch {
		case len(out) > 1 && x-last.X < stretch:
			last.Y = max(last.Y, y)
		case len(out) > 1 && y == last.Y:
		default:
			out = append(out, plotter.XY{X: x, Y: y})
		}
	}
	if n := len(t.Points); n > 0 && t.Points[n-1].At.Hours() > out[len(out)-1].X { // it stayed the same until then
		out = append(out, plotter.XY{X: t.Points[n-1].At.Hours(), Y: out[len(out)-1].Y})
	}
	return out
}

// powers10 are ticks at powers of ten, on an axis of logarithms that begins at a value, which stands for what is below as well.
type powers10 float64

// Ticks labels whole logarithms.
func (low powers10) Ticks(from, to float64) []plot.Tick {
	var out []plot.Tick
	every := math.Max(1, math.Ceil((to-from)/6))
	for at := math.Ceil(from - 1e-9); at <= to+1e-9; at += every {
		label := number(math.Pow(10, at))
		if at < 0 {
			label = strconv.FormatFloat(math.Pow(10, at), 'g', 1, 64)
		}
		if low == lowWeight && at < -1+1e-9 {
			label = "0"
		}
		out = append(out, plot.Tick{Value: at, Label: strings.ReplaceAll(label, " ", "\u00a0")})
	}
	return out
}

// evenTicks are about eight ticks at round numbers.
type evenTicks struct{}

// Ticks labels multiples of 1, 2 or 5 times a power of ten.
func (evenTicks) Ticks(from, to float64) []plot.Tick {
	step := math.Pow(10, math.Floor(math.Log10((to-from)/8)))
	for _, by := range []float64{2, 2.5, 2} {
		if (to-from)/step > 10 {
			step *= by
		}
	}
	var out []plot.Tick
	for i := math.Ceil(from / step); i*step <= to+1e-9; i++ {
		out = append(out, plot.Tick{Value: i * step, Label: strconv.FormatFloat(i*step, 'g', 4, 64)})
	}
	return out
}
