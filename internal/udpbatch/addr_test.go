package udpbatch

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAddrPort(t *testing.T) {
	for _, test := range []struct {
		addr net.Addr
		want string // the address, or part of the error
	}{
		{&net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, "192.0.2.1:1"},
		{&net.UDPAddr{IP: net.IPv4(192, 0, 2, 1).To4(), Port: 1}, "192.0.2.1:1"},
		{&net.UDPAddr{IP: net.ParseIP("fe80::1"), Port: 1, Zone: "eth0"}, "[fe80::1%eth0]:1"},
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, "192.0.2.1:1"},
		{name("[::ffff:192.0.2.1]:1"), "192.0.2.1:1"},
		{name("[fe80::1%eth0]:1"), "[fe80::1%eth0]:1"},

		{nil, "no address"},
		{(*net.UDPAddr)(nil), "no IP address in"},
		{&net.UDPAddr{Port: 1}, `no IP address in ":1"`},
		{&net.UDPAddr{IP: net.IP{1}, Port: 1}, "no IP address in"},
		{&net.IPAddr{IP: net.IPv4(192, 0, 2, 1)}, "a *net.IPAddr is not an IP address and port"},
		{name("localhost:1"), "a udpbatch.name is not an IP address and port"},
		{name(""), "a udpbatch.name is not an IP address and port"},
	} {
		got, err := AddrPort(test.addr)
		if err != nil {
			assert.ErrorContains(t, err, test.want)
			assert.False(t, got.IsValid())
			continue
		}
		assert.Equal(t, test.want, got.String())
	}
}

func TestAddrBookIsBounded(t *testing.T) {
	var book addrBook
	addr := func(i int) (netip.AddrPort, name) {
		peer := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)
		return peer, name(peer.String())
	}
	registered, own := addr(65535)
	book.register(registered, own)
	regular, regularName := addr(65534)
	const strangers = 5 * latestAddrs
	for i := range strangers {
		book.saw(addr(i))
		if i%latestAddrs == 0 {
			book.saw(regular, regularName)
		}
	}
	assert.LessOrEqual(t, len(book.latest), latestAddrs)
	assert.LessOrEqual(t, len(book.before), latestAddrs)
	assert.Equal(t, own, book.of(registered))
	assert.Equal(t, regularName, book.of(regular))
	last, lastName := addr(strangers - 1)
	assert.Equal(t, lastName, book.of(last))
	first, _ := addr(0)
	assert.Equal(t, net.UDPAddrFromAddrPort(first), book.of(first))

	before := len(book.latest)
	udp := netip.MustParseAddrPort("192.0.2.1:1")
	book.saw(udp, net.UDPAddrFromAddrPort(udp))
	book.register(udp, net.UDPAddrFromAddrPort(udp))
	assert.Len(t, book.latest, before, "not needed")
	assert.Len(t, book.registered, 1)
	require.Equal(t, net.UDPAddrFromAddrPort(udp), book.of(udp))
}

func TestAddrBookWithPeersThatStay(t *testing.T) {
	var book addrBook
	for range 3 {
		for i := range latestAddrs {
			peer := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)
			book.saw(peer, name(peer.String()))
		}
	}
	assert.Len(t, book.latest, latestAddrs)
	assert.Empty(t, book.before)
}
