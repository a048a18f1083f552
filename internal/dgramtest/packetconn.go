package dgramtest

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// MaxPayload is the size in bytes of the largest datagram that WriteTo takes, IPv4's limit.
const MaxPayload = 65507

// PacketConn is a socket of a Network: a net.PacketConn with the errors, and the
// meaning of deadlines, of a *net.UDPConn. Its addresses are *net.UDPAddr. Unlike
// with a real socket, WriteTo waits while the queue of the receiver is full, so that
// nothing is lost but by Faults. Its methods may be called concurrently.
type PacketConn struct {
	network       *Network
	addr          netip.AddrPort
	queue         queue
	done          chan struct{} // closed by Close
	readDeadline  deadline
	writeDeadline deadline
}

func newPacketConn(n *Network, addr netip.AddrPort) *PacketConn {
	return &PacketConn{
		network:       n,
		addr:          addr,
		queue:         newQueue(n),
		done:          make(chan struct{}),
		readDeadline:  newDeadline(),
		writeDeadline: newDeadline(),
	}
}

// ReadFrom waits for a datagram. What does not fit into b is cut off.
func (c *PacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// ReadFromUDPAddrPort is ReadFrom as *net.UDPConn has it.
func (c *PacketConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		if err := c.ended(&c.readDeadline); err != nil {
			wake(c.queue.arrived)
			return 0, netip.AddrPort{}, c.opError("read", nil, err)
		}
		if d := c.queue.pop(); d != nil {
			return copy(b, d.data), d.from, nil
		}
		select {
		case <-c.queue.arrived:
		case <-c.done:
		case <-c.readDeadline.passed():
		}
	}
}

// WriteTo sends a copy of b. It waits while the receiver's queue is full, at most until
// the write deadline. That nobody has the address is no error.
func (c *PacketConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	to, ok := addr.(*net.UDPAddr)
	if !ok || to == nil {
		return 0, c.opError("write", addr, syscall.EINVAL)
	}
	return c.WriteToUDPAddrPort(b, to.AddrPort())
}

// WriteToUDPAddrPort is WriteTo as *net.UDPConn has it.
func (c *PacketConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if err := c.send(b, unmap(to)); err != nil {
		return 0, c.opError("write", net.UDPAddrFromAddrPort(to), err)
	}
	return len(b), nil
}

func (c *PacketConn) send(b []byte, to netip.AddrPort) error {
	switch {
	case !to.IsValid():
		return &net.AddrError{Err: "missing address"}
	case len(b) > MaxPayload:
		return syscall.EMSGSIZE
	}
	dst, err := c.awaitRoom(to)
	if err == nil {
		c.network.carry(c.addr, to, b, false)
	}
	if dst != nil {
		wake(dst.queue.room) // the next writer may look
	}
	return err
}

// awaitRoom returns the socket at an address, nil if there is none, once it has room.
func (c *PacketConn) awaitRoom(to netip.AddrPort) (*PacketConn, error) {
	for {
		dst := c.network.at(to)
		err := c.ended(&c.writeDeadline)
		if err != nil || dst == nil || dst.queue.hasRoom() {
			return dst, err
		}
		select {
		case <-dst.queue.room:
		case <-dst.done:
		case <-c.done:
		case <-c.writeDeadline.passed():
		}
	}
}

// LocalAddr returns the address that Listen was called with, and the port that it chose.
func (c *PacketConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.addr) }

// LocalAddrPort is LocalAddr as a netip.AddrPort.
func (c *PacketConn) LocalAddrPort() netip.AddrPort { return c.addr }

// SetDeadline sets both deadlines; the zero time is none.
func (c *PacketConn) SetDeadline(t time.Time) error {
	return c.setDeadlines(t, &c.readDeadline, &c.writeDeadline)
}

// Interruptible says that a deadline ends a read that is under way.
func (*PacketConn) Interruptible() {}

// SetReadDeadline sets when ReadFrom fails, one under way too, with os.ErrDeadlineExceeded.
func (c *PacketConn) SetReadDeadline(t time.Time) error {
	return c.setDeadlines(t, &c.readDeadline)
}

// SetWriteDeadline sets when WriteTo fails, one under way too, with os.ErrDeadlineExceeded.
func (c *PacketConn) SetWriteDeadline(t time.Time) error {
	return c.setDeadlines(t, &c.writeDeadline)
}

func (c *PacketConn) setDeadlines(t time.Time, deadlines ...*deadline) error {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if isClosed(c.done) {
		return c.opError("set", nil, net.ErrClosed)
	}
	for _, d := range deadlines {
		d.set(t)
	}
	return nil
}

// Close frees the address and discards what nobody has read. Calls under way, and all
// later ones, fail with net.ErrClosed.
func (c *PacketConn) Close() error {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if isClosed(c.done) {
		return c.opError("close", nil, net.ErrClosed)
	}
	delete(c.network.conns, c.addr)
	c.queue.clear()
	c.readDeadline.set(time.Time{})
	c.writeDeadline.set(time.Time{})
	close(c.done)
	return nil
}

// ended returns why no call can go on, nil if it can.
func (c *PacketConn) ended(d *deadline) error {
	switch {
	case isClosed(c.done):
		return net.ErrClosed
	case isClosed(d.passed()):
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (c *PacketConn) opError(op string, addr net.Addr, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: c.LocalAddr(), Addr: addr, Err: err}
}
