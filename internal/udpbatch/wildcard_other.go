//go:build !linux

package udpbatch

import (
	"net"
	"net/netip"
)

// newSystemUDP leaves it to the system where answers leave from.
func newSystemUDP(conn *net.UDPConn, peer netip.AddrPort, _ bool) (socket, error) {
	if peer.IsValid() {
		return &connected{conn: conn, peer: peer, buf: make([]byte, maxDatagram)}, nil
	}
	return newUDP(conn), nil
}
