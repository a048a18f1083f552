// Package peeraddr knows with which addresses no association is possible.
package peeraddr

import "net/netip"

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// Problem says what is wrong with a peer: no address, the unspecified one, a
// multicast or broadcast address, or port 0. It returns "" if nothing is.
func Problem(peer netip.AddrPort) string {
	addr := peer.Addr().Unmap()
	switch {
	case !addr.IsValid() || addr.IsUnspecified():
		return "the peer has no address"
	case addr.IsMulticast():
		return "the peer's address is a multicast address"
	case addr == broadcast:
		return "the peer's address is the broadcast address"
	case peer.Port() == 0:
		return "the peer's port is 0"
	}
	return ""
}
