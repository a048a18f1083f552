package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ossldtls/ossldtls/bench/report"
)

const echoSize = 200

// Under load another client sends this much to the same server, whoever serves.
const (
	loadSize = 1200
	loadRate = 20000 // datagrams a second, a lot each millisecond
)

// echoCase says which round trips.
type echoCase struct {
	size, conns int // each connection has one datagram under way
	cores       int // 0: all
	loaded      bool
}

func (e echoCase) name() string {
	name := fmt.Sprintf("echo round trip, %d B", e.size)
	if e.conns > 1 {
		name += ", " + plural(e.conns, "connection")
	}
	if e.cores > 0 {
		name += ", " + plural(e.cores, "core")
	}
	if e.loaded {
		name += fmt.Sprintf(", under load (%d datagrams/s of %d B)", loadRate, loadSize)
	}
	return name
}

// echo measures the round trip of one datagram at a time.
func echo(what echoCase, rounds int, each time.Duration, nets []*network, goals ...report.Goal) *bencher {
	name := what.name()
	b := &bencher{topic: name, rounds: rounds, each: each, cores: what.cores, plots: what.plots(), metrics: []metric{
		{name: name + ", p50", unit: "µs", goals: goals}, {name: name + ", p99", unit: "µs"}, {name: name + ", p99.9", unit: "µs"},
	}}
	for _, net := range nets {
		b.contenders = append(b.contenders, contender{net.name, func() (sampler, func(), error) { return openEcho(net, what) }})
	}
	return b
}

// plots returns where the case goes: the plain one has bars of its own, and is on each curve.
func (e echoCase) plots() []point {
	if e.loaded {
		return quantileBars("echo-load", e.name())
	}
	title := fmt.Sprintf("echo round trip, %d B, p50", echoSize)
	var all []point
	plain := e == echoCase{size: echoSize, conns: 1}
	if plain {
		all = quantileBars("echo", e.name())
	}
	if e.conns == 1 && e.cores == 0 {
		all = append(all, point{file: "echo-size", title: "echo round trip, p50", x: float64(e.size), xLabel: "bytes of payload"})
	}
	if e.size == echoSize && e.cores == 0 {
		all = append(all, point{file: "echo-connections", title: title, x: float64(e.conns), xLabel: "connections, each with one datagram under way"})
	}
	if e.size == echoSize && e.conns == 1 {
		cores := e.cores
		if plain {
			cores = runtime.NumCPU()
		}
		all = append(all, point{file: "echo-cores", title: title, x: float64(cores), xLabel: "cores"})
	}
	return all
}

func quantileBars(file, title string) []point {
	var all []point
	for i, label := range []string{"p50", "p99", "p99.9"} {
		all = append(all, point{metric: i, file: file, title: title, label: label})
	}
	return all
}

func openEcho(n *network, what echoCase) (sampler, func(), error) {
	all, stop, err := openEchoers(n, what)
	if err != nil {
		return nil, stop, err
	}
	return func(d time.Duration) ([]float64, error) {
		if what.loaded {
			defer startLoad(all[what.conns].conn)()
		}
		times, err := sampleEchoes(all[:what.conns], d)
		slices.Sort(times)
		return []float64{report.Quantile(times, 0.5), report.Quantile(times, 0.99), report.Quantile(times, 0.999)}, err
	}, stop, nil
}

// sampleEchoes has all of them at it at the same time.
func sampleEchoes(all []*echoer, d time.Duration) (times []float64, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, e := range all {
		wg.Add(1)
		go func() {
			defer wg.Done()
			own, failure := e.sample(d)
			mu.Lock()
			defer mu.Unlock()
			times = append(times, own...)
			err = errors.Join(err, failure)
		}()
	}
	wg.Wait()
	return times, err
}

// openEchoers returns one more than the connections of the case, for the load.
func openEchoers(n *network, what echoCase) ([]*echoer, func(), error) {
	addr, closing, err := n.listen(func(payload []byte, answer func([]byte)) {
		if !what.loaded || len(payload) != loadSize {
			answer(payload)
		}
	})
	if err != nil {
		return nil, nil, err
	}
	conns, err := dialAll(n, addr, what.conns+1)
	stop := func() {
		for _, c := range conns {
			_ = c.Close()
		}
		closing()
	}
	if err != nil {
		return nil, stop, err
	}
	all := make([]*echoer, len(conns))
	for i, c := range conns {
		all[i] = &echoer{conn: c, size: what.size}
	}
	return all, stop, nil
}

type echoer struct {
	conn   net.Conn
	size   int
	number uint64
	times  []float64 // µs
}

// sample returns the times of the echoes in µs, good until the next sample.
func (e *echoer) sample(d time.Duration) ([]float64, error) {
	e.times = e.times[:0]
	lost := 0
	out, in := make([]byte, e.size), make([]byte, 2048)
	for end := time.Now().Add(d); time.Now().Before(end); {
		e.number++
		binary.BigEndian.PutUint64(out, e.number)
		if err := e.conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return nil, err
		}
		start := time.Now()
		if _, err := e.conn.Write(out); err != nil {
			return nil, err
		}
		switch err := e.await(in); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			lost++
		case err != nil:
			return nil, err
		default:
			e.times = append(e.times, float64(time.Since(start))/float64(time.Microsecond))
		}
	}
	if lost*100 >= len(e.times) {
		return nil, fmt.Errorf("%d echoes, %d lost", len(e.times), lost)
	}
	return e.times, nil
}

// await reads until the echo of the last number is there.
func (e *echoer) await(buf []byte) error {
	for {
		n, err := e.conn.Read(buf)
		if err != nil {
			return err
		}
		if n != e.size {
			return fmt.Errorf("an echo of %d bytes", n)
		}
		if binary.BigEndian.Uint64(buf) == e.number {
			return nil
		}
	}
}

// startLoad sends datagrams at a fixed rate until stop is called.
func startLoad(c net.Conn) (stop func()) {
	var over atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, loadSize)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for start, sent := time.Now(), 0; !over.Load(); <-tick.C {
			for due := int(time.Since(start).Seconds() * loadRate); sent < due; sent++ {
				if _, err := c.Write(b); err != nil {
					return
				}
			}
		}
	}()
	return func() {
		over.Store(true)
		<-done
	}
}
