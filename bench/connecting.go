package main

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ossldtls/ossldtls/bench/report"
)

// connecting measures handshakes over loopback, the server in its own process, so that the
// CPU of the two sides can be told apart for everybody. Qt's server has this library's
// clients, so that only its own CPU is its.
func connecting(k kind, rounds int, each time.Duration, ids *identities, qt *qtProgram) *bencher {
	name := "handshake over loopback, " + k.name
	b := &bencher{
		topic: name, rounds: rounds, each: each,
		metrics: []metric{
			{name: name + ", CPU of the client's process", unit: "µs"},
			{name: name + ", CPU of the server's process", unit: "µs"},
			{name: name + ", 4 at a time", unit: "handshakes/s"},
		},
		plots: []point{
			{file: "handshake-loopback", title: "handshake over loopback, CPU", label: k.name + ", client"},
			{metric: 1, file: "handshake-loopback", title: "handshake over loopback, CPU", label: k.name + ", server"},
		},
	}
	if k.name == resumed.name {
		qt = nil // it resumes nothing
	}
	for _, who := range withQt(qt, report.Ours, pionName) {
		b.contenders = append(b.contenders, contender{who, func() (sampler, func(), error) { return openConnecting(serverTask(who, k, ids, qt), k, ids) }})
	}
	return b
}

func openConnecting(t task, k kind, ids *identities) (sampler, func(), error) {
	s, err := startServer(t)
	if err != nil {
		return nil, nil, err
	}
	n := pionNetwork(ids, k)
	if t.Contender != pionName {
		if n, err = osslNetwork(ids, k); err != nil {
			return nil, s.stop, err
		}
	}
	return func(d time.Duration) ([]float64, error) {
		values, err := sampleConnecting(s, n, d)
		if err == nil && t.Contender == qtName {
			values[0], values[2] = none, none
		}
		return values, err
	}, s.stop, nil
}

func sampleConnecting(s *server, n *network, d time.Duration) ([]float64, error) {
	before, err := s.state()
	if err != nil {
		return nil, err
	}
	cpu, start := cpuTime(), time.Now()
	var made atomic.Int64
	var failure atomic.Pointer[error]
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for time.Since(start) < d && failure.Load() == nil {
				c, err := n.dial(s.start.Address)
				if err == nil {
					err = echoOnce(c, i)
					_ = c.Close()
				}
				if err != nil {
					failure.CompareAndSwap(nil, &err)
					return
				}
				made.Add(1)
			}
		}()
	}
	wg.Wait()
	took, clientCPU := time.Since(start), cpuTime()-cpu
	if err := failure.Load(); err != nil {
		return nil, *err
	}
	after, err := s.state()
	if err != nil {
		return nil, err
	}
	count := int(made.Load())
	return []float64{micros(clientCPU, count), micros(after.CPU-before.CPU, count), float64(count) / took.Seconds()}, nil
}
