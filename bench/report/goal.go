package report

import (
	"fmt"
	"strings"
)

// Goal is what a row is to reach. Of is "ossldtls/pion" for a ratio or a contender's name
// for its own median.
type Goal struct {
	Of      string
	AtMost  bool // else at least
	Limit   float64
	Comment string // said instead of the limit
}

// AtLeast is the goal of being that large or larger.
func AtLeast(of string, limit float64) Goal { return Goal{Of: of, Limit: limit} }

// AtMost is the goal of being that small or smaller.
func AtMost(of string, limit float64) Goal { return Goal{Of: of, AtMost: true, Limit: limit} }

// Called returns the goal with words of its own.
func (g Goal) Called(words string) Goal {
	g.Comment = words
	return g
}

// String returns the goal as the table has it: "ossldtls/pion ≥ 15".
func (g Goal) String() string {
	if g.Comment != "" {
		return g.Comment
	}
	sign := "≥"
	if g.AtMost {
		sign = "≤"
	}
	return fmt.Sprintf("%s %s %g", g.Of, sign, g.Limit)
}

// met is nil if the row does not have what the goal is about.
func (g Goal) met(row Row) *bool {
	var value float64
	if strings.Contains(g.Of, "/") {
		ratio, ok := row.Ratios[g.Of]
		if !ok {
			return nil
		}
		value = ratio
	} else {
		stat, ok := row.Contenders[g.Of]
		if !ok {
			return nil
		}
		value = stat.Median
	}
	met := value >= g.Limit
	if g.AtMost {
		met = value <= g.Limit
	}
	return &met
}

// evaluate returns whether all goals are met: false if one is not, else nil if one cannot
// be told.
func evaluate(row Row, goals []Goal) *bool {
	met := true
	result := &met
	for _, g := range goals {
		switch one := g.met(row); {
		case one == nil:
			result = nil
		case !*one:
			return one
		}
	}
	return result
}
