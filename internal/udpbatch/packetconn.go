package udpbatch

import (
	"fmt"
	"io"
	"net"
	"net/netip"
)

// maxNothing is how often in succession a net.PacketConn may return neither a
// datagram nor an address nor an error.
const maxNothing = 100

// packetConn is any net.PacketConn.
type packetConn struct {
	pc      net.PacketConn
	buf     []byte
	addrs   addrBook
	nothing int
}

func newPacketConn(pc net.PacketConn) *packetConn {
	return &packetConn{pc: pc, buf: make([]byte, maxDatagram)}
}

func (s *packetConn) readBatch(p []Packet) (int, error) {
	n, addr, err := s.pc.ReadFrom(s.buf)
	if n == 0 {
		return 0, s.noProgress(addr, err)
	}
	s.nothing = 0
	data, err := received(s.buf, n, err)
	peer, addrErr := AddrPort(addr)
	if addrErr != nil {
		return 0, err
	}
	s.addrs.saw(peer, addr)
	p[0] = Packet{Data: data, Size: len(data), Peer: peer}
	return 1, err
}

// noProgress keeps a net.PacketConn that never waits from making the reader spin.
func (s *packetConn) noProgress(addr net.Addr, err error) error {
	if addr != nil || err != nil {
		s.nothing = 0
		return err
	}
	if s.nothing++; s.nothing < maxNothing {
		return nil
	}
	s.nothing = 0
	return io.ErrNoProgress
}

func (s *packetConn) writeTo(b []byte, peer netip.AddrPort, _ netip.Addr) error {
	n, err := s.pc.WriteTo(b, s.addrs.of(unmap(peer)))
	return sent(b, n, err)
}

// received returns the n bytes that a read says it has put into buf, none if it cannot have.
func received(buf []byte, n int, err error) ([]byte, error) {
	if n < 0 || n > len(buf) {
		return nil, fmt.Errorf("udpbatch: the socket read %d bytes into %d", n, len(buf))
	}
	return buf[:n], err
}

// sent is the error of a write that says it has taken n bytes.
func sent(b []byte, n int, err error) error {
	if err == nil && n < len(b) {
		return io.ErrShortWrite
	}
	return err
}
