package udpbatch

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/dgramtest"
)

// wrapped is a net.PacketConn that is no *net.UDPConn.
type wrapped struct{ net.PacketConn }

// name is an address of a program's own kind.
type name string

func (name) Network() string  { return "own" }
func (n name) String() string { return string(n) }

// named has names for addresses, both ways.
type named struct{ net.PacketConn }

func (c named) ReadFrom(b []byte) (int, net.Addr, error) {
	n, addr, err := c.PacketConn.ReadFrom(b)
	if err != nil {
		return n, nil, err
	}
	return n, name(addr.String()), nil
}

func (c named) WriteTo(b []byte, addr net.Addr) (int, error) {
	own, ok := addr.(name)
	if !ok {
		return 0, errors.New("not a name")
	}
	return c.PacketConn.WriteTo(b, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(own.String())))
}

func (c named) LocalAddr() net.Addr { return name(c.PacketConn.LocalAddr().String()) }

// strange returns what it is told to, then io.EOF.
type strange struct {
	net.Conn
	reads  []read
	wrote  int
	remote net.Addr
}

type read struct {
	n    int
	addr net.Addr
	err  error
}

func (s strange) RemoteAddr() net.Addr { return s.remote }

func (s strange) WriteTo([]byte, net.Addr) (int, error) { return s.wrote, nil }
func (s strange) Write([]byte) (int, error)             { return s.wrote, nil }

type strangeReader struct {
	strange
	next *int
}

func strangeConn(s strange) strangeReader { return strangeReader{s, new(int)} }

func (s strangeReader) ReadFrom([]byte) (int, net.Addr, error) {
	if *s.next == len(s.reads) {
		return 0, nil, io.EOF
	}
	r := s.reads[*s.next]
	*s.next++
	return r.n, r.addr, r.err
}

func (s strangeReader) Read(b []byte) (int, error) {
	n, _, err := s.ReadFrom(b)
	return n, err
}

func (s strange) ReadFrom([]byte) (int, net.Addr, error) { return 0, nil, io.EOF }

var (
	here  = netip.MustParseAddrPort("192.0.2.1:1001")
	there = netip.MustParseAddrPort("192.0.2.2:1002")
)

// memory returns the two ends of a network in memory.
func memory(t testing.TB) (a, b *dgramtest.PacketConn) {
	t.Helper()
	network := dgramtest.NewNetwork(1)
	a, b = network.Listen(here), network.Listen(there)
	for _, c := range []*dgramtest.PacketConn{a, b} {
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		t.Cleanup(func() { _ = c.Close() })
	}
	return a, b
}

func TestAnyPacketConn(t *testing.T) {
	for kind, wrap := range map[string]func(net.PacketConn) net.PacketConn{
		"UDPAddr":  func(pc net.PacketConn) net.PacketConn { return pc },
		"own kind": func(pc net.PacketConn) net.PacketConn { return named{pc} },
	} {
		t.Run(kind, func(t *testing.T) {
			pc, peer := memory(t)
			c := newConn(t, wrap(pc))
			assert.Equal(t, pc.LocalAddr().String(), c.LocalAddr().String())
			for _, text := range []string{"", "question"} {
				_, err := peer.WriteToUDPAddrPort([]byte(text), here)
				require.NoError(t, err)
			}
			p := readPacket(t, c)
			assert.Equal(t, Packet{Data: []byte("question"), Peer: there}, p)

			mapped := netip.AddrPortFrom(netip.AddrFrom16(there.Addr().As16()), there.Port())
			require.NoError(t, c.WriteTo([]byte("answer"), mapped, netip.MustParseAddr("192.0.2.9")))
			buf := make([]byte, 100)
			n, from, err := peer.ReadFromUDPAddrPort(buf)
			require.NoError(t, err)
			assert.Equal(t, "answer", string(buf[:n]))
			assert.Equal(t, here, from)
		})
	}
}

func TestRegister(t *testing.T) {
	pc, peer := memory(t)
	c := newConn(t, named{pc})
	require.ErrorContains(t, c.WriteTo([]byte("early"), there, netip.Addr{}), "not a name")

	addr, err := c.Register(name(there.String()))
	require.NoError(t, err)
	require.Equal(t, there, addr)
	require.NoError(t, c.WriteTo([]byte("text"), addr, netip.Addr{}))
	buf := make([]byte, 100)
	n, _, err := peer.ReadFrom(buf)
	require.NoError(t, err)
	assert.Equal(t, "text", string(buf[:n]))

	_, err = c.Register(name("elsewhere"))
	require.Error(t, err)

	// Where it is not needed it is an AddrPort.
	addr, err = newConn(t, listenUDP(t, "udp4", "127.0.0.1:0")).Register(net.UDPAddrFromAddrPort(there))
	require.NoError(t, err)
	assert.Equal(t, there, addr)
}

func TestStrangePacketConn(t *testing.T) {
	own := errors.New("own error")
	addr := net.UDPAddrFromAddrPort(there)
	type result struct {
		n   int
		err error
	}
	for _, test := range []struct {
		name  string
		reads []read
		want  []result
	}{
		{"addresses of another kind", []read{{5, name("elsewhere"), nil}, {5, nil, nil}, {5, &net.UnixAddr{Name: "x"}, nil}, {3, addr, nil}},
			[]result{{3, nil}, {0, io.EOF}}},
		{"an error of a datagram of another kind", []read{{5, name("elsewhere"), own}, {3, addr, nil}},
			[]result{{0, own}, {3, nil}}},
		{"datagram and error", []read{{3, addr, own}, {4, addr, nil}},
			[]result{{3, nil}, {0, own}, {4, nil}, {0, io.EOF}}},
		{"neither, again and again", make([]read, maxNothing),
			[]result{{0, io.ErrNoProgress}, {0, io.EOF}}},
		{"empty ones from a peer", append(repeat(read{0, addr, nil}, 2*maxNothing), read{1, addr, nil}),
			[]result{{1, nil}, {0, io.EOF}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newConn(t, strangeConn(strange{reads: test.reads}))
			p := make([]Packet, 2)
			for _, want := range test.want {
				n, err := c.ReadBatch(p)
				require.ErrorIs(t, err, want.err)
				if want.err == nil {
					require.Equal(t, 1, n)
					assert.Len(t, p[0].Data, want.n)
				}
			}
		})
	}
}

func repeat(r read, n int) []read {
	reads := make([]read, n)
	for i := range reads {
		reads[i] = r
	}
	return reads
}

func TestImpossibleLengths(t *testing.T) {
	for name, remote := range map[string]net.Addr{"any": nil, "connected": net.UDPAddrFromAddrPort(there)} {
		for _, n := range []int{-1, maxDatagram + 1} {
			s := strange{reads: []read{{n, net.UDPAddrFromAddrPort(there), nil}, {2, net.UDPAddrFromAddrPort(there), nil}}, remote: remote}
			c := newConn(t, strangeConn(s))
			_, err := c.ReadBatch(make([]Packet, 1))
			require.ErrorContains(t, err, "the socket read", name)
			assert.Len(t, readPacket(t, c).Data, 2)
		}
		c := newConn(t, strangeConn(strange{wrote: 3, remote: remote}))
		require.NoError(t, c.WriteTo([]byte("123"), there, netip.Addr{}), name)
		require.ErrorIs(t, c.WriteTo([]byte("1234"), there, netip.Addr{}), io.ErrShortWrite, name)
	}
}
