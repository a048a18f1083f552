package udpbatch

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Several reads in one system call, recvmmsg(2), each of them of what has arrived from
// one peer in succession, udp(7) UDP_GRO.

// maxReads is how many reads a call may make. The first call makes one, and as long as
// there is more each makes twice as many as the one before.
const maxReads = 16

// maxAlone is how many bytes are taken for one datagram, without a look at what they are.
const maxAlone = 2048

// message is a struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
}

// receiving is what reads need besides the socket. A socket has one from when something
// has arrived until there is nothing more.
type receiving struct {
	messages [maxReads]message
	iovs     [maxReads]unix.Iovec
	names    [maxReads]unix.RawSockaddrInet6 // large enough for both families
	controls [maxReads][maxOOB]byte
	bufs     [maxReads]*Buffer
	ask      int  // how many reads the next call makes
	busy     bool // the last call has brought more than one datagram

	calls   int // since then
	n, next int // of the last call: how many there were, and the first that nobody has got yet
}

var receivings = sync.Pool{New: func() any { return &receiving{ask: 1} }}

// prepare points the messages of the next call at empty buffers.
func (r *receiving) prepare(names bool) {
	r.n, r.next = 0, 0
	for i := range r.ask {
		if r.bufs[i] == nil {
			r.bufs[i] = buffers.Get().(*Buffer)
			r.bufs[i].slot = &r.bufs[i]
		}
		r.iovs[i].Base = &r.bufs[i].bytes[0]
		r.iovs[i].SetLen(maxDatagram)
		h := &r.messages[i].header
		*h = unix.Msghdr{Iov: &r.iovs[i], Control: &r.controls[i][0]}
		h.SetIovlen(1)
		h.SetControllen(maxOOB)
		if names {
			h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
			h.Namelen = unix.SizeofSockaddrInet6
		}
	}
}

// release gives all memory back.
func (r *receiving) release() {
	for i, buf := range &r.bufs {
		if buf != nil {
			r.bufs[i], buf.slot = nil, nil
			buf.Free()
		}
	}
	r.ask, r.n, r.next, r.busy, r.calls = 1, 0, 0, false, 0
	receivings.Put(r)
}

// recv is what the runtime calls when something may have arrived. It reports false if
// nothing has.
func (s *offload) recv(fd uintptr) bool {
	if s.in == nil {
		s.in = receivings.Get().(*receiving)
	}
	s.in.prepare(!s.peer.IsValid())
	errno := s.in.receive(fd)
	if errno == 0 {
		s.err = nil
		return true
	}
	if errno == unix.EAGAIN && s.tries > 0 {
		s.tries--
		return true
	}
	s.in.release()
	s.in = nil
	if errno == unix.EAGAIN {
		return false
	}
	s.err = os.NewSyscallError("recvmsg", errno)
	return true
}

// receive makes the reads, and in n says how many have brought something.
func (r *receiving) receive(fd uintptr) (errno syscall.Errno) {
	var n uintptr
	for {
		if r.ask == 1 {
			// It never waits, whatever somebody has made of the descriptor: the runtime need
			// not be told.
			n, _, errno = unix.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&r.messages[0].header)), unix.MSG_DONTWAIT)
		} else {
			n, _, errno = unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.messages[0])), uintptr(r.ask), unix.MSG_DONTWAIT, 0, 0)
		}
		if errno != unix.EINTR {
			break
		}
	}
	if errno != 0 {
		return errno
	}
	if r.ask == 1 {
		r.messages[0].length = uint32(n)
		n = 1
	}
	r.n = int(n)

	r.calls++
	r.busy = n > 1 || r.messages[0].length > maxAlone
	return 0
}

// readBatch hands out what one call has brought.
func (s *offload) readBatch(p []Packet) (int, error) {
	if in := s.in; in == nil || in.next == in.n {
		if in != nil && in.n == in.ask && (in.busy || in.calls > 1) { // there may be more than that at once
			in.ask = min(2*in.ask, maxReads)
		}
		if err := s.refill(); err != nil {
			return 0, err
		}
	}
	n := 0
	for ; n < len(p) && s.in.next < s.in.n; n++ {
		s.packet(s.in.next, &p[n])
		s.in.next++
	}
	return n, nil
}

// idleTries is how often a socket that was busy is tried again before the goroutine waits.
// The runtime asks the system which sockets are readable only when nothing else is to be
// run, and every 10 ms: on a machine whose cores are busy, perhaps with sending, one that
// waits would hear of its datagrams when most have been dropped.
const idleTries = 4

// refill waits for datagrams.
func (s *offload) refill() error {
	s.tries = 0
	if s.in != nil && s.in.busy {
		s.tries = idleTries
	}
	for {
		before := s.tries
		if err := s.raw.Read(s.onReadable); err != nil || s.err != nil {
			return cmp.Or(err, s.err)
		}
		if s.tries == before {
			return nil
		}
		runtime.Gosched()
	}
}

func (s *offload) more() bool { return s.in != nil && s.in.next < s.in.n }

// packet describes read i of the last call.
func (s *offload) packet(i int, p *Packet) {
	m := &s.in.messages[i]
	size := int(m.length)
	*p = Packet{Data: s.in.bufs[i].bytes[:size:size], Size: size, Peer: s.peer, buf: s.in.bufs[i]}
	if !s.peer.IsValid() {
		p.Peer = s.source(&s.in.names[i])
		if !p.Peer.IsValid() {
			p.Data = nil
			return
		}
	}
	oob := s.in.controls[i][:m.header.Controllen]
	if len(oob) == 0 {
		return
	}
	if segment := segmentSize(oob); segment > 0 {
		p.Size = segment
	}
	if s.wildcard != nil {
		p.Local = s.wildcard.sentTo(oob, p.Peer.Addr())
	}
}

// source reads the address of a peer, unmapped.
func (s *offload) source(name *unix.RawSockaddrInet6) netip.AddrPort {
	switch name.Family {
	case unix.AF_INET:
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), port(&in4.Port))
	case unix.AF_INET6:
		addr := netip.AddrFrom16(name.Addr).Unmap()
		if name.Scope_id != 0 && addr.Is6() {
			addr = addr.WithZone(s.zone(name.Scope_id))
		}
		return netip.AddrPortFrom(addr, port(&name.Port))
	}
	return netip.AddrPort{}
}

// port reads a number in the order of the network.
func port(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }

// zone returns the name of an interface, its number if it has gone. Names are asked
// for each time, since they can change.
func (s *offload) zone(index uint32) string { return zoneName(s.raw, index) }

func zoneName(raw syscall.RawConn, index uint32) string {
	ifr, err := unix.NewIfreq("")
	if err == nil {
		ifr.SetUint32(index)
		err = controlled(raw, func(fd int) error { return unix.IoctlIfreq(fd, unix.SIOCGIFNAME, ifr) })
	}
	if err != nil {
		return strconv.FormatUint(uint64(index), 10)
	}
	return ifr.Name()
}

// controlled runs f with the file descriptor.
func controlled(raw syscall.RawConn, f func(fd int) error) error {
	var err error
	if closed := raw.Control(func(fd uintptr) { err = f(int(fd)) }); closed != nil {
		return closed
	}
	return err
}
