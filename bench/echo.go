package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
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

// echo measures the round trip of one datagram at a time.
func echo(loaded bool, rounds int, each time.Duration, nets []*network, goals ...report.Goal) *bencher {
	name := fmt.Sprintf("echo round trip, %d B", echoSize)
	if loaded {
		name += fmt.Sprintf(", under load (%d datagrams/s of %d B)", loadRate, loadSize)
	}
	b := &bencher{topic: name, rounds: rounds, each: each, metrics: []metric{
		{name: name + ", p50", unit: "µs", goals: goals}, {name: name + ", p99", unit: "µs"}, {name: name + ", p99.9", unit: "µs"},
	}}
	file := "echo"
	if loaded {
		file = "echo-load"
	}
	for i, label := range []string{"p50", "p99", "p99.9"} {
		b.plots = append(b.plots, point{metric: i, file: file, title: name, label: label})
	}
	for _, net := range nets {
		b.contenders = append(b.contenders, contender{net.name, func() (sampler, func(), error) { return openEcho(net, loaded) }})
	}
	return b
}

func openEcho(n *network, loaded bool) (sampler, func(), error) {
	addr, closing, err := n.listen(func(payload []byte, answer func([]byte)) {
		if len(payload) == echoSize { // not the load
			answer(payload)
		}
	})
	if err != nil {
		return nil, nil, err
	}
	conns, err := dialAll(n, addr, 2)
	stop := func() {
		for _, c := range conns {
			_ = c.Close()
		}
		closing()
	}
	if err != nil {
		return nil, stop, err
	}
	e := &echoer{conn: conns[0]}
	return func(d time.Duration) ([]float64, error) {
		if loaded {
			defer startLoad(conns[1])()
		}
		return e.sample(d)
	}, stop, nil
}

type echoer struct {
	conn   net.Conn
	number uint64
	times  []float64 // µs
}

func (e *echoer) sample(d time.Duration) ([]float64, error) {
	e.times = e.times[:0]
	lost := 0
	out, in := make([]byte, echoSize), make([]byte, 2048)
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
	slices.Sort(e.times)
	return []float64{report.Quantile(e.times, 0.5), report.Quantile(e.times, 0.99), report.Quantile(e.times, 0.999)}, nil
}

// await reads until the echo of the last number is there.
func (e *echoer) await(buf []byte) error {
	for {
		n, err := e.conn.Read(buf)
		if err != nil {
			return err
		}
		if n != echoSize {
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
