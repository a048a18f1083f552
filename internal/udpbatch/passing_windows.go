package udpbatch

import "golang.org/x/sys/windows"

// WSAECONNRESET and WSAENETRESET are ICMP "port unreachable" and "time exceeded" for
// an earlier datagram; sockets without a remote address have them too.
var passing = []error{
	windows.WSAEWOULDBLOCK, windows.WSAEINTR, windows.WSAETIMEDOUT,
	windows.WSAENOBUFS, windows.WSAEMSGSIZE, windows.WSAEACCES,
	windows.WSAENETDOWN, windows.WSAENETUNREACH, windows.WSAEADDRNOTAVAIL,
	windows.WSAECONNREFUSED, windows.WSAECONNRESET, windows.WSAENETRESET,
	windows.WSAEHOSTUNREACH, windows.WSAEHOSTDOWN,
	windows.ERROR_PORT_UNREACHABLE, windows.ERROR_NETWORK_UNREACHABLE, windows.ERROR_HOST_UNREACHABLE,
}
