//go:build !linux

package udpbatch

import (
	"net"
	"net/netip"
)

// udp is a *net.UDPConn without a remote address whose datagrams leave from where the
// system says.
type udp struct {
	conn *net.UDPConn
	buf  []byte
}

func newUDP(conn *net.UDPConn) *udp {
	return &udp{conn: conn, buf: make([]byte, maxDatagram)}
}

func (s *udp) readBatch(p []Packet) (int, error) {
	n, peer, err := s.conn.ReadFromUDPAddrPort(s.buf)
	if err != nil {
		return 0, err
	}
	p[0] = Packet{Data: s.buf[:n], Size: n, Peer: unmap(peer)}
	return 1, nil
}

// A socket of either family takes the unmapped form.
func (s *udp) writeTo(b []byte, peer netip.AddrPort, _ netip.Addr) error {
	_, err := s.conn.WriteToUDPAddrPort(b, unmap(peer))
	return err
}
