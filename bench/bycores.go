package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ossldtls/ossldtls/bench/report"
)

// rate makes what a sample says one number that can be added up.
type rate func(values []float64) float64

func theFirst(values []float64) float64  { return values[0] }
func theSecond(values []float64) float64 { return values[1] }

// perSecond is for what is measured in ns each.
func perSecond(values []float64) float64 { return 1e9 / values[0] }

// side is n of a contender side by side, and what they do together.
func side(c contender, n int, r rate) contender {
	return contender{c.name, func() (sampler, func(), error) {
		var takes []sampler
		var closings []func()
		closing := func() {
			for _, f := range closings {
				f()
			}
		}
		for range n {
			take, f, err := c.open()
			if f != nil {
				closings = append(closings, f)
			}
			if err != nil {
				return nil, closing, err
			}
			takes = append(takes, take)
		}
		return func(d time.Duration) ([]float64, error) {
			sum, err := together(takes, d, r)
			return []float64{sum}, err
		}, closing, nil
	}}
}

func together(takes []sampler, d time.Duration, r rate) (sum float64, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, take := range takes {
		wg.Add(1)
		go func() {
			defer wg.Done()
			values, failure := take(d)
			mu.Lock()
			defer mu.Unlock()
			if failure == nil {
				sum += r(values)
			}
			err = errors.Join(err, failure)
		}()
	}
	wg.Wait()
	return sum, err
}

// byCores measures how what is done in memory grows with the processors: on each one goroutine,
// or one process, does the whole work, and all of them stay on so many.
func byCores(what, unit, file string, r rate, cores, rounds int, each time.Duration, all []contender) *bencher {
	name := fmt.Sprintf("%s, one on each of %s", what, plural(cores, "core"))
	b := &bencher{
		topic: name, rounds: rounds, each: each, cores: cores,
		metrics: []metric{{name: name, unit: unit}},
		plots:   []point{{file: file, title: what, x: float64(cores), xLabel: "cores"}},
	}
	for _, c := range all {
		b.contenders = append(b.contenders, side(c, cores, r))
	}
	return b
}

// handshakesByCores and cryptByCores take the contenders of the cases in memory.
func handshakesByCores(k kind, cores, rounds int, each time.Duration, ids *identities, c *cProgram) *bencher {
	one := handshakes(k, rounds, each, ids, c)
	return byCores(one.topic, "handshakes/s", "cores-handshake-"+strings.ReplaceAll(k.name, " ", "-"), theSecond, cores, rounds, each, one.contenders)
}

func (s *selection) cryptByCores(size, cores, rounds int, each time.Duration) *bencher {
	what := fmt.Sprintf("encrypt + decrypt, %d B, %s, in memory", size, suites[0].name)
	all := []contender{
		cryptContender(report.Ours, size, func() (crypter, error) { return newAssociations(s.ids, byECDSA, size) }),
		cryptContender(pionName, size, func() (crypter, error) { return pionConns(s.ids, byECDSA, size) }),
		s.c.crypt(s.ids, suites[0], size),
	}
	return byCores(what, "datagrams/s", fmt.Sprintf("cores-crypt-%d", size), perSecond, cores, rounds, each, all)
}
