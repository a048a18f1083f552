package udpbatch

import (
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/raceon"
)

// patience is how long a call may take that a broken Conn would not return from.
const patience = time.Minute

// listenUDP returns a socket whose calls end for lack of patience, and which is closed at
// the end of the test. It skips the test if the machine has no such address.
func listenUDP(t testing.TB, network, addr string) *net.UDPConn {
	t.Helper()
	pc, err := net.ListenPacket(network, addr)
	if err != nil {
		t.Skipf("no %s address %s here: %v", network, addr, err)
	}
	udp := pc.(*net.UDPConn)
	require.NoError(t, udp.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { _ = udp.Close() })
	return udp
}

// dialUDP is listenUDP for a socket with a remote address.
func dialUDP(t testing.TB, network string, remote netip.AddrPort) *net.UDPConn {
	t.Helper()
	udp, err := net.DialUDP(network, nil, net.UDPAddrFromAddrPort(remote))
	require.NoError(t, err)
	require.NoError(t, udp.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { _ = udp.Close() })
	return udp
}

func newConn(t testing.TB, pc net.PacketConn) *Conn {
	t.Helper()
	c, err := New(pc)
	require.NoError(t, err)
	return c
}

// addrOf returns a socket's address; loopback, in the given form, if it is a wildcard.
func addrOf(pc net.PacketConn, loopback string) netip.AddrPort {
	local := pc.LocalAddr().(*net.UDPAddr)
	if local.IP.IsUnspecified() {
		return netip.AddrPortFrom(netip.MustParseAddr(loopback), uint16(local.Port))
	}
	return unmap(local.AddrPort())
}

func writeUDP(t testing.TB, from *net.UDPConn, to netip.AddrPort, text string) {
	t.Helper()
	_, err := from.WriteToUDPAddrPort([]byte(text), to)
	require.NoError(t, err)
}

// readUDP returns a datagram and its source, unmapped.
func readUDP(t testing.TB, c *net.UDPConn) (string, netip.AddrPort) {
	t.Helper()
	b := make([]byte, maxDatagram)
	n, from, err := c.ReadFromUDPAddrPort(b)
	require.NoError(t, err)
	return string(b[:n]), unmap(from)
}

func readPacket(t testing.TB, c *Conn) Packet {
	t.Helper()
	p := make([]Packet, 1)
	n, err := c.ReadBatch(p)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, 1, p[0].Count())
	return Packet{Data: p[0].Data, Peer: p[0].Peer, Local: p[0].Local}
}

func TestNewRefuses(t *testing.T) {
	_, err := New(nil)
	require.ErrorContains(t, err, "no socket")

	closed := listenUDP(t, "udp4", "0.0.0.0:0")
	require.NoError(t, closed.Close())
	c, err := New(closed)
	if err == nil { // where nothing is asked of the socket
		_, err = c.ReadBatch(make([]Packet, 1))
	}
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestSocketWithOneAddress(t *testing.T) {
	for _, test := range []struct{ network, addr string }{
		{"udp4", "127.0.0.1:0"}, {"udp6", "[::1]:0"}, {"udp", "127.0.0.1:0"},
	} {
		t.Run(test.network+" "+test.addr, func(t *testing.T) {
			udp, peer := listenUDP(t, test.network, test.addr), listenUDP(t, test.network, test.addr)
			c := newConn(t, udp)
			assert.Equal(t, udp.LocalAddr(), c.LocalAddr())
			to, from := addrOf(udp, ""), addrOf(peer, "")

			writeUDP(t, peer, to, "question")
			p := readPacket(t, c)
			assert.Equal(t, Packet{Data: []byte("question"), Peer: from}, p)

			require.NoError(t, c.WriteTo([]byte("answer"), p.Peer, p.Local))
			text, source := readUDP(t, peer)
			assert.Equal(t, "answer", text)
			assert.Equal(t, to, source)

			mapped := netip.AddrPortFrom(netip.AddrFrom16(from.Addr().As16()), from.Port())
			require.NoError(t, c.WriteTo([]byte("mapped"), mapped, netip.Addr{}))
			text, _ = readUDP(t, peer)
			assert.Equal(t, "mapped", text)
		})
	}
}

func TestLargestDatagram(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		udp, peer := listenUDP(t, "udp4", listen), listenUDP(t, "udp4", "127.0.0.1:0")
		c := newConn(t, udp)
		largest := string(make([]byte, 65507))
		writeUDP(t, peer, addrOf(udp, "127.0.0.1"), largest)
		p := readPacket(t, c)
		require.Len(t, p.Data, len(largest))
		require.NoError(t, c.WriteTo(p.Data, p.Peer, p.Local))
		text, _ := readUDP(t, peer)
		assert.Len(t, text, len(largest))

		err := c.WriteTo(make([]byte, 65508), p.Peer, p.Local)
		require.Error(t, err)
		assert.True(t, Passing(err), err)
	}
}

func TestEmptyDatagramsArePassedOver(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		udp, peer := listenUDP(t, "udp4", listen), listenUDP(t, "udp4", "127.0.0.1:0")
		for _, text := range []string{"", "", "text", "", "end"} {
			writeUDP(t, peer, addrOf(udp, "127.0.0.1"), text)
		}
		c := newConn(t, udp)
		data, ends := []byte("textend"), []int32{4, 7}
		requireBatch(t, c, data, ends)
	}
}

