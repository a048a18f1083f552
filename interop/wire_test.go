//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/stretchr/testify/require"
)

// wire is our UDP socket, and a record of what crossed it.
type wire struct {
	conn      *net.UDPConn
	crossings []crossing
}

// crossing is a datagram that was sent or has arrived.
type crossing struct {
	out      bool
	peer     netip.AddrPort
	datagram []byte
	at       time.Time
}

// newWire binds a socket to a port of its own at a loopback address.
func newWire(r *row, loopback netip.Addr) *wire {
	r.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	require.NoError(r, err)
	w := &wire{conn: conn}
	r.wires = append(r.wires, w)
	r.Cleanup(func() { conn.Close() })
	return w
}

// again returns the same socket with a record of its own, for the next association.
func (w *wire) again(r *row) *wire {
	next := &wire{conn: w.conn}
	r.wires = append(r.wires, next)
	return next
}

func (w *wire) addr() netip.AddrPort {
	return w.conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// WriteToUDPAddrPort makes the wire a DatagramWriter.
func (w *wire) WriteToUDPAddrPort(datagram []byte, peer netip.AddrPort) (int, error) {
	w.crossings = append(w.crossings, crossing{true, peer, bytes.Clone(datagram), time.Now()})
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
	w.crossings = append(w.crossings, crossing{false, peer, buf[:n], time.Now()})
	return buf[:n], peer, nil
}

// handshake returns how many handshake messages of a type were sent or have arrived,
// counting each fragment of a message. What was sent again counts once.
func (w *wire) handshake(out bool, messageType uint8) int {
	seen := map[message]bool{}
	for _, c := range w.crossings {
		if c.out != out {
			continue
		}
		for _, rec := range parseRecords(c.datagram) {
			if m, ok := rec.handshake(); ok && m.messageType == messageType {
				seen[m] = true
			}
		}
	}
	return len(seen)
}

// largest returns the size of the largest datagram that was sent.
func (w *wire) largest() (size int) {
	for _, c := range w.crossings {
		if c.out {
			size = max(size, len(c.datagram))
		}
	}
	return size
}

func (w *wire) print(out io.Writer) {
	fmt.Fprintf(out, "    our socket %s\n", w.addr())
	for _, c := range w.crossings {
		arrow := "<-"
		if c.out {
			arrow = "->"
		}
		since := c.at.Sub(w.crossings[0].at).Seconds()
		fmt.Fprintf(out, "    %6.3f s %s %s %d bytes:%s\n", since, arrow, c.peer, len(c.datagram), describe(c.datagram))
	}
}
