// Package udpbatch is the socket of a listener or of a connection: datagrams in
// batches, from any net.PacketConn, without an allocation where it is a *net.UDPConn.
//
// On a socket that is bound to a wildcard address (0.0.0.0 or ::) an answer has to
// leave from the address that the question was sent to, or the peer's own connected
// socket and every firewall between discard it. On Linux ReadBatch reports that
// address and WriteTo answers from it; elsewhere the system chooses.
package udpbatch

import (
	"cmp"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// maxDatagram is more than a UDP datagram can carry, so that none is ever cut.
const maxDatagram = 1 << 16

// Packet is what has arrived from one peer in one piece: a datagram or, where the system
// joins them, a train of datagrams back to back. None of them is ever empty.
type Packet struct {
	Data []byte // valid until the next ReadBatch, unless Take is called
	Size int    // of each datagram in Data but the last, which may be shorter
	// Peer is where it came from: an IPv4 address is never in its IPv4-mapped form, a
	// link-local one has its zone.
	Peer netip.AddrPort
	// Local is the address it was sent to, with a zone if it is a link-local one. It is the
	// zero Addr if the socket is bound to one address, if the system does not tell, and if
	// it was sent to a multicast or broadcast address, from which nobody can answer.
	Local netip.Addr

	buf *Buffer // that Data is in; nil if it cannot be had
}

// Count returns how many datagrams there are in Data.
func (p *Packet) Count() int { return (len(p.Data) + p.Size - 1) / p.Size }

// Take makes the memory that Data is in the caller's, who frees it. It returns nil if
// that cannot be done, or has been: Data then has to be copied.
func (p *Packet) Take() *Buffer {
	buf := p.buf
	if buf != nil {
		p.buf, *buf.slot, buf.slot = nil, nil, nil
	}
	return buf
}

// Buffer is memory for anything that a socket can carry.
type Buffer struct {
	bytes [maxDatagram]byte
	slot  **Buffer // of the socket that still has it
}

// BufferSize is how many bytes of memory a Buffer is.
const BufferSize = maxDatagram

var buffers = sync.Pool{New: func() any { return new(Buffer) }}

// Free gives the memory back; nothing of it may be used any more.
func (b *Buffer) Free() { buffers.Put(b) }

// Conn reads and writes the datagrams of a net.PacketConn.
type Conn struct {
	pc     net.PacketConn
	socket socket
	late   error // came along with a datagram, for the next ReadBatch

	interruptible bool
}

// socket is what the kinds of net.PacketConn differ in.
type socket interface {
	// readBatch waits for datagrams and describes them in p. Those without Data are passed
	// over. n may be 0 without an error, and more than 0 with one.
	readBatch(p []Packet) (n int, err error)
	writeTo(b []byte, peer netip.AddrPort, local netip.Addr) error
}

// New returns the Conn of pc, which from then on nobody else reads; deadlines that are
// set on it hold for ReadBatch and WriteTo. If pc has a remote address, as one from
// net.DialUDP has, it exchanges datagrams with that peer alone.
//
// It fails, and pc stays open, if the remote address is of a kind that AddrPort
// refuses, or if a wildcard socket cannot be told to report addresses.
func New(pc net.PacketConn) (*Conn, error) {
	if pc == nil {
		return nil, errors.New("udpbatch: no socket")
	}
	s, err := newSocket(pc)
	if err != nil {
		return nil, err
	}
	return &Conn{pc: pc, socket: s, interruptible: interruptible(pc)}, nil
}

func newSocket(pc net.PacketConn) (socket, error) {
	if conn, ok := pc.(net.Conn); ok && conn.RemoteAddr() != nil {
		return newConnected(conn)
	}
	udp, ok := pc.(*net.UDPConn)
	if !ok {
		return newPacketConn(pc), nil
	}
	local, ok := udp.LocalAddr().(*net.UDPAddr)
	return newSystemUDP(udp, netip.AddrPort{}, ok && local.IP.IsUnspecified())
}

// ReadBatch waits for datagrams and describes the first ones in p, at least one and
// at most len(p) packets. Their Data belongs to the Conn and is valid until the next call.
// Empty datagrams, and those from an address that AddrPort refuses, are passed over; where
// More has reported true it does not wait, and may find nothing but such. While
// it waits, a *net.UDPConn on Linux needs no memory for what may come.
//
// One goroutine reads at a time. Of an error Passing tells whether to read on. After
// Close it is what the net.PacketConn has for that, net.ErrClosed if it is a
// *net.UDPConn. If p is empty it is io.ErrShortBuffer.
func (c *Conn) ReadBatch(p []Packet) (int, error) {
	if len(p) == 0 {
		return 0, io.ErrShortBuffer
	}
	for promised := c.More(); ; {
		if err := c.late; err != nil {
			c.late = nil
			return 0, err
		}
		n, err := c.socket.readBatch(p)
		if n = withoutEmpty(p[:n]); n > 0 {
			c.late = err
			return n, nil
		}
		if err != nil || promised {
			return 0, err
		}
	}
}

// withoutEmpty moves the packets that have Data to the front and counts them.
func withoutEmpty(p []Packet) int {
	n := 0
	for i := range p {
		if len(p[i].Data) > 0 {
			p[n] = p[i]
			n++
		}
	}
	return n
}

// WriteTo sends b, which it does not keep, to peer in either form of an IPv4 address.
// If local is not the zero Addr the datagram leaves from there; local is a Packet's Local
// and counts only where ReadBatch reports one. On a socket with a remote address peer
// must be that one. It may be called concurrently.
//
// An error concerns this datagram, which was not sent, or an earlier one of a socket
// with a remote address. Of an error Passing tells whether others may yet be sent.
func (c *Conn) WriteTo(b []byte, peer netip.AddrPort, local netip.Addr) error {
	if !peer.Addr().IsValid() {
		return errors.New("udpbatch: no address to write to")
	}
	return c.socket.writeTo(b, peer, local)
}

// WriteBatch sends the datagrams that lie back to back in b, of which ends has where
// each ends, as WriteTo does, but with as few system calls as possible: where the system
// splits them (UDP_SEGMENT) those of one size in succession go out together, and where it
// has sendmmsg others do too. It sends all of them whatever happens and returns the first
// error. It may be called concurrently; others' datagrams may then come between.
func (c *Conn) WriteBatch(b []byte, ends []int32, peer netip.AddrPort, local netip.Addr) (first error) {
	if !peer.Addr().IsValid() {
		return errors.New("udpbatch: no address to write to")
	}
	for start := int32(0); len(ends) > 0; {
		n, err := c.writeSome(b, start, ends, peer, local)
		first = cmp.Or(first, err)
		start, ends = ends[n-1], ends[n:]
	}
	return first
}

// train is a run of datagrams of one size, of which the last may be shorter, or one datagram.
type train struct{ start, end, size int32 }

// writeSome sends the first ones of the datagrams, at least one, and returns how many.
func (c *Conn) writeSome(b []byte, start int32, ends []int32, peer netip.AddrPort, local netip.Addr) (int, error) {
	s, splits := c.socket.(splitter)
	if !splits {
		return len(ends), c.writeEach(b, start, ends, peer, local)
	}
	var trains [16]train
	var upTo [len(trains)]int // datagrams, with those of the trains before
	count, n := 0, 0
	for at := start; count < len(trains) && n < len(ends); count++ {
		length := 1
		if s.splits() {
			length = trainLength(at, ends[n:])
		}
		trains[count] = train{at, ends[n+length-1], ends[n] - at}
		n += length
		upTo[count], at = n, ends[n-1]
	}
	if count > 1 {
		if sent, err := s.writeTrains(b, trains[:count], peer, local); sent > 0 {
			return upTo[sent-1], nil
		} else if err := earlier(err); err != nil {
			_, _ = c.writeOne(s, b, start, ends[:upTo[0]], peer, local)
			return upTo[0], err
		}
	}
	return c.writeOne(s, b, start, ends[:upTo[0]], peer, local)
}

// writeOne sends one train.
func (c *Conn) writeOne(s splitter, b []byte, start int32, ends []int32, peer netip.AddrPort, local netip.Addr) (int, error) {
	n := len(ends)
	err := error(nil)
	if n > 1 {
		err = s.writeTrain(b[start:ends[n-1]], int(ends[0]-start), peer, local)
	}
	if n == 1 || err != nil {
		// A path may refuse the train and take what is in it, in fragments for one.
		err = cmp.Or(earlier(err), c.writeEach(b, start, ends, peer, local))
	}
	return n, err
}

// earlier returns an error of writeTrain's that is about something before it, which the
// system tells only once.
func earlier(err error) error {
	if err == nil || errors.Is(err, errRefused) || aboutTrain(err) {
		return nil
	}
	return err
}

// errRefused says that the datagrams have to be sent one by one.
var errRefused = errors.New("udpbatch: no trains")

// OnRefusal has f called, once, when the system turns out not to split trains: datagrams
// are then sent one by one. It is to be set before the first write.
func (c *Conn) OnRefusal(f func()) {
	if s, ok := c.socket.(refuser); ok {
		s.onRefusal(f)
	}
}

type refuser interface{ onRefusal(f func()) }

// What the system does with trains.
const (
	offloadOn = iota
	offloadOff
	offloadFailing
)

// splitter is a socket that can send several datagrams in one call.
type splitter interface {
	// writeTrain sends datagrams of size bytes, the last of which may be shorter. After an
	// error none of them was sent.
	writeTrain(b []byte, size int, peer netip.AddrPort, local netip.Addr) error
	// writeTrains sends several, as many as one call takes, and returns how many. An error is
	// about the first that was not sent, if there is none that was.
	writeTrains(b []byte, trains []train, peer netip.AddrPort, local netip.Addr) (int, error)
	// splits reports whether trains of more than one datagram have not been refused yet.
	splits() bool
}

// maxSegments is how many datagrams any system takes in a train, maxTrain how many bytes.
const (
	maxSegments = 64
	maxTrain    = 65000
)

// trainLength returns how many of the datagrams can go out together: those of the first
// one's size, and one shorter one after them.
func trainLength(start int32, ends []int32) int {
	size := ends[0] - start
	n := 1
	for ; n < len(ends) && n < maxSegments && ends[n]-start <= maxTrain; n++ {
		next := ends[n] - ends[n-1]
		if next > size || next == 0 {
			break
		}
		if next < size {
			return n + 1
		}
	}
	return n
}

func (c *Conn) writeEach(b []byte, start int32, ends []int32, peer netip.AddrPort, local netip.Addr) (first error) {
	for _, end := range ends {
		if err := c.socket.writeTo(b[start:end], peer, local); err != nil && first == nil {
			first = err
		}
		start = end
	}
	return first
}

// Register makes the address of a peer that has not sent anything yet usable for
// WriteTo, under the AddrPort that it returns, until Close. It is needed where addr is
// no *net.UDPAddr; those of peers that have sent something are kept by themselves, the
// latest few thousand. It may be called concurrently. Its errors are AddrPort's.
func (c *Conn) Register(addr net.Addr) (netip.AddrPort, error) {
	peer, err := AddrPort(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	peer = netip.AddrPortFrom(withZoneName(peer.Addr()), peer.Port())
	if s, ok := c.socket.(*packetConn); ok {
		s.addrs.register(peer, addr)
	}
	return peer, nil
}

// LocalAddr returns the address of the net.PacketConn, whatever kind it is.
func (c *Conn) LocalAddr() net.Addr { return c.pc.LocalAddr() }

// Remote returns the remote address of a socket that has one.
func Remote(pc net.PacketConn) (netip.AddrPort, bool) {
	conn, ok := pc.(net.Conn)
	if !ok || conn.RemoteAddr() == nil {
		return netip.AddrPort{}, false
	}
	peer, err := AddrPort(conn.RemoteAddr())
	return peer, err == nil
}

// Remote returns the remote address of a socket that has one.
func (c *Conn) Remote() (netip.AddrPort, bool) { return Remote(c.pc) }

// More reports whether the next ReadBatch has something without asking the system.
func (c *Conn) More() bool {
	if c.late != nil {
		return true
	}
	s, ok := c.socket.(interface{ more() bool })
	return ok && s.more()
}

// Interruptible reports whether SetReadDeadline surely ends a ReadBatch that waits. Not
// every net.PacketConn keeps that promise; a *net.UDPConn does, and one that says so by a
// method Interruptible() of its own.
func (c *Conn) Interruptible() bool { return c.interruptible }

func interruptible(pc net.PacketConn) bool {
	if _, ok := pc.(*net.UDPConn); ok {
		return true
	}
	_, ok := pc.(interface{ Interruptible() })
	return ok
}

// SetReadDeadline sets that of the net.PacketConn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.pc.SetReadDeadline(t) }

// SetWriteDeadline sets that of the net.PacketConn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.pc.SetWriteDeadline(t) }

// Close closes the net.PacketConn and so ends a ReadBatch that is under way.
func (c *Conn) Close() error { return c.pc.Close() }

func unmap(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}
