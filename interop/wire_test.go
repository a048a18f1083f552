//go:build interop

package interop

import (
	"net"
	"net/netip"
	"time"

	"github.com/stretchr/testify/require"
)

// wire is our UDP socket, with a record of what crosses it.
type wire struct {
	*tape
	conn *net.UDPConn
}

// newWire binds a socket to a port of its own at a loopback address.
func newWire(r *row, loopback netip.Addr) *wire {
	r.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	require.NoError(r, err)
	r.Cleanup(func() { conn.Close() })
	return (&wire{conn: conn}).again(r)
}

// again returns the same socket with a record of its own, for the next association.
func (w *wire) again(r *row) *wire {
	return &wire{newTape(r, "our socket "+w.addr().String()), w.conn}
}

func (w *wire) addr() netip.AddrPort {
	return w.conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// WriteToUDPAddrPort makes the wire a DatagramWriter.
func (w *wire) WriteToUDPAddrPort(datagram []byte, peer netip.AddrPort) (int, error) {
	w.add(true, peer, datagram)
	return w.conn.WriteToUDPAddrPort(datagram, peer)
}

// read returns the next datagram that arrives before the deadline.
func (w *wire) read(deadline time.Time) ([]byte, netip.AddrPort, error) {
	if err := w.conn.SetReadDeadline(deadline); err != nil {
		return nil, netip.AddrPort{}, err
	}
	buf := make([]byte, 1<<16)
	n, peer, err := w.conn.ReadFromUDPAddrPort(buf)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	w.add(false, peer, buf[:n])
	return buf[:n], peer, nil
}
