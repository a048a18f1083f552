// Package report turns the samples of a benchmark into rows: medians with their spread,
// ratios, and whether a goal is met.
package report

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
)

// Stat is what the samples of one contender come to.
type Stat struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Row is one thing that was measured.
type Row struct {
	Name       string             `json:"name"`
	Unit       string             `json:"unit"`
	Contenders map[string]Stat    `json:"contenders"`
	Ratios     map[string]float64 `json:"ratios"` // "ossldtls/pion": the median of the rounds' ratios
	Goal       *string            `json:"goal"`
	Met        *bool              `json:"met"` // nil: there is no goal, or who it compares with is missing
}

// Report is all of a run.
type Report struct {
	Env  Env   `json:"env"`
	Rows []Row `json:"rows"`
}

// Env says what the figures hold for.
type Env struct {
	Machine string            `json:"machine"`
	CPU     string            `json:"cpu"`
	Cores   int               `json:"cores"`
	Memory  string            `json:"memory"`
	OS      string            `json:"os"`
	Kernel  string            `json:"kernel"`
	Go      string            `json:"go"`
	OpenSSL string            `json:"openssl"`
	Pion    string            `json:"pion"`
	Qt      string            `json:"qt,omitempty"` // and its OpenSSL
	Command string            `json:"command"`
	Commit  string            `json:"commit"`
	Date    string            `json:"date"`
	Seconds float64           `json:"seconds"`
	Load    string            `json:"load"`    // of the machine over the minute before the run, where it tells
	Missing map[string]string `json:"missing"` // contenders that could not take part, and why
}

// Ours is the contender whose ratios to the others a row has.
const Ours = "ossldtls"

// NewRow makes a row of samples: for each contender one for each round, in the order of
// the rounds. A sample that is not a number is left out. The ratios are made within each
// round, so that what slows a whole round down does not count.
func NewRow(name, unit string, samples map[string][]float64, goals ...Goal) Row {
	row := Row{Name: name, Unit: unit, Contenders: map[string]Stat{}, Ratios: map[string]float64{}}
	for contender, values := range samples {
		if stat, ok := Summarize(values); ok {
			row.Contenders[contender] = stat
		}
	}
	for contender, values := range samples {
		if contender == Ours {
			continue
		}
		if ratio, ok := Summarize(ratios(samples[Ours], values)); ok {
			row.Ratios[Ours+"/"+contender] = ratio.Median
		}
	}
	if len(goals) > 0 {
		texts := make([]string, len(goals))
		for i, g := range goals {
			texts[i] = g.String()
		}
		text := strings.Join(texts, ", ")
		row.Goal, row.Met = &text, evaluate(row, goals)
	}
	return row
}

func ratios(ours, theirs []float64) []float64 {
	var all []float64
	for i := range min(len(ours), len(theirs)) {
		all = append(all, ours[i]/theirs[i]) // what is no number is left out later
	}
	return all
}

// Summarize returns the median, the lowest and the highest of what is a finite number;
// ok is false if nothing is.
func Summarize(values []float64) (s Stat, ok bool) {
	sorted := make([]float64, 0, len(values))
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			sorted = append(sorted, v)
		}
	}
	if len(sorted) == 0 {
		return Stat{}, false
	}
	slices.Sort(sorted)
	return Stat{Median: Quantile(sorted, 0.5), Min: sorted[0], Max: sorted[len(sorted)-1]}, true
}

// Quantile returns the value below which the part q of sorted lies, between two values
// in proportion; 0 if there are none.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (sorted[high]-sorted[low])*(at-float64(low))
}

// JSON returns the report as it is kept.
func (r Report) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	return append(text, '\n'), err
}
