package udpbatch

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// wildcard is a *net.UDPConn that is bound to no one address. The kernel says in a
// control message where a datagram was sent to, and takes one that says where the
// answer leaves from: ip(7), ipv6(7).
type wildcard struct {
	raw  syscall.RawConn
	ipv6 bool // of family AF_INET6, perhaps for both
}

// maxOOB has room for the control messages that a program may have asked for besides.
const maxOOB = 512

func newWildcard(conn *net.UDPConn) (*wildcard, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &wildcard{raw: raw}
	return s, s.control(s.askForAddresses)
}

// control runs f with the file descriptor.
func (s *wildcard) control(f func(fd int) error) error { return controlled(s.raw, f) }

// askForAddresses sets IP_PKTINFO on a socket for both families too: it alone tells
// an IPv4 broadcast from a datagram to one address.
func (s *wildcard) askForAddresses(fd int) error {
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return os.NewSyscallError("getsockopt SO_DOMAIN", err)
	}
	if err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1); err != nil {
		return os.NewSyscallError("setsockopt IP_PKTINFO", err)
	}
	if s.ipv6 = family == unix.AF_INET6; s.ipv6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	}
	return os.NewSyscallError("setsockopt IPV6_RECVPKTINFO", err)
}

// sentTo finds the destination of a datagram in its control messages.
func (s *wildcard) sentTo(oob []byte, peer netip.Addr) netip.Addr {
	for len(oob) > 0 {
		header, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		oob = rest
		switch {
		case header.Level == unix.IPPROTO_IP && header.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			return destination4(data)
		case header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			// An IPv4 datagram has both kinds.
			if local, index := destination6(data); !local.Is4In6() {
				return s.usable(local, index, peer)
			}
		}
	}
	return netip.Addr{}
}

// destination4 reads a struct in_pktinfo: interface index, the address to answer from
// and the one in the header, which differ for a broadcast or multicast.
func destination4(data []byte) netip.Addr {
	answer, header := [4]byte(data[4:8]), [4]byte(data[8:12])
	if answer != header {
		return netip.Addr{}
	}
	return netip.AddrFrom4(header)
}

// destination6 reads a struct in6_pktinfo: the address and the interface index.
func destination6(data []byte) (netip.Addr, uint32) {
	return netip.AddrFrom16([16]byte(data[:16])), binary.NativeEndian.Uint32(data[16:20])
}

// usable is what of an IPv6 destination can be answered from. The zone of a link-local
// one is that of the peer, whose link it is, unless the peer has another kind of address.
func (s *wildcard) usable(local netip.Addr, index uint32, peer netip.Addr) netip.Addr {
	switch {
	case local.IsMulticast():
		return netip.Addr{}
	case !local.IsLinkLocalUnicast():
		return local
	case peer.Zone() != "":
		return local.WithZone(peer.Zone())
	}
	return local.WithZone(zoneName(s.raw, index))
}

// The control messages to fill in, and where their data begins.
var (
	control4    = unix.PktInfo4(&unix.Inet4Pktinfo{})
	control6    = unix.PktInfo6(&unix.Inet6Pktinfo{})
	controlData = unix.CmsgLen(0)
)

// controlBuffer holds either of them.
type controlBuffer [64]byte

// sendFrom makes the control message that says where a datagram leaves from. On an
// IPv6 socket an IPv4 address is said in its mapped form. A link-local address needs
// its interface unless the peer's names it already.
func (s *wildcard) sendFrom(buf *controlBuffer, local, peer netip.Addr) ([]byte, error) {
	if !s.ipv6 {
		if !local.Is4() {
			return nil, &net.AddrError{Err: "non-IPv4 address to answer from", Addr: local.String()}
		}
		oob := buf[:copy(buf[:], control4)]
		ip := local.As4()
		copy(oob[controlData+4:], ip[:])
		return oob, nil
	}
	oob := buf[:copy(buf[:], control6)]
	ip := local.As16()
	copy(oob[controlData:], ip[:])
	if local.Is6() && local.IsLinkLocalUnicast() && peer.Zone() == "" {
		index, err := s.index(local.Zone())
		if err != nil {
			return nil, err
		}
		binary.NativeEndian.PutUint32(oob[controlData+16:], index)
	}
	return oob, nil
}

// index is the reverse of zoneName.
func (s *wildcard) index(zone string) (uint32, error) {
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	ifr, err := unix.NewIfreq(zone)
	if err == nil {
		err = s.control(func(fd int) error { return unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr) })
	}
	if err != nil {
		return 0, os.NewSyscallError("ioctl SIOCGIFINDEX", err)
	}
	return ifr.Uint32(), nil
}
