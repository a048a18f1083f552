package main

import (
	"fmt"
	"runtime"
	"time"
)

// counted measures what a datagram, or an echo, makes the process do, both ends together: it
// says why a row of oneWay's or echo's is as it is.
func counted(name, per string, rounds int, each time.Duration, nets []*network, open func(n *network) (work, func(), error)) *bencher {
	unit := "/" + per
	b := &bencher{
		topic: name + ", counted", rounds: rounds, each: each,
		metrics: []metric{
			{name: name + ": CPU of both ends", unit: "ns" + unit},
			{name: name + ": cgo calls", unit: unit},
			{name: name + ": system calls", unit: unit},
			{name: name + ": allocations", unit: unit},
		},
	}
	for _, net := range nets {
		b.contenders = append(b.contenders, contender{net.name, func() (sampler, func(), error) {
			w, closing, err := open(net)
			return func(d time.Duration) ([]float64, error) { return sampleCounts(w, d) }, closing, err
		}})
	}
	return b
}

// work goes on for d, and tells how many datagrams that were.
type work func(d time.Duration) (n uint64, err error)

func sampleCounts(w work, d time.Duration) ([]float64, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	systemCalls := countSystemCalls()
	cgo, cpu := runtime.NumCgoCall(), cpuTime()
	n, err := w(d)
	cgo, cpu = runtime.NumCgoCall()-cgo, cpuTime()-cpu
	calls := systemCalls()
	runtime.ReadMemStats(&after)
	if err == nil && n == 0 {
		err = fmt.Errorf("no datagram in %v", d)
	}
	each := func(count float64) float64 { return count / float64(n) }
	return []float64{each(float64(cpu.Nanoseconds())), each(float64(cgo)), each(calls), each(float64(after.Mallocs - before.Mallocs))}, err
}

func countedOneWay(size, rounds int, each time.Duration, nets []*network) *bencher {
	name := fmt.Sprintf("one-way datagrams of %d B over loopback, 1 connection", size)
	return counted(name, "datagram received", rounds, each, nets, func(n *network) (work, func(), error) {
		c := &counter{size: size, received: make([]tally, 1)}
		take, closing, err := openCounter(n, c)
		return func(d time.Duration) (uint64, error) {
			before := c.total()
			_, err := take(d)
			return c.total() - before, err
		}, closing, err
	})
}

func countedEcho(rounds int, each time.Duration, nets []*network) *bencher {
	what := echoCase{size: echoSize, conns: 1}
	return counted(what.name(), "echo", rounds, each, nets, func(n *network) (work, func(), error) {
		all, closing, err := openEchoers(n, what)
		return func(d time.Duration) (uint64, error) {
			times, err := all[0].sample(d)
			return uint64(len(times)), err
		}, closing, err
	})
}
