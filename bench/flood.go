package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/ossldtls/ossldtls/bench/report"
	"github.com/ossldtls/ossldtls/dtls"
)

// How many hellos from as many addresses that nobody is at. A server that keeps something
// for each gets fewer.
const (
	manyHellos    = 1_000_000
	visitedHellos = 200_000 // while real clients connect
	fewHellos     = 20_000
	firstHello    = 50_000 // before the memory is looked at
)

// floodSteps are where on its way to many the memory is looked at.
var floodSteps = []uint64{fewHellos, 200_000, 500_000}

// unchanged is how many KB a process may have more after the flood than before it: what a
// garbage collector needs to breathe, a byte for each hello.
const unchanged = 1024

// flood measures what a server keeps of hellos from spoofed addresses, and whether real
// clients get in meanwhile.
func flood(ids *identities, qt *qtProgram) *bencher {
	name := "spoofed hellos"
	b := &bencher{topic: name, rounds: 1, once: true, metrics: []metric{
		{name: "resident memory through 1,000,000 spoofed hellos, growth", unit: "KB",
			goals: []report.Goal{report.AtMost(report.Ours, unchanged).Called(fmt.Sprintf("unchanged (≤ %d KB)", unchanged))}},
		{name: "real clients let in during the flood", unit: "%", goals: []report.Goal{report.AtLeast(report.Ours, 100).Called("all")}},
		{name: "real clients let in during the flood, time, p50", unit: "ms"},
		{name: "resident memory for each spoofed hello", unit: "B"},
		{name: "spoofed hellos answered", unit: "hellos/s"},
	}}
	const file, title = "flood-memory", "resident memory through spoofed hellos, growth"
	b.plots = []point{{file: file, title: title, x: manyHellos, xLabel: "hellos", byTens: true}}
	for _, n := range floodSteps {
		b.plots = append(b.plots, point{metric: len(b.metrics), file: file, title: title, x: float64(n), xLabel: "hellos", byTens: true})
		b.metrics = append(b.metrics, metric{name: fmt.Sprintf("resident memory through %s spoofed hellos, growth", report.Figure(float64(n))), unit: "KB"})
	}
	for _, who := range withQt(qt, report.Ours, pionName) {
		b.contenders = append(b.contenders, contender{who, func() (sampler, func(), error) {
			return func(time.Duration) ([]float64, error) { return sampleFlood(serverTask(who, byECDSA, ids, qt), ids) }, nil, nil
		}})
	}
	return b
}

func sampleFlood(t task, ids *identities) ([]float64, error) {
	s, err := startServer(t)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	sp, err := newSpoofer(s.start.Address, ids)
	if err != nil {
		return nil, err
	}
	defer sp.close()
	first := firstHello
	if t.Contender == pionName {
		first = 100
	}
	if err := sp.send(first, 50); err != nil {
		return nil, err
	}
	time.Sleep(200 * time.Millisecond)
	before, err := s.alone()
	if err != nil {
		return nil, err
	}
	if t.Contender == pionName {
		return s.keptOf(sp, before)
	}
	start := time.Now()
	after, steps := before, []float64{}
	for _, n := range append(slices.Clone(floodSteps), manyHellos) {
		if after, err = s.answer(sp, n-(after.Cookies-before.Cookies)); err != nil {
			return nil, err
		}
		steps = append(steps, float64(after.Resident-before.Resident)/1024)
	}
	took := time.Since(start)
	// Apart, since what a real client makes a server hold is not the flood's.
	visits := startVisits(s.start.Address, ids)
	_, err = s.answer(sp, visitedHellos)
	share, waited := visits()
	if err != nil {
		return nil, err
	}
	if _, err := s.alone(); err != nil {
		return nil, err
	}
	count := after.Cookies - before.Cookies
	grown := float64(after.Resident - before.Resident)
	values := []float64{grown / 1024, 100 * share, waited, grown / float64(count), float64(count) / took.Seconds()}
	return append(values, steps[:len(floodSteps)]...), nil
}

