package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ossldtls/ossldtls/bench/report"
)

// busy is how many clients do something at the same time; the others are idle.
const busy = 64

// pagedName is this library in a process that has called openssl.UsePagedHeap.
const pagedName = report.Ours + " paged heap"

// peers measures servers with very many clients, each server alone in its process. The
// clients, in this one, are this library's for every DTLS server, so that only the servers
// differ.
func peers(count, cores, rounds int, echoing time.Duration, ids *identities, qt *qtProgram, goals, goroutineGoals []report.Goal) *bencher {
	name := fmt.Sprintf("server with %d peers", count)
	if cores > 0 {
		name += " and its clients on " + plural(cores, "core")
	}
	b := &bencher{
		topic: name, rounds: rounds, each: echoing, once: true, cores: cores,
		metrics: []metric{
			{name: name + ": resident memory per idle connection", unit: "KB", goals: goals},
			{name: name + ": goroutines per idle connection", unit: "", goals: goroutineGoals},
			{name: name + fmt.Sprintf(": echoes of %d B, %d at a time", echoSize, busy), unit: "echoes/s"},
			{name: name + ": connections made", unit: "connections/s"},
		},
	}
	if cores == 0 {
		b.plots = []point{
			{metric: 0, file: "peers-memory", title: "resident memory per idle connection", x: float64(count), xLabel: "peers", byTens: true},
			{metric: 1, file: "peers-goroutines", title: "goroutines per idle connection", x: float64(count), xLabel: "peers", byTens: true},
			{metric: 2, file: "peers-echo", title: "a server's echoes of 200 B", x: float64(count), xLabel: "peers", byTens: true},
			{metric: 3, file: "peers-made", title: "a server's new connections", x: float64(count), xLabel: "peers", byTens: true},
		}
	}
	for _, who := range withQt(qt, report.Ours, pagedName, pionName, udpName) {
		b.contenders = append(b.contenders, contender{who, func() (sampler, func(), error) {
			return func(d time.Duration) ([]float64, error) {
				return samplePeers(serverTask(who, byECDSA, ids, qt), count, d, ids)
			}, nil, nil
		}})
	}
	return b
}

// withQt returns those who serve, Qt among them if it is to.
func withQt(qt *qtProgram, others ...string) []string {
	if qt == nil {
		return others
	}
	return append(others, qtName)
}

func samplePeers(t task, count int, d time.Duration, ids *identities) ([]float64, error) {
	if files := raiseFileLimit(); files < count+100 {
		return nil, fmt.Errorf("this process may open only %d files (ulimit -n)", files)
	}
	s, err := startServer(t)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	dial := plainUDP().dial
	if t.Contender != udpName {
		n, err := osslNetwork(ids, byECDSA)
		if err != nil {
			return nil, err
		}
		dial = n.dial
	}
	conns := make([]net.Conn, count)
	defer func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	}()
	start := time.Now()
	if err := eachOf(count, func(i int) (err error) {
		conns[i], err = dial(s.start.Address)
		return err
	}); err != nil {
		return nil, err
	}
	connected := time.Since(start)
	var echoes atomic.Uint64
	// Everybody once: a server that makes its handshakes late is not measured before them.
	if err := eachOf(count, func(i int) error { return echoOnce(conns[i], i) }); err != nil {
		return nil, err
	}
	time.Sleep(300 * time.Millisecond)
	full, err := s.state()
	if err != nil {
		return nil, err
	}
	if full.Received < uint64(count) {
		return nil, fmt.Errorf("the server has heard %d of %d clients", full.Received, count)
	}
	start = time.Now()
	workers := min(busy, count)
	err = eachOf(workers, func(worker int) error {
		for i := worker; time.Since(start) < d; i += workers {
			if i >= count {
				i = worker
			}
			if err := echoOnce(conns[i], i); err != nil {
				return err
			}
			echoes.Add(1)
		}
		return nil
	})
	rate := float64(echoes.Load()) / time.Since(start).Seconds()
	memory, goroutines := none, float64(100*(full.Goroutines-s.start.Goroutines)/count)/100
	if t.Contender == qtName {
		goroutines = none
	}
	if t.Contender != udpName {
		memory = float64(full.Resident-s.start.Resident) / float64(count) / 1024
	}
	return []float64{memory, goroutines, rate, float64(count) / connected.Seconds()}, err
}

// eachOf does something for each number below count, a few at a time.
func eachOf(count int, do func(i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	failures := make(chan error, busy)
	for range min(busy, count) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := next.Add(1) - 1; i < int64(count) && len(failures) == 0; i = next.Add(1) - 1 {
				if err := do(int(i)); err != nil {
					failures <- fmt.Errorf("client %d: %w", i, err)
					return
				}
			}
		}()
	}
	wg.Wait()
	close(failures)
	return <-failures
}

var echoNumber atomic.Uint64

// echoOnce sends a datagram and waits for its echo; what is lost is sent again.
func echoOnce(c net.Conn, conn int) error {
	out, in := make([]byte, echoSize), make([]byte, 2048)
	number := echoNumber.Add(1)
	binary.BigEndian.PutUint64(out, number)
	binary.BigEndian.PutUint64(out[8:], uint64(conn))
	for range 10 {
		if _, err := c.Write(out); err != nil {
			return err
		}
		if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		for {
			n, err := c.Read(in)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return err
			}
			if n != echoSize || binary.BigEndian.Uint64(in[8:]) != uint64(conn) {
				return errors.New("an echo that is another's")
			}
			if binary.BigEndian.Uint64(in) == number {
				return nil
			}
		}
	}
	return errors.New("no echo")
}
