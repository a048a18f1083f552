package udpbatch

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The answer comes from the address that was asked, on which a socket with a remote
// address insists.
func TestAnswersFromTheAddressAsked(t *testing.T) {
	for _, test := range []struct {
		network, listen string
		asked           []string
	}{
		{"udp4", "0.0.0.0:0", []string{"127.0.0.1", "127.0.0.2", "127.1.2.3"}},
		{"udp", "0.0.0.0:0", []string{"127.0.0.1", "127.0.0.2"}},
		{"udp", ":0", []string{"127.0.0.1", "127.0.0.2", "::1"}},
		{"udp6", "[::]:0", []string{"::1"}},
	} {
		for _, asked := range test.asked {
			t.Run(fmt.Sprintf("%s %s asked at %s", test.network, test.listen, asked), func(t *testing.T) {
				udp := listenUDP(t, test.network, test.listen)
				c := newConn(t, udp)
				to := addrOf(udp, asked)
				peer := dialUDP(t, "udp", to)
				_, err := peer.Write([]byte("question"))
				require.NoError(t, err)

				p := readPacket(t, c)
				assert.Equal(t, Packet{Data: []byte("question"), Peer: addrOf(peer, ""), Local: to.Addr()}, p)

				// Both forms of both addresses.
				mappedPeer := netip.AddrPortFrom(netip.AddrFrom16(p.Peer.Addr().As16()), p.Peer.Port())
				mappedLocal := netip.AddrFrom16(p.Local.As16())
				require.NoError(t, c.WriteTo([]byte("1"), p.Peer, p.Local))
				require.NoError(t, c.WriteTo([]byte("2"), mappedPeer, mappedLocal))
				for _, want := range []string{"1", "2"} {
					text, from := readUDP(t, peer)
					assert.Equal(t, want, text)
					assert.Equal(t, to, from)
				}
			})
		}
	}
}

func TestWithoutLocalTheSystemChooses(t *testing.T) {
	udp, peer := listenUDP(t, "udp", ":0"), listenUDP(t, "udp4", "127.0.0.3:0")
	c := newConn(t, udp)
	require.NoError(t, c.WriteTo([]byte("first"), addrOf(peer, ""), netip.Addr{}))
	_, from := readUDP(t, peer)
	assert.Equal(t, addrOf(udp, "127.0.0.1").Port(), from.Port())
}

// Nobody can answer from a broadcast address.
func TestBroadcastHasNoLocal(t *testing.T) {
	for _, listen := range []struct{ network, addr string }{{"udp4", "0.0.0.0:0"}, {"udp", ":0"}} {
		udp, peer := listenUDP(t, listen.network, listen.addr), listenUDP(t, "udp4", "127.0.0.1:0")
		c := newConn(t, udp)
		if _, err := peer.WriteToUDPAddrPort([]byte("all"), addrOf(udp, "127.255.255.255")); err != nil {
			t.Skipf("no broadcast on the loopback interface: %v", err)
		}
		p := readPacket(t, c)
		assert.Equal(t, Packet{Data: []byte("all"), Peer: addrOf(peer, "")}, p)
		require.NoError(t, c.WriteTo([]byte("answer"), p.Peer, p.Local))
		text, _ := readUDP(t, peer)
		assert.Equal(t, "answer", text)
	}
}

func TestAddressesThatCannotBe(t *testing.T) {
	v4 := newConn(t, listenUDP(t, "udp4", "0.0.0.0:0"))
	v6 := newConn(t, listenUDP(t, "udp", "[::]:0"))
	for _, test := range []struct {
		name        string
		c           *Conn
		peer, local string
	}{
		{"IPv6 peer of an IPv4 socket", v4, "[::1]:9", ""},
		{"IPv6 local of an IPv4 socket", v4, "127.0.0.1:9", "::1"},
		{"somebody else's address, IPv4", v4, "127.0.0.1:9", "192.0.2.200"},
		{"somebody else's address, IPv6", v6, "[::1]:9", "2001:db8::200"},
		{"mixed", v6, "[::1]:9", "127.0.0.1"},
		{"an interface that is not there", v6, "[::1]:9", "fe80::1%nothere"},
		{"an interface that cannot be", v6, "[::1]:9", "fe80::1%a-name-that-is-too-long"},
	} {
		var local netip.Addr
		if test.local != "" {
			local = netip.MustParseAddr(test.local)
		}
		err := test.c.WriteTo([]byte("text"), netip.MustParseAddrPort(test.peer), local)
		var op *net.OpError
		assert.ErrorAs(t, err, &op, test.name)
	}
}

