package udpbatch

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// offload is a *net.UDPConn for which the kernel joins and splits datagrams: what has
// arrived from one peer in succession comes in one read (UDP_GRO), and a train of
// datagrams of one size goes out in one write (UDP_SEGMENT), see udp(7). A system call
// costs several times what encrypting a datagram does.
type offload struct {
	conn     *net.UDPConn
	peer     netip.AddrPort // of a socket with a remote address
	wildcard *wildcard      // of a socket that is bound to no one address
	raw      syscall.RawConn
	ipv6     bool // of family AF_INET6, perhaps for both

	in         *receiving // what the last read has brought; nil while nothing is there
	err        error      // of the last read
	tries      int        // how many more times nothing is no reason to wait
	onReadable func(fd uintptr) bool

	refused  atomic.Bool // the kernel or the card does not split
	told     func()      // of that; nil: nobody
	accepted atomic.Int32
}

// newSystemUDP returns the socket of a *net.UDPConn, which has a remote address if peer is
// valid, and is bound to no one address if anywhere is set.
func newSystemUDP(conn *net.UDPConn, peer netip.AddrPort, anywhere bool) (_ socket, err error) {
	var w *wildcard
	if anywhere {
		if w, err = newWildcard(conn); err != nil {
			return nil, err
		}
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &offload{conn: conn, peer: peer, wildcard: w, raw: raw}
	s.onReadable = s.recv
	if err := controlled(raw, s.askForFamily); err != nil {
		return nil, err
	}
	if offloadMode == offloadOff {
		s.refused.Store(true)
		return s, nil
	}
	err = raw.Control(func(fd uintptr) {
		// A kernel before 4.18 knows nothing of trains.
		if _, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT); err != nil {
			s.refused.Store(true)
		}
		// One before 5.0 does not join what arrives, and then there is nothing to split.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	})
	return s, err
}

// segmentSize finds the size of the datagrams that were joined; 0 if it is one alone.
func segmentSize(oob []byte) int {
	for len(oob) > 0 {
		header, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		if header.Level == unix.IPPROTO_UDP && header.Type == unix.UDP_GRO && len(data) >= 4 {
			return int(binary.NativeEndian.Uint32(data))
		}
		oob = rest
	}
	return 0
}

func (s *offload) writeTo(b []byte, peer netip.AddrPort, local netip.Addr) error {
	var control trainControl
	return s.write(b, 0, peer, local, &control)
}

// writeTrain sends datagrams of one size, the last of which may be shorter, which lie back to
// back in b.
func (s *offload) writeTrain(b []byte, size int, peer netip.AddrPort, local netip.Addr) error {
	if s.refused.Load() {
		return errRefused
	}
	var control trainControl
	err := s.fail()
	if err == nil {
		err = s.write(b, size, peer, local, &control)
	}
	if refusesTrains(err) {
		if !s.refused.Swap(true) && s.told != nil {
			s.told()
		}
		return errRefused
	}
	return err
}

func (s *offload) onRefusal(f func()) { s.told = f }

func (s *offload) askForFamily(fd int) error {
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	s.ipv6 = family == unix.AF_INET6
	return os.NewSyscallError("getsockopt SO_DOMAIN", err)
}

func (s *offload) splits() bool { return !s.refused.Load() }

// fail is the card of the tests, which refuses trains after a few.
func (s *offload) fail() error {
	if offloadMode == offloadFailing && s.accepted.Add(1) > 2 {
		return unix.EIO
	}
	return nil
}

// refusesTrains tells a card that cannot split, for lack of checksums, from a path that
// does not carry the datagrams, and from what ICMP says.
func refusesTrains(err error) bool { return errors.Is(err, unix.EIO) }

// trainControl holds what a write says beside its data: where it leaves from, and the
// size of the datagrams in it.
type trainControl [128]byte

func (s *offload) write(b []byte, size int, peer netip.AddrPort, local netip.Addr, control *trainControl) error {
	peer = unmap(peer)
	oob := control[:0]
	if s.wildcard != nil && local.IsValid() {
		var buf controlBuffer
		from, err := s.wildcard.sendFrom(&buf, local.Unmap(), peer.Addr())
		if err != nil {
			return &net.OpError{Op: "write", Net: "udp", Source: s.conn.LocalAddr(), Addr: net.UDPAddrFromAddrPort(peer), Err: err}
		}
		oob = append(oob, from...)
	}
	if size > 0 {
		oob = appendSegmentSize(oob, size)
	}
	if s.peer.IsValid() {
		if peer != s.peer {
			return wrongPeer(s.peer, peer)
		}
		peer = netip.AddrPort{}
	}
	if len(oob) == 0 && peer.IsValid() {
		_, err := s.conn.WriteToUDPAddrPort(b, peer)
		return err
	}
	if len(oob) == 0 {
		_, err := s.conn.Write(b)
		return err
	}
	_, _, err := s.conn.WriteMsgUDPAddrPort(b, oob, peer)
	return err
}

// appendSegmentSize adds a control message to others.
func appendSegmentSize(oob []byte, size int) []byte {
	start := len(oob)
	oob = append(oob, segmentControl...)
	binary.NativeEndian.PutUint16(oob[start+controlData:], uint16(size))
	return oob
}

// segmentControl is a control message of UDP_SEGMENT whose size is still 0.
var segmentControl = func() []byte {
	b := make([]byte, unix.CmsgSpace(2))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	return b
}()