// answer floods the server until it has answered n more hellos: those that its socket had no
// room for do not count.
func (s *server) answer(sp *spoofer, n uint64) (state, error) {
	start := time.Now()
	before, err := s.state()
	for after := before; err == nil; after, err = s.state() {
		if after.Cookies >= before.Cookies+n {
			return after, nil
		}
		if time.Since(start) > time.Minute {
			return after, fmt.Errorf("only %d hellos were answered", after.Cookies-before.Cookies)
		}
		if err := sp.send(int(min(n, 50_000)), 0); err != nil {
			return after, err
		}
	}
	return state{}, err
}

// alone waits until the last client has gone, and returns how the server is then.
func (s *server) alone() (state, error) {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		st, err := s.state()
		if err != nil || st.Open == 0 {
			return st, err
		}
		if time.Now().After(deadline) {
			return st, fmt.Errorf("%d connections are left", st.Open)
		}
	}
}

// keptOf is for a server that keeps something for each hello: a few, slowly enough for it to
// see all of them.
func (s *server) keptOf(sp *spoofer, before state) ([]float64, error) {
	if err := sp.send(fewHellos, 20); err != nil {
		return nil, err
	}
	after, err := s.state()
	grown := float64(after.Resident - before.Resident)
	return []float64{none, none, none, grown / fewHellos, none, grown / 1024, none, none}, err
}

// startVisits has one real client after the other connect. What it returns ends that, and
// tells which part of them got in, and in how many ms.
func startVisits(addr string, ids *identities) (stop func() (share, ms float64)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	visits, times := 0, []float64{}
	var conns []net.Conn // closed when the flood is over: a close_notify in it could be lost
	go func() {
		defer close(done)
		cfg, _, err := osslConfigs(ids, byECDSA)
		if err != nil {
			return
		}
		cfg.RetransmissionTimeout = 50 * time.Millisecond // the flood fills the server's socket
		for ctx.Err() == nil {
			start := time.Now()
			within, release := context.WithTimeout(context.Background(), 5*time.Second)
			c, err := dtls.DialContext(within, "udp4", addr, cfg)
			release()
			visits++
			if err == nil {
				times = append(times, float64(time.Since(start).Microseconds())/1000)
				conns = append(conns, c)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return func() (float64, float64) {
		cancel()
		<-done
		time.Sleep(100 * time.Millisecond)
		for _, c := range conns {
			_ = c.Close()
		}
		slices.Sort(times)
		return float64(len(times)) / float64(max(visits, 1)), report.Quantile(times, 0.5)
	}
}

// spoofer sends hellos, each from another address of the loopback range.
type spoofer struct {
	sock  *net.UDPConn
	to    *net.UDPAddr
	hello []byte
	next  uint32
}

func newSpoofer(addr string, ids *identities) (*spoofer, error) {
	hello, err := clientHello(ids)
	if err != nil {
		return nil, err
	}
	to, err := net.ResolveUDPAddr("udp4", addr)
	if err != nil {
		return nil, err
	}
	sock, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, err
	}
	return &spoofer{sock: sock, to: to, hello: hello}, nil
}

func (sp *spoofer) close() { _ = sp.sock.Close() }

// send sends n hellos, perMilli in each millisecond, or as fast as it can for 0.
func (sp *spoofer) send(n, perMilli int) error {
	to := sp.to.AddrPort()
	for i := range n {
		if perMilli > 0 && i%perMilli == 0 {
			time.Sleep(time.Millisecond)
		}
		sp.next++
		// Another random for each, and an address that is not 127.0.0.x, where the others are.
		const random = 13 + 12 + 2
		sp.hello[random], sp.hello[random+1], sp.hello[random+2] = byte(sp.next), byte(sp.next>>8), byte(sp.next>>16)
		oob := fromAddress([4]byte{127, byte(1 + sp.next>>16), byte(sp.next >> 8), byte(sp.next)})
		if oob == nil {
			return &missingError{"addresses cannot be spoofed on this system"}
		}
		if _, _, err := sp.sock.WriteMsgUDPAddrPort(sp.hello, oob, to); err != nil {
			return err
		}
	}
	return nil
}
