//go:build !linux

package dtls

import "net"

// listenPackets opens one socket: where several can share an address, it is not the peer
// that decides which of them gets a datagram.
func listenPackets(network, address string, _ int) ([]net.PacketConn, error) {
	pc, err := net.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	return []net.PacketConn{pc}, nil
}
