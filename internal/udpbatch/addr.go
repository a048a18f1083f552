package udpbatch

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
)

// AddrPort returns the address of a peer as ReadBatch reports it: that of a
// *net.UDPAddr, or what the String of another kind says if netip.ParseAddrPort
// understands it. IPv4-mapped addresses are unmapped. It fails if addr is nil, has no
// IP address, or says something else.
func AddrPort(addr net.Addr) (netip.AddrPort, error) {
	if addr == nil {
		return netip.AddrPort{}, fmt.Errorf("udpbatch: no address")
	}
	if udp, ok := addr.(*net.UDPAddr); ok {
		if peer := udp.AddrPort(); peer.IsValid() {
			return unmap(peer), nil
		}
		return netip.AddrPort{}, fmt.Errorf("udpbatch: no IP address in %q", udp.String())
	}
	peer, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("udpbatch: a %T is not an IP address and port: %w", addr, err)
	}
	return unmap(peer), nil
}

// withZoneName returns an address whose zone is the name of the interface, as in the addresses
// of what arrives, where it was its number.
func withZoneName(addr netip.Addr) netip.Addr {
	index, err := strconv.Atoi(addr.Zone())
	if err != nil {
		return addr
	}
	if i, err := net.InterfaceByIndex(index); err == nil {
		return addr.WithZone(i.Name)
	}
	return addr
}

// latestAddrs bounds what a stranger with many addresses can make an addrBook keep.
const latestAddrs = 4096

// addrBook has the addresses of peers that are no *net.UDPAddr. Its zero value is
// empty. Its methods may be called concurrently.
type addrBook struct {
	mu         sync.Mutex
	registered map[netip.AddrPort]net.Addr
	// At most latestAddrs each: when latest is full it becomes before, and what was in
	// that is forgotten unless it has been seen again.
	latest, before map[netip.AddrPort]net.Addr
}

func (a *addrBook) register(peer netip.AddrPort, addr net.Addr) {
	if _, ok := addr.(*net.UDPAddr); ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.registered == nil {
		a.registered = map[netip.AddrPort]net.Addr{}
	}
	a.registered[peer] = addr
}

// saw notes where a datagram came from.
func (a *addrBook) saw(peer netip.AddrPort, addr net.Addr) {
	if _, ok := addr.(*net.UDPAddr); ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.latest[peer]; !ok && len(a.latest) >= latestAddrs || a.latest == nil {
		a.before, a.latest = a.latest, map[netip.AddrPort]net.Addr{}
	}
	a.latest[peer] = addr
}

// of returns a peer's address, a *net.UDPAddr if no other is known.
func (a *addrBook) of(peer netip.AddrPort) net.Addr {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, known := range []map[netip.AddrPort]net.Addr{a.latest, a.before, a.registered} {
		if addr, ok := known[peer]; ok {
			return addr
		}
	}
	return net.UDPAddrFromAddrPort(peer)
}