func TestEmptyPacketsAreTakenOutOfABatch(t *testing.T) {
	p := []Packet{{}, {Data: []byte("1")}, {Data: []byte{}}, {}, {Data: []byte("2")}}
	require.Equal(t, 2, withoutEmpty(p))
	assert.Equal(t, "1", string(p[0].Data))
	assert.Equal(t, "2", string(p[1].Data))
}

func TestWriteToNeedsAPeer(t *testing.T) {
	for name, pc := range map[string]net.PacketConn{
		"one address": listenUDP(t, "udp4", "127.0.0.1:0"),
		"wildcard":    listenUDP(t, "udp", ":0"),
		"any":         wrapped{listenUDP(t, "udp4", "127.0.0.1:0")},
	} {
		err := newConn(t, pc).WriteTo([]byte("text"), netip.AddrPortFrom(netip.Addr{}, 9), netip.Addr{})
		assert.ErrorContains(t, err, "no address", name)
	}
}

func TestReadBatchNeedsRoom(t *testing.T) {
	_, err := newConn(t, listenUDP(t, "udp4", "127.0.0.1:0")).ReadBatch(nil)
	require.ErrorIs(t, err, io.ErrShortBuffer)
}

func TestCloseEndsReadBatch(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) net.PacketConn{
		"one address": func(t *testing.T) net.PacketConn { return listenUDP(t, "udp4", "127.0.0.1:0") },
		"wildcard":    func(t *testing.T) net.PacketConn { return listenUDP(t, "udp", ":0") },
		"connected": func(t *testing.T) net.PacketConn {
			return dialUDP(t, "udp4", netip.MustParseAddrPort("127.0.0.1:9"))
		},
		"any": func(t *testing.T) net.PacketConn { return wrapped{listenUDP(t, "udp4", "127.0.0.1:0")} },
	} {
		t.Run(name, func(t *testing.T) {
			c := newConn(t, open(t))
			ended := make(chan error, 1)
			go func() {
				_, err := c.ReadBatch(make([]Packet, 1))
				ended <- err
			}()
			require.NoError(t, c.Close())
			err := <-ended
			require.ErrorIs(t, err, net.ErrClosed)
			assert.False(t, Passing(err))
			err = c.WriteTo([]byte("late"), netip.MustParseAddrPort("127.0.0.1:9"), netip.Addr{})
			require.ErrorIs(t, err, net.ErrClosed)
		})
	}
}

func TestDeadlinesOfTheSocketHold(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		udp := listenUDP(t, "udp4", listen)
		c := newConn(t, udp)
		require.NoError(t, udp.SetDeadline(time.Unix(1, 0)))
		_, err := c.ReadBatch(make([]Packet, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.True(t, Passing(err))
	}
}

func TestNoAllocationPerDatagram(t *testing.T) {
	if raceon.Enabled {
		t.Skip("the race detector and the sanitizers allocate")
	}
	for _, test := range exchanges {
		t.Run(test.name, func(t *testing.T) {
			udp, peer, to := test.open(t)
			c := newConn(t, udp)
			question, buf, batch := []byte("question"), make([]byte, 100), make([]Packet, 1)
			assert.Zero(t, testing.AllocsPerRun(100, func() {
				if err := exchange(c, peer, to, question, buf, batch); err != nil {
					t.Error(err)
				}
			}))
		})
	}
}

// exchanges are the pairs of sockets that allocations and time are measured with.
var exchanges = []struct {
	name string
	open func(t testing.TB) (udp, peer *net.UDPConn, to netip.AddrPort)
}{
	{"one address", opener("udp4", "127.0.0.1:0", "127.0.0.1")},
	{"wildcard IPv4", opener("udp4", "0.0.0.0:0", "127.0.0.1")},
	{"dual stack IPv4", opener("udp", ":0", "127.0.0.1")},
	{"dual stack IPv6", opener("udp", ":0", "::1")},
	{"connected", func(t testing.TB) (udp, peer *net.UDPConn, to netip.AddrPort) {
		peer = listenUDP(t, "udp4", "127.0.0.1:0")
		udp = dialUDP(t, "udp4", addrOf(peer, ""))
		return udp, peer, addrOf(udp, "")
	}},
}

func opener(network, listen, ip string) func(t testing.TB) (udp, peer *net.UDPConn, to netip.AddrPort) {
	return func(t testing.TB) (udp, peer *net.UDPConn, to netip.AddrPort) {
		udp = listenUDP(t, network, listen)
		peer = listenUDP(t, "udp", netip.AddrPortFrom(netip.MustParseAddr(ip), 0).String())
		return udp, peer, addrOf(udp, ip)
	}
}

// exchange sends a question and its echo.
func exchange(c *Conn, peer *net.UDPConn, to netip.AddrPort, question, buf []byte, batch []Packet) error {
	if _, err := peer.WriteToUDPAddrPort(question, to); err != nil {
		return err
	}
	if _, err := c.ReadBatch(batch); err != nil {
		return err
	}
	if err := c.WriteTo(batch[0].Data, batch[0].Peer, batch[0].Local); err != nil {
		return err
	}
	_, _, err := peer.ReadFromUDPAddrPort(buf)
	return err
}
