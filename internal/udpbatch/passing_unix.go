//go:build unix

package udpbatch

import "golang.org/x/sys/unix"

var passing = append([]error{
	// Not now.
	unix.EAGAIN, unix.EINTR, unix.ETIMEDOUT, unix.ENOBUFS, unix.ENOMEM,
	// Too large for the path; ICMP "fragmentation needed" as well.
	unix.EMSGSIZE,
	// A firewall, a route that prohibits; ICMP "administratively prohibited" as well.
	unix.EPERM, unix.EACCES,
	// No link, no route, no address to send from.
	unix.ENETDOWN, unix.ENETUNREACH, unix.EADDRNOTAVAIL,
	// ICMP "port unreachable", "protocol unreachable" and others.
	unix.ECONNREFUSED, unix.ECONNRESET, unix.ENOPROTOOPT, unix.EHOSTUNREACH,
	unix.EHOSTDOWN, unix.ENETRESET, unix.EPROTO,
}, passingHere...)