// info is a control message with some interface index, as the kernel writes it.
func info4(answer, header string) []byte {
	return unix.PktInfo4(&unix.Inet4Pktinfo{
		Ifindex: 7, Spec_dst: netip.MustParseAddr(answer).As4(), Addr: netip.MustParseAddr(header).As4(),
	})
}

func info6(addr string, index uint32) []byte {
	return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: netip.MustParseAddr(addr).As16(), Ifindex: index})
}

func TestSentTo(t *testing.T) {
	s := newConn(t, listenUDP(t, "udp", ":0")).socket.(*offload).wildcard
	other := unix.UnixRights(1)
	both := append(info6("::ffff:192.0.2.1", 7), info4("192.0.2.1", "192.0.2.1")...)
	for _, test := range []struct {
		name, peer string
		oob        []byte
		want       string
	}{
		{"IPv4", "192.0.2.2", info4("192.0.2.1", "192.0.2.1"), "192.0.2.1"},
		{"IPv4 on an IPv6 socket", "192.0.2.2", both, "192.0.2.1"},
		{"after another message", "192.0.2.2", append(other, both...), "192.0.2.1"},
		{"broadcast", "192.0.2.2", info4("192.0.2.1", "192.0.2.255"), ""},
		{"broadcast on an IPv6 socket", "192.0.2.2", append(info6("::ffff:192.0.2.255", 7), info4("192.0.2.1", "192.0.2.255")...), ""},
		{"multicast", "192.0.2.2", info4("192.0.2.1", "224.0.0.1"), ""},
		{"IPv6", "2001:db8::2", info6("2001:db8::1", 7), "2001:db8::1"},
		{"IPv6 multicast", "2001:db8::2", info6("ff02::1", 7), ""},
		{"link-local", "fe80::2%eth7", info6("fe80::1", 7), "fe80::1%eth7"},
		{"link-local, peer not", "2001:db8::2", info6("fe80::1", 1), "fe80::1%lo"},
		{"link-local of an interface that has gone", "2001:db8::2", info6("fe80::1", 99999), "fe80::1%99999"},
		{"nothing", "192.0.2.2", nil, ""},
		{"another message", "192.0.2.2", other, ""},
		{"cut off", "192.0.2.2", info4("192.0.2.1", "192.0.2.1")[:20], ""},
		{"cut header", "192.0.2.2", info4("192.0.2.1", "192.0.2.1")[:7], ""},
	} {
		want := netip.Addr{}
		if test.want != "" {
			want = netip.MustParseAddr(test.want)
		}
		assert.Equal(t, want, s.sentTo(test.oob, netip.MustParseAddr(test.peer)), test.name)
	}
}

func TestSendFrom(t *testing.T) {
	for _, test := range []struct {
		name        string
		ipv6        bool
		local, peer string
		want        []byte
	}{
		{"IPv4", false, "192.0.2.1", "192.0.2.2", info4("192.0.2.1", "0.0.0.0")},
		{"IPv4 on an IPv6 socket", true, "192.0.2.1", "192.0.2.2", info6("::ffff:192.0.2.1", 0)},
		{"IPv4 link-local on an IPv6 socket", true, "169.254.0.1", "192.0.2.2", info6("::ffff:169.254.0.1", 0)},
		{"IPv6", true, "2001:db8::1", "2001:db8::2", info6("2001:db8::1", 0)},
		{"link-local, the peer names the interface", true, "fe80::1%lo", "fe80::2%lo", info6("fe80::1", 0)},
		{"link-local", true, "fe80::1%lo", "2001:db8::2", info6("fe80::1", 1)},
		{"link-local by number", true, "fe80::1%99999", "2001:db8::2", info6("fe80::1", 99999)},
	} {
		network := "udp4"
		if test.ipv6 {
			network = "udp"
		}
		s := newConn(t, listenUDP(t, network, ":0")).socket.(*offload).wildcard
		var buf controlBuffer
		got, err := s.sendFrom(&buf, netip.MustParseAddr(test.local), netip.MustParseAddr(test.peer))
		require.NoError(t, err, test.name)
		if !test.ipv6 {
			clear(test.want[unix.CmsgLen(0):][:4]) // no interface
		}
		assert.Equal(t, test.want, got, test.name)
	}
}
