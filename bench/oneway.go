package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ossldtls/ossldtls/bench/report"
)

// A numbered datagram: the connection (4 bytes), the number (8), and the rest is the low
// byte of the number.
const numberedHeader = 12

func putNumber(b []byte, conn uint32, number uint64) {
	binary.BigEndian.PutUint32(b, conn)
	binary.BigEndian.PutUint64(b[4:], number)
	b[numberedHeader], b[len(b)-1] = byte(number), byte(number)
}

// counter counts at the receiver. Each connection's datagrams have to come in order, none
// twice, whole; some may be lost.
type counter struct {
	size     int
	batches  bool // by those who can
	received []tally
	bad      atomic.Pointer[error]
}

type tally struct {
	n    atomic.Uint64
	last atomic.Uint64 // number + 1
	_    [48]byte      // a cache line for each
}

func (c *counter) take(payload []byte, _ func([]byte)) {
	if len(payload) != c.size {
		c.fail(fmt.Errorf("a datagram of %d bytes instead of %d", len(payload), c.size))
		return
	}
	conn, number := binary.BigEndian.Uint32(payload), binary.BigEndian.Uint64(payload[4:])
	if int(conn) >= len(c.received) || payload[numberedHeader] != byte(number) || payload[c.size-1] != byte(number) {
		c.fail(fmt.Errorf("datagram %d of connection %d is not what was sent", number, conn))
		return
	}
	t := &c.received[conn]
	if last := t.last.Load(); number < last {
		c.fail(fmt.Errorf("datagram %d of connection %d came after %d", number, conn, last-1))
		return
	}
	t.last.Store(number + 1)
	t.n.Add(1)
}

func (c *counter) fail(err error) { c.bad.CompareAndSwap(nil, &err) }

func (c *counter) total() (n uint64) {
	for i := range c.received {
		n += c.received[i].n.Load()
	}
	return n
}

// oneWay has n connections send as fast as they can to one server, and counts what arrives.
func oneWay(size, conns, cores, rounds int, each time.Duration, nets []*network, goals ...report.Goal) *bencher {
	name := fmt.Sprintf("one-way datagrams of %d B over loopback, %s", size, plural(conns, "connection"))
	b := &bencher{
		rounds: rounds, each: each, cores: cores,
		metrics: []metric{{name: name, unit: "received/s", goals: goals}},
	}
	if cores > 0 {
		const title = "one-way datagrams over loopback"
		b.plots = []point{{file: fmt.Sprintf("one-way-%d", size), title: fmt.Sprintf("%s, %d B", title, size),
			suffix: plural(cores, "core"), x: float64(conns), xLabel: "connections"}}
		if conns == 1 {
			b.plots = append(b.plots, point{file: "one-way-size", title: title + ", 1 connection",
				suffix: plural(cores, "core"), x: float64(size), xLabel: "bytes of payload"})
		}
		b.metrics[0].name += ", " + plural(cores, "core")
	}
	b.metrics = append(b.metrics, metric{name: b.metrics[0].name + ": lost", unit: "%"})
	b.topic = b.metrics[0].name
	for _, net := range nets {
		b.contenders = append(b.contenders, contender{net.name, func() (sampler, func(), error) {
			return openOneWay(net, size, conns)
		}})
	}
	return b
}

func openOneWay(n *network, size, conns int) (sampler, func(), error) {
	return openCounter(n, &counter{size: size, received: make([]tally, conns)})
}

// openCounter has a connection for each of the counter's tallies.
func openCounter(n *network, c *counter) (sampler, func(), error) {
	conns := len(c.received)
	addr, closing, err := n.listen(c.take)
	if err != nil {
		return nil, nil, err
	}
	senders, err := dialAll(n, addr, conns)
	stop := func() {
		for _, s := range senders {
			_ = s.Close()
		}
		closing()
	}
	if err != nil {
		return nil, stop, err
	}
	numbers := make([]uint64, conns)
	return func(d time.Duration) ([]float64, error) { return c.sample(d, senders, numbers) }, stop, nil
}

func dialAll(n *network, addr string, count int) ([]net.Conn, error) {
	conns := make([]net.Conn, 0, count)
	for range count {
		c, err := n.dial(addr)
		if err != nil {
			return conns, err
		}
		conns = append(conns, c)
	}
	return conns, nil
}

// sample counts while the senders send, leaving out the first eighth, in which queues fill.
func (c *counter) sample(d time.Duration, senders []net.Conn, numbers []uint64) ([]float64, error) {
	before := c.total()
	var sent atomic.Uint64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i, s := range senders {
		wg.Add(1)
		go func() {
			defer wg.Done()
			n, err := c.send(s, uint32(i), numbers[i], &stop)
			if err != nil {
				c.fail(fmt.Errorf("write: %w", err))
			}
			numbers[i] += n
			sent.Add(n)
		}()
	}
	time.Sleep(d / 8)
	start, first := time.Now(), c.total()
	time.Sleep(d - d/8)
	took, last := time.Since(start), c.total()
	stop.Store(true)
	wg.Wait()
	c.settle()
	if err := c.bad.Load(); err != nil {
		return nil, *err
	}
	all := c.total() - before
	if all == 0 || all > sent.Load() {
		return nil, fmt.Errorf("%d datagrams were received of %d", all, sent.Load())
	}
	return []float64{float64(last-first) / took.Seconds(), 100 * (1 - float64(all)/float64(sent.Load()))}, nil
}

// batchWriter is what sends several datagrams in one call.
type batchWriter interface {
	WriteBatch(datagrams [][]byte) (int, error)
}

// send sends datagrams numbered from first on until it is stopped, and returns how many.
func (c *counter) send(s net.Conn, conn uint32, first uint64, stop *atomic.Bool) (n uint64, err error) {
	batch := make([][]byte, 1)
	b, batches := s.(batchWriter)
	if batches = batches && c.batches; batches {
		batch = make([][]byte, batchSize)
	}
	for i := range batch {
		batch[i] = make([]byte, c.size)
	}
	for !stop.Load() && err == nil {
		for i := range batch {
			putNumber(batch[i], conn, first+n+uint64(i))
		}
		n += uint64(len(batch))
		if batches {
			_, err = b.WriteBatch(batch)
		} else {
			_, err = s.Write(batch[0])
		}
	}
	return n, err
}

// settle waits until nothing has arrived for a while, at most two seconds.
func (c *counter) settle() {
	deadline := time.Now().Add(2 * time.Second)
	for last := c.total(); time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
		now := c.total()
		if now == last {
			return
		}
		last = now
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
