package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Table writes the rows as a table for a terminal: the medians with the lowest and the
// highest, the ratios, the goal and whether it is met.
func (r Report) Table(w io.Writer) error { return r.table(w, true) }

// Markdown writes the same without the blanks that align the columns.
func (r Report) Markdown(w io.Writer) error { return r.table(w, false) }

func (r Report) table(w io.Writer, aligned bool) error {
	lines := [][]string{{"what", "unit", "contenders: median (min … max)", "ratios", "goal", "met"}}
	for _, row := range r.Rows {
		lines = append(lines, []string{row.Name, row.Unit, row.contenders(), row.ratios(), row.goal(), row.verdict()})
	}
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			if !aligned {
				break
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, line := range lines {
		for i, cell := range line {
			fmt.Fprintf(&b, "| %s%s ", cell, strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(cell))))
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				b.WriteString("|" + strings.Repeat("-", width+2))
			}
			b.WriteString("|\n")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Env.Missing)) {
		fmt.Fprintf(&b, "\nmissing: %s: %s\n", name, r.Env.Missing[name])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (row Row) contenders() string {
	names := slices.Sorted(maps.Keys(row.Contenders))
	// Ours first.
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	parts := make([]string, len(names))
	for i, name := range names {
		s := row.Contenders[name]
		parts[i] = name + " " + Figure(s.Median)
		if s.Min != s.Max {
			parts[i] += fmt.Sprintf(" (%s … %s)", Figure(s.Min), Figure(s.Max))
		}
	}
	return strings.Join(parts, "; ")
}

func rank(name string) int {
	switch {
	case name == Ours:
		return 0
	case strings.HasPrefix(name, Ours):
		return 1
	}
	return 2
}

func (row Row) ratios() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(row.Ratios)) {
		parts = append(parts, "/"+strings.TrimPrefix(name, Ours+"/")+" "+Figure(row.Ratios[name]))
	}
	return strings.Join(parts, "; ")
}

func (row Row) goal() string {
	if row.Goal == nil {
		return ""
	}
	return *row.Goal
}

func (row Row) verdict() string {
	switch {
	case row.Goal == nil:
		return ""
	case row.Met == nil:
		return "?"
	case *row.Met:
		return "yes"
	}
	return "NO"
}

// Figure returns a number with three digits that count, thousands apart.
func Figure(v float64) string {
	switch abs := math.Abs(v); {
	case abs == 0:
		return "0"
	case abs < 0.0005:
		return fmt.Sprintf("%.1e", v)
	case abs < 1:
		return fmt.Sprintf("%.3f", v)
	case abs < 10:
		return fmt.Sprintf("%.2f", v)
	case abs < 100:
		return fmt.Sprintf("%.1f", v)
	}
	text := fmt.Sprintf("%.0f", math.Abs(v))
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	if v < 0 {
		return "-" + text
	}
	return text
}
