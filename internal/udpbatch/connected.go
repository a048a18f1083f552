package udpbatch

import (
	"fmt"
	"net"
	"net/netip"
)

// connected is a socket with a remote address. The system reports what ICMP says
// about the peer as an error of a later read or write.
type connected struct {
	conn net.Conn
	peer netip.AddrPort
	buf  []byte
}

func newConnected(conn net.Conn) (socket, error) {
	peer, err := AddrPort(conn.RemoteAddr())
	if err != nil {
		return nil, err
	}
	if udp, ok := conn.(*net.UDPConn); ok {
		return newSystemUDP(udp, peer, false)
	}
	return &connected{conn: conn, peer: peer, buf: make([]byte, maxDatagram)}, nil
}

func (s *connected) readBatch(p []Packet) (int, error) {
	n, err := s.conn.Read(s.buf)
	if n == 0 && err != nil {
		return 0, err
	}
	data, err := received(s.buf, n, err)
	p[0] = Packet{Data: data, Size: len(data), Peer: s.peer}
	return 1, err
}

func (s *connected) writeTo(b []byte, peer netip.AddrPort, _ netip.Addr) error {
	if unmap(peer) != s.peer {
		return wrongPeer(s.peer, peer)
	}
	n, err := s.conn.Write(b)
	return sent(b, n, err)
}

func wrongPeer(connected, peer netip.AddrPort) error {
	return fmt.Errorf("udpbatch: the socket is connected to %v, not to %v", connected, peer)
}
