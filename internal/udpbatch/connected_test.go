package udpbatch

import (
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConnected(t *testing.T) {
	for name, network := range map[string]struct{ network, addr string }{
		"IPv4": {"udp4", "127.0.0.1:0"}, "IPv6": {"udp6", "[::1]:0"},
	} {
		for kind, wrap := range map[string]func(*net.UDPConn) net.PacketConn{
			"UDPConn": func(udp *net.UDPConn) net.PacketConn { return udp },
			"another": func(udp *net.UDPConn) net.PacketConn { return struct{ *net.UDPConn }{udp} },
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				peer := listenUDP(t, network.network, network.addr)
				udp := dialUDP(t, network.network, addrOf(peer, ""))
				c := newConn(t, wrap(udp))

				require.NoError(t, c.WriteTo([]byte("question"), addrOf(peer, ""), netip.Addr{}))
				text, from := readUDP(t, peer)
				assert.Equal(t, "question", text)
				writeUDP(t, peer, from, "")
				writeUDP(t, peer, from, "answer")
				assert.Equal(t, Packet{Data: []byte("answer"), Peer: addrOf(peer, "")}, readPacket(t, c))

				err := c.WriteTo([]byte("lost"), netip.MustParseAddrPort("192.0.2.1:1"), netip.Addr{})
				require.ErrorContains(t, err, "connected to")
				assert.False(t, Passing(err))
			})
		}
	}
}

func TestConnectedTakesTheMappedForm(t *testing.T) {
	peer := listenUDP(t, "udp4", "127.0.0.1:0")
	c := newConn(t, dialUDP(t, "udp4", addrOf(peer, "")))
	to := addrOf(peer, "")
	mapped := netip.AddrPortFrom(netip.AddrFrom16(to.Addr().As16()), to.Port())
	require.NoError(t, c.WriteTo([]byte("text"), mapped, netip.Addr{}))
	text, _ := readUDP(t, peer)
	assert.Equal(t, "text", text)
}

// A peer that has not started yet, or a forged ICMP message, is not the end.
func TestConnectionRefusedPasses(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what the system makes of ICMP is Linux's here")
	}
	peer := listenUDP(t, "udp4", "127.0.0.1:0")
	to := addrOf(peer, "")
	require.NoError(t, peer.Close())
	c := newConn(t, dialUDP(t, "udp4", to))

	require.NoError(t, c.WriteTo([]byte("into the void"), to, netip.Addr{}))
	_, err := c.ReadBatch(make([]Packet, 1))
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.True(t, Passing(err))

	require.NoError(t, c.WriteTo([]byte("again"), to, netip.Addr{}))
	err = c.WriteTo([]byte("and the error of that"), to, netip.Addr{})
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.True(t, Passing(err))

	peer = listenUDP(t, "udp4", to.String())
	require.NoError(t, c.WriteTo([]byte("there"), to, netip.Addr{}))
	text, from := readUDP(t, peer)
	assert.Equal(t, "there", text)
	writeUDP(t, peer, from, "hello")
	assert.Equal(t, "hello", string(readPacket(t, c).Data))
}

func TestConnectedToAnotherKindOfAddress(t *testing.T) {
	_, err := New(strange{remote: name("elsewhere")})
	require.ErrorContains(t, err, "udpbatch.name is not an IP address and port")
}
