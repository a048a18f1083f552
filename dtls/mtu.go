package dtls

import "net/netip"

// DefaultMTUHint is the path MTU, in bytes, that handshake datagrams are made for
// unless SetMTUHint says otherwise: what every IPv6 link carries, RFC 8200 §5.
const DefaultMTUHint = 1280

const (
	// fallbackMTU is what every IPv4 host takes, RFC 1122 §3.3.2. It is used once two
	// timeouts suggest that larger datagrams do not arrive.
	fallbackMTU = 576
	// headroom is kept from OpenSSL: it counts encrypted handshake records without their
	// explicit nonce, MAC and padding, and would exceed the MTU by as much.
	headroom = 64
	// minMTUHint leaves OpenSSL the 256 bytes below which it refuses.
	minMTUHint = 256 + headroom
)

// SetMTUHint says how many bytes an IP packet to the peer may have, headers of IP
// and UDP included. It limits the datagrams of the next handshake, not application
// data: see [Association.MaxDatagramSize]. Values below 320 count as 320, 0 means
// [DefaultMTUHint]. Handshake datagrams have at most 4096 bytes. Corresponds to
// QDtls::setMtuHint, which counts the UDP payload alone.
func (a *Association) SetMTUHint(mtu int) {
	if mtu == 0 {
		mtu = DefaultMTUHint
	}
	a.mtuHint = max(mtu, minMTUHint)
}

// MTUHint returns the path MTU in use, in bytes. Corresponds to QDtls::mtuHint.
func (a *Association) MTUHint() int { return a.mtuHint }

// ipUDPHeaders returns what IP and UDP add to a datagram.
func ipUDPHeaders(addr netip.Addr) int {
	if addr.Unmap().Is4() {
		return 28
	}
	return 48
}

// MaxDatagramSize returns how many bytes of application data fit a packet of the MTU
// hint, exactly, but never more than [MaxPayload]; 0 unless the association is
// encrypted. WriteDatagramEncrypted takes more, up to 16384 bytes, for paths that carry or
// fragment it. Corresponds to DTLS_get_data_mtu.
func (a *Association) MaxDatagramSize() int {
	if a.state != HandshakeComplete {
		return 0
	}
	return a.ssl.DataMTU(a.mtuHint - ipUDPHeaders(a.peer.Addr()))
}
