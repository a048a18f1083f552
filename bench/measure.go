package main

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/ossldtls/ossldtls/bench/report"
)

// metric is one row that a case makes.
type metric struct {
	name, unit string
	goals      []report.Goal
}

// sampler takes one sample, in about the time given: a value for each metric of its case,
// or NaN where it has none.
type sampler func(d time.Duration) ([]float64, error)

// contender is one of those that do the same work. open prepares it, warm.
type contender struct {
	name string
	open func() (take sampler, closing func(), err error)
}

// bencher is a case: contenders that do the same work side by side.
type bencher struct {
	topic      string // what is seen while it runs
	metrics    []metric
	contenders []contender
	rounds     int
	each       time.Duration // of a sample
	cores      int           // 0: all
	once       bool          // a sample is all of the work: no warm-up
	plots      []point       // where the metrics go in the plots
}

// missingError says that a contender cannot take part at all.
type missingError struct{ why string }

func (e *missingError) Error() string { return e.why }

// run does the rounds: within each, every contender has its turn, in an order that moves
// on from round to round.
func (b *bencher) run(say func(format string, args ...any), missing map[string]string) ([]report.Row, error) {
	say("%s", b.topic)
	if b.cores > 0 {
		undo, err := useCores(b.cores)
		if err != nil {
			say("  left out: %v", err)
			return nil, nil
		}
		defer undo()
	}
	type running struct {
		name string
		take sampler
	}
	var all []running
	var ours error
	for _, c := range b.contenders {
		take, closing, err := c.open()
		if closing != nil {
			defer closing()
		}
		if err == nil && !b.once {
			_, err = take(b.each / 4) // warm-up
		}
		if err != nil {
			ours = errors.Join(ours, b.failed(c.name, err, say, missing))
			continue
		}
		all = append(all, running{c.name, take})
	}
	samples := make([]map[string][]float64, len(b.metrics))
	for i := range samples {
		samples[i] = map[string][]float64{}
	}
	for round := range b.rounds {
		for i := range all {
			r := &all[(i+round)%len(all)]
			if r.take == nil {
				continue
			}
			runtime.GC() // nobody pays for what another has left
			values, err := r.take(b.each)
			if err != nil {
				ours = errors.Join(ours, b.failed(r.name, err, say, missing))
				r.take = nil
				for m := range samples {
					delete(samples[m], r.name)
				}
				continue
			}
			for m, value := range values {
				samples[m][r.name] = append(samples[m][r.name], value)
			}
		}
	}
	rows := make([]report.Row, len(b.metrics))
	for i, m := range b.metrics {
		rows[i] = report.NewRow(m.name, m.unit, samples[i], m.goals...)
	}
	return rows, ours
}

// failed notes that a contender is missing. It returns the error if it was ours.
func (b *bencher) failed(name string, err error, say func(string, ...any), missing map[string]string) error {
	say("  %s is missing: %v", name, err)
	var absent *missingError
	if errors.As(err, &absent) {
		missing[name] = absent.why
		return nil
	}
	missing[name+" in: "+b.topic] = err.Error()
	if name == report.Ours {
		return fmt.Errorf("%s: %s: %w", b.topic, name, err)
	}
	return nil
}

// none stands for a value that a contender does not have.
var none = math.NaN()

// turn is how long a measuring loop goes on before it gives way to Go's scheduler. A program
// on a network does so whenever it waits for a datagram. From a loop that never does, the
// runtime takes the processor away after 10 ms and then looks after it tens of times before
// the next 10 ms are over: with calls of C, a tenth of the CPU time.
const turn = 5 * time.Millisecond

// until calls f in lots until the time is over, and returns how often and how long.
func until(d time.Duration, lot int, f func() error) (n int, took time.Duration, err error) {
	start := time.Now()
	next := turn
	for {
		for range lot {
			if err := f(); err != nil {
				return n, time.Since(start), err
			}
		}
		n += lot
		if took = time.Since(start); took >= d {
			return n, took, nil
		}
		if took >= next {
			runtime.Gosched()
			next = took + turn
		}
	}
}
