package dtls

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/dgramtest"
)

// byHand is a client whose datagrams a test holds in its hands before they are sent.
type byHand struct {
	t    testing.TB
	sock *dgramtest.PacketConn
	a    *Association
	out  dgramtest.End
}

func byHandAt(t testing.TB, network *dgramtest.Network, addr netip.AddrPort, cfg *Config) *byHand {
	t.Helper()
	sock := network.Listen(addr)
	t.Cleanup(func() { _ = sock.Close() })
	return byHandOn(t, sock, cfg)
}

func byHandOn(t testing.TB, sock *dgramtest.PacketConn, cfg *Config) *byHand {
	t.Helper()
	a, err := NewAssociation(ClientMode, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = a.Close() })
	require.NoError(t, a.SetPeer(serverAddr, ""))
	return &byHand{t: t, sock: sock, a: a}
}

func (b *byHand) send(datagrams ...[]byte) {
	b.t.Helper()
	for _, datagram := range datagrams {
		_, err := b.sock.WriteTo(datagram, net.UDPAddrFromAddrPort(serverAddr))
		require.NoError(b.t, err)
	}
}

// next waits for a datagram.
func (b *byHand) next() []byte {
	b.t.Helper()
	require.NoError(b.t, b.sock.SetReadDeadline(time.Now().Add(patience)))
	buf := make([]byte, 1<<16)
	n, _, err := b.sock.ReadFrom(buf)
	require.NoError(b.t, err)
	return buf[:n]
}

// hello returns the ClientHello with the cookie that the server has given.
func (b *byHand) hello() []byte {
	b.t.Helper()
	require.NoError(b.t, b.a.DoHandshake(&b.out, nil))
	b.send(b.out.Take()...)
	return b.flight()[0]
}

// flight listens until there is something to say, and returns that.
func (b *byHand) flight() [][]byte {
	b.t.Helper()
	for {
		require.NoError(b.t, b.a.DoHandshake(&b.out, b.next()))
		if flight := b.out.Take(); len(flight) > 0 {
			return flight
		}
	}
}

// repeated returns the last flight once more, when it is time.
func (b *byHand) repeated() [][]byte {
	b.t.Helper()
	for {
		due, running := b.a.NextTimeout()
		require.True(b.t, running)
		<-time.After(time.Until(due))
		_, err := b.a.HandleTimeout(&b.out)
		require.NoError(b.t, err)
		if flight := b.out.Take(); len(flight) > 0 {
			return flight
		}
	}
}

// complete listens until the handshake is complete.
func (b *byHand) complete() {
	b.t.Helper()
	for b.a.HandshakeState() != HandshakeComplete {
		require.NoError(b.t, b.a.DoHandshake(&b.out, b.next()))
		b.send(b.out.Take()...)
	}
}

// shake makes the handshake.
func (b *byHand) shake() *byHand {
	b.t.Helper()
	b.send(b.hello())
	b.complete()
	return b
}

// lose receives the server's last flight and does not look at it.
func (b *byHand) lose() {
	b.t.Helper()
	for !holds(b.next(), typeHandshake, 1) {
	}
}

// data returns a text as a record.
func (b *byHand) data(text string) []byte {
	b.t.Helper()
	_, err := b.a.WriteDatagramEncrypted(&b.out, []byte(text))
	require.NoError(b.t, err)
	return b.out.Take()[0]
}

// bye returns a close_notify.
func (b *byHand) bye() []byte {
	b.t.Helper()
	require.NoError(b.t, b.a.Shutdown(&b.out))
	return b.out.Take()[0]
}

// expect waits for a datagram with the text.
func (b *byHand) expect(text string) {
	b.t.Helper()
	for {
		got, err := b.a.DecryptDatagram(&b.out, b.next())
		require.NoError(b.t, err)
		if len(got) > 0 {
			require.Equal(b.t, text, string(got[0]))
			return
		}
	}
}

// awaitRecord waits for a datagram with a record of the type and the epoch.
func (b *byHand) awaitRecord(contentType byte, epoch uint16) {
	b.t.Helper()
	for !holds(b.next(), contentType, epoch) {
	}
}

// awaitFlight waits for the end of the server's first flight, and looks at none of it.
func (b *byHand) awaitFlight() {
	b.t.Helper()
	const serverHelloDone = 14
	for {
		for datagram := b.next(); ; datagram = datagram[recordHeader+int(datagram[11])<<8+int(datagram[12]):] {
			contentType, epoch, ok := record(datagram)
			if !ok {
				break
			}
			if contentType == typeHandshake && epoch == 0 && datagram[recordHeader] == serverHelloDone {
				return
			}
		}
	}
}

// holds says whether one of a datagram's records has the type and the epoch.
func holds(datagram []byte, contentType byte, epoch uint16) bool {
	for {
		typ, e, ok := record(datagram)
		if !ok {
			return false
		}
		if typ == contentType && e == epoch {
			return true
		}
		datagram = datagram[recordHeader+int(datagram[11])<<8+int(datagram[12]):]
	}
}

// together is one datagram with the records of several.
func together(datagrams ...[]byte) []byte { return bytes.Join(datagrams, nil) }

// another is the hello with another random, as if its sender had replayed the cookie.
func another(hello []byte) []byte {
	hello = bytes.Clone(hello)
	hello[recordHeader+messageHeader+2+5] ^= 1
	return hello
}

// forged is a record of the type that no key fits.
func forged(contentType byte, n int) []byte {
	return append([]byte{contentType, 0xfe, 0xfd, 0, 1, 0, 0, 0, 9, byte(n >> 8), byte(n), 0, 48}, make([]byte, 48)...)
}

// accept returns the next connection, which has to come.
func accept(t testing.TB, l *Listener) *Conn {
	t.Helper()
	var c net.Conn
	var err error
	within(t, "accept", func() { c, err = l.Accept() })
	require.NoError(t, err)
	return c.(*Conn)
}

// connected returns a client with its handshake behind it, and its server's side.
func connected(t testing.TB, network *dgramtest.Network, l *Listener, addr netip.AddrPort, cfg *Config) (client, server *Conn) {
	t.Helper()
	client = at(t, network, addr, cfg)
	require.NoError(t, client.HandshakeContext(soon(t)))
	return client, accept(t, l)
}

// vanish ends a client that its server hears nothing of.
func vanish(c *Conn) {
	_ = c.sock.Close()
	<-c.ended
}

// expectEnd reads the end of a connection.
func expectEnd(t testing.TB, c *Conn, end error) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	_, err := c.Read(make([]byte, 10))
	require.ErrorIs(t, err, end)
}

func netUDP(addr netip.AddrPort) net.Addr { return net.UDPAddrFromAddrPort(addr) }
