package udpbatch

import (
	"encoding/binary"
	"net/netip"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Several trains, or datagrams of different sizes, in one system call: sendmmsg(2).

// maxWrites is how many a call takes.
const maxWrites = 64

// sending is what a call needs besides the datagrams.
type sending struct {
	messages [maxWrites]message
	iovs     [maxWrites]unix.Iovec
	controls [maxWrites]trainControl
	name     unix.RawSockaddrInet6 // large enough for both families
}

var sendings = sync.Pool{New: func() any { return new(sending) }}

// writeTrains sends the trains that lie back to back in b, as many as one call takes, and
// returns how many have been sent. An error is about the next one.
func (s *offload) writeTrains(b []byte, trains []train, peer netip.AddrPort, local netip.Addr) (int, error) {
	if s.fail() != nil {
		return 0, errRefused
	}
	m := sendings.Get().(*sending)
	defer sendings.Put(m)
	count := min(len(trains), maxWrites)
	nameLen, ok := s.putName(&m.name, unmap(peer))
	if !ok {
		return 0, errRefused
	}
	for i, t := range trains[:count] {
		oob, err := s.control(&m.controls[i], t, peer, local)
		if err != nil {
			return 0, err
		}
		m.iovs[i].Base = &b[t.start]
		m.iovs[i].SetLen(int(t.end - t.start))
		h := &m.messages[i].header
		*h = unix.Msghdr{Iov: &m.iovs[i]}
		h.SetIovlen(1)
		if len(oob) > 0 {
			h.Control = &oob[0]
			h.SetControllen(len(oob))
		}
		if nameLen > 0 {
			h.Name = (*byte)(unsafe.Pointer(&m.name))
			h.Namelen = nameLen
		}
	}
	n, failed := 0, error(nil)
	err := s.raw.Write(func(fd uintptr) bool {
		for {
			r, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&m.messages[0])), uintptr(count), unix.MSG_DONTWAIT, 0, 0)
			switch errno {
			case unix.EINTR:
				continue
			case unix.EAGAIN:
				return false
			case 0:
				n = int(r)
			default:
				failed = os.NewSyscallError("sendmmsg", errno)
			}
			return true
		}
	})
	clear(m.iovs[:count]) // the datagrams are the caller's
	if err == nil {
		err = failed
	}
	if refusesTrains(err) {
		err = errRefused
	}
	return n, err
}

// control makes the control messages of a train.
func (s *offload) control(buf *trainControl, t train, peer netip.AddrPort, local netip.Addr) ([]byte, error) {
	oob := buf[:0]
	if s.wildcard != nil && local.IsValid() {
		var from controlBuffer
		source, err := s.wildcard.sendFrom(&from, local.Unmap(), unmap(peer).Addr())
		if err != nil {
			return nil, err
		}
		oob = append(oob, source...)
	}
	if t.end-t.start > t.size {
		oob = appendSegmentSize(oob, int(t.size))
	}
	return oob, nil
}

// putName writes a peer's address as the socket's family has it, and returns its length: 0
// if the socket has a remote address. It reports false for one that only the system's own
// functions can write.
func (s *offload) putName(name *unix.RawSockaddrInet6, peer netip.AddrPort) (uint32, bool) {
	if s.peer.IsValid() {
		return 0, peer == s.peer
	}
	if peer.Addr().Zone() != "" {
		return 0, false
	}
	if !s.ipv6 {
		if !peer.Addr().Is4() {
			return 0, false
		}
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		*in4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: peer.Addr().As4()}
		putPort(&in4.Port, peer.Port())
		return unix.SizeofSockaddrInet4, true
	}
	*name = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: peer.Addr().As16()}
	putPort(&name.Port, peer.Port())
	return unix.SizeofSockaddrInet6, true
}

// putPort writes a number in the order of the network.
func putPort(p *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(p))[:], port)
}
