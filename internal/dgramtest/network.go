package dgramtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// DefaultQueue is the length in datagrams of a PacketConn's queue unless
// [Network.Queue] says another.
const DefaultQueue = 4096

// heldFor is how long a datagram that was held back waits for one to overtake it.
const heldFor = 10 * time.Millisecond

// Faults says how often, from 0 never to 1 always, the network does what to a
// datagram. The zero value is a network that carries everything once, in order.
type Faults struct {
	Loss float64 // it is lost
	// Duplicate is how often one that is not lost arrives twice.
	Duplicate float64
	// Reorder is how often one that arrives once is held back until the next one to the
	// same destination has overtaken it or, if none comes, for 10 ms. One at a time is
	// held for a destination: the one that overtakes it is not held itself.
	Reorder float64
}

// Counters tells what became of the datagrams so far.
type Counters struct {
	Sent        int // by WriteTo and Send
	Lost        int // by Faults
	Duplicated  int // arrived twice
	Reordered   int // were overtaken; one that was held back in vain is not counted
	Unreachable int // nobody had their destination's address
	Overflowed  int // Send came upon a full queue
	Delivered   int // put into a queue, copies too
}

// Network connects the PacketConns that Listen returns. What happens to a datagram
// depends on the seed, on the Faults in force and on how many datagrams were sent
// before it, so the same sequence of sends has the same result. Its methods may be
// called at any time, from any goroutine.
type Network struct {
	// Queue is how many datagrams a PacketConn holds for its reader before WriteTo to it
	// waits, 0 for DefaultQueue. Copies, one that was held back, and writers that find
	// room at the same time can make it a few more. It is set before the first Listen.
	Queue int

	mu       sync.Mutex
	random   *rand.Rand
	faults   Faults
	counters Counters
	tap      func(from, to netip.AddrPort, b []byte)
	conns    map[netip.AddrPort]*PacketConn
	lastPort uint16
	heldFor  time.Duration // the const; tests have others
}

// NewNetwork returns a network without faults.
func NewNetwork(seed uint64) *Network {
	return &Network{
		random:   rand.New(rand.NewPCG(seed, seed)),
		conns:    map[netip.AddrPort]*PacketConn{},
		lastPort: 49151, // the ephemeral ports follow it
		heldFor:  heldFor,
	}
}

// SetFaults replaces the faults for the datagrams that are sent from now on.
func (n *Network) SetFaults(f Faults) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = f
}

// Counters returns the counts of now.
func (n *Network) Counters() Counters {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.counters
}

// Tap has f called with every datagram that is sent, once, before its fate is
// decided, also if it is lost later or goes where nobody listens. It replaces the
// last tap; nil ends it. f is called on the sender's goroutine, so perhaps
// concurrently; it may call Send, and neither keeps nor changes b.
func (n *Network) Tap(f func(from, to netip.AddrPort, b []byte)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tap = f
}

// Send injects a copy of b as if from had sent it, whoever that is, with the same
// faults as any other. It never waits: where the queue is full it is lost.
func (n *Network) Send(from, to netip.AddrPort, b []byte) {
	n.carry(from, to, b, true)
}

// Listen returns the socket at an address. Port 0 chooses a free one. It panics if
// the address is taken or is none that a datagram can be sent to.
func (n *Network) Listen(addr netip.AddrPort) *PacketConn {
	addr = unmap(addr)
	if !addr.IsValid() || addr.Addr().IsUnspecified() {
		panic(fmt.Sprintf("dgramtest: no address to listen on: %v", addr))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr.Port() == 0 {
		addr = n.freePort(addr.Addr())
	}
	if n.conns[addr] != nil {
		panic(fmt.Sprintf("dgramtest: address in use: %v", addr))
	}
	n.conns[addr] = newPacketConn(n, addr)
	return n.conns[addr]
}

// freePort goes round the ephemeral ports, so that a port is not soon used again.
func (n *Network) freePort(ip netip.Addr) netip.AddrPort {
	for range 1 << 14 {
		n.lastPort = max(n.lastPort+1, 49152) // 65535 is followed by 0
		if addr := netip.AddrPortFrom(ip, n.lastPort); n.conns[addr] == nil {
			return addr
		}
	}
	panic(fmt.Sprintf("dgramtest: no port is free on %v", ip))
}

// at returns the socket at an address, nil if there is none.
func (n *Network) at(addr netip.AddrPort) *PacketConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.conns[addr]
}

func (n *Network) capacity() int {
	if n.Queue > 0 {
		return n.Queue
	}
	return DefaultQueue
}

// carry shows a datagram to the tap and executes its fate. If it is injected, a full
// queue has no room for it.
func (n *Network) carry(from, to netip.AddrPort, b []byte, injected bool) {
	from, to = unmap(from), unmap(to)
	n.show(from, to, b)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.counters.Sent++
	dst := n.conns[to]
	switch fate := n.decide(); {
	case fate == lost:
		n.counters.Lost++
	case dst == nil:
		n.counters.Unreachable++
	case injected && dst.queue.full():
		n.counters.Overflowed++
	case fate == late && dst.queue.held == nil:
		dst.queue.hold(&datagram{from, bytes.Clone(b)})
	default:
		dst.queue.take(&datagram{from, bytes.Clone(b)}, fate == twice)
	}
}

func (n *Network) show(from, to netip.AddrPort, b []byte) {
	n.mu.Lock()
	tap := n.tap
	n.mu.Unlock()
	if tap != nil {
		tap(from, to, b)
	}
}

// fate is what Faults does to a datagram.
type fate int

const (
	once fate = iota
	twice
	late
	lost
)

// decide draws as many numbers for every datagram, whatever the faults are, so that
// those of the ones after it are the same.
func (n *Network) decide() fate {
	loss, duplicate, reorder := n.random.Float64(), n.random.Float64(), n.random.Float64()
	switch f := n.faults; {
	case loss < f.Loss:
		return lost
	case duplicate < f.Duplicate:
		return twice
	case reorder < f.Reorder:
		return late
	}
	return once
}

func unmap(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}
