//go:build interop

package interop

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/stretchr/testify/require"
)

// freePort returns a port of a loopback address for a peer's program, one that nobody has
// and nobody gets but by name: it is below those for sockets that ask for any, of which
// Linux may also give two that set SO_REUSEADDR, as s_server does, the same.
func freePort(r *row, address netip.Addr) netip.AddrPort {
	r.Helper()
	for range ports {
		port := uint16(lowestPort + (somePort+portsTried.Add(1))%ports)
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(address.Unmap(), port)))
		if err == nil {
			require.NoError(r, conn.Close())
			return netip.AddrPortFrom(address, port)
		}
	}
	r.Fatalf("no port is free")
	return netip.AddrPort{}
}

const lowestPort, ports = 10000, 20000

// The first is any of them, since others may test at the same time.
var (
	somePort   = rand.Uint32N(ports)
	portsTried atomic.Uint32
)
