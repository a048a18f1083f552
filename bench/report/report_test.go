package report

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSummarize(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   Stat
		ok     bool
	}{
		{[]float64{3, 1, 2}, Stat{2, 1, 3}, true},
		{[]float64{4, 1, 2, 3}, Stat{2.5, 1, 4}, true},
		{[]float64{7}, Stat{7, 7, 7}, true},
		{[]float64{math.NaN(), 5, math.Inf(1)}, Stat{5, 5, 5}, true},
		{[]float64{math.NaN()}, Stat{}, false},
		{nil, Stat{}, false},
	} {
		got, ok := Summarize(test.values)
		assert.Equal(t, test.ok, ok, "%v", test.values)
		assert.Equal(t, test.want, got, "%v", test.values)
	}
}

func TestQuantile(t *testing.T) {
	sorted := make([]float64, 1001)
	for i := range sorted {
		sorted[i] = float64(i)
	}
	assert.InDelta(t, 500, Quantile(sorted, 0.5), 1e-9)
	assert.InDelta(t, 999, Quantile(sorted, 0.999), 1e-9)
	assert.InDelta(t, 1000, Quantile(sorted, 1), 1e-9)
	assert.Zero(t, Quantile(nil, 0.5))
}

// The ratio of the medians would be 2: what slows a whole round down does not count.
func TestRatiosAreMadeWithinTheRounds(t *testing.T) {
	row := NewRow("r", "u", map[string][]float64{Ours: {10, 20, 400}, "pion": {10, 10, 100}})
	assert.InDelta(t, 2, row.Ratios["ossldtls/pion"], 1e-9)
	row = NewRow("r", "u", map[string][]float64{Ours: {10, 20, 30}, "pion": {1, 10, 30}})
	assert.InDelta(t, 2, row.Ratios["ossldtls/pion"], 1e-9)
	assert.Equal(t, Stat{20, 10, 30}, row.Contenders[Ours])
	assert.Nil(t, row.Goal)
	assert.Nil(t, row.Met)
}

func TestNoRatioToNothing(t *testing.T) {
	row := NewRow("r", "u", map[string][]float64{Ours: {1, 2}, "UDP": {0, 0}, "C": {math.NaN(), math.NaN()}})
	assert.Empty(t, row.Ratios)
	assert.NotContains(t, row.Contenders, "C")
}

func TestGoals(t *testing.T) {
	samples := map[string][]float64{Ours: {10}, "pion": {5}, "UDP": {20}}
	yes, no := true, false
	for _, test := range []struct {
		goals []Goal
		want  *bool
	}{
		{[]Goal{AtLeast("ossldtls/pion", 2)}, &yes},
		{[]Goal{AtLeast("ossldtls/pion", 2.1)}, &no},
		{[]Goal{AtMost("ossldtls/UDP", 0.5)}, &yes},
		{[]Goal{AtMost("ossldtls/UDP", 0.4)}, &no},
		{[]Goal{AtMost(Ours, 10)}, &yes},
		{[]Goal{AtMost(Ours, 9)}, &no},
		{[]Goal{AtMost("ossldtls/C", 1)}, nil},
		{[]Goal{AtMost("ossldtls/C", 1), AtLeast("ossldtls/pion", 2)}, nil},
		{[]Goal{AtMost("ossldtls/C", 1), AtLeast("ossldtls/pion", 3)}, &no},
		{[]Goal{AtLeast("ossldtls/pion", 3), AtMost("ossldtls/C", 1)}, &no},
		{[]Goal{AtMost("nobody", 1)}, nil},
	} {
		row := NewRow("r", "u", samples, test.goals...)
		require.NotNil(t, row.Goal)
		assert.Equal(t, test.want, row.Met, *row.Goal)
	}
	row := NewRow("r", "u", samples, AtLeast("ossldtls/pion", 15), AtMost(Ours, 0).Called("none"))
	assert.Equal(t, "ossldtls/pion ≥ 15, none", *row.Goal)
}

// Whoever reads latest.json finds it so.
func TestShapeOfTheJSON(t *testing.T) {
	r := Report{
		Env: Env{Pion: "v3.1.15", Missing: map[string]string{"Qt": "not there"}},
		Rows: []Row{
			NewRow("with a goal", "µs", map[string][]float64{Ours: {1, 3, 2}, "pion": {2, 6, 4}}, AtMost("ossldtls/pion", 0.6)),
			NewRow("without", "%", map[string][]float64{Ours: {1}}),
			NewRow("nobody to compare with", "%", map[string][]float64{Ours: {1}}, AtMost("ossldtls/C", 1)),
		},
	}
	text, err := r.JSON()
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.Unmarshal(text, &got))
	assert.Len(t, got, 2)
	env := got["env"].(map[string]any)
	for _, field := range []string{"machine", "cpu", "cores", "kernel", "go", "openssl", "pion", "missing"} {
		assert.Contains(t, env, field)
	}
	assert.Equal(t, map[string]any{"Qt": "not there"}, env["missing"])
	rows := got["rows"].([]any)
	assert.Equal(t, map[string]any{
		"name": "with a goal", "unit": "µs", "goal": "ossldtls/pion ≤ 0.6", "met": true,
		"ratios": map[string]any{"ossldtls/pion": 0.5},
		"contenders": map[string]any{
			"ossldtls": map[string]any{"median": 2.0, "min": 1.0, "max": 3.0},
			"pion":     map[string]any{"median": 4.0, "min": 2.0, "max": 6.0},
		},
	}, rows[0])
	second := rows[1].(map[string]any)
	assert.Contains(t, second, "goal")
	assert.Nil(t, second["goal"])
	assert.Nil(t, second["met"])
	assert.Equal(t, map[string]any{}, second["ratios"])
	third := rows[2].(map[string]any)
	assert.Equal(t, "ossldtls/C ≤ 1", third["goal"])
	assert.Nil(t, third["met"])
}

func TestTable(t *testing.T) {
	r := Report{
		Env: Env{Missing: map[string]string{"Qt": "not there"}},
		Rows: []Row{
			NewRow("fast", "/s", map[string][]float64{Ours: {1000, 3000, 2000}, "pion": {10, 10, 10}, "C": {1, 1, 1}, "ossldtls Conn": {5, 5, 5}},
				AtLeast("ossldtls/pion", 15)),
			NewRow("slow", "µs", map[string][]float64{Ours: {2}, "UDP": {1}}, AtMost("ossldtls/UDP", 1.25)),
			NewRow("alone", "µs", map[string][]float64{Ours: {2}}, AtMost("ossldtls/UDP", 1.25)),
		},
	}
	var b strings.Builder
	require.NoError(t, r.Table(&b))
	lines := strings.Split(b.String(), "\n")
	assert.Contains(t, lines[2], "| ossldtls 2,000 (1,000 … 3,000); ossldtls Conn 5.00; C 1.00; pion 10.0 ")
	assert.Regexp(t, `\| /C 2,000; /ossldtls Conn 400; /pion 200 +\| ossldtls/pion ≥ 15 +\| yes +\|$`, lines[2])
	assert.Regexp(t, `\| NO +\|$`, lines[3])
	assert.Regexp(t, `\| \? +\|$`, lines[4])
	assert.Contains(t, b.String(), "missing: Qt: not there")
}

func TestFigure(t *testing.T) {
	for value, want := range map[float64]string{
		0: "0", 0.00001: "1.0e-05", 0.1234: "0.123", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234: "1,234", 1234567: "1,234,567", -4321: "-4,321",
	} {
		assert.Equal(t, want, Figure(value))
	}
}
