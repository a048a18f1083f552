package examples

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

// returning is a client that may start anew on the same socket.
type returning struct {
	t      *testing.T
	sock   *net.UDPConn
	server netip.AddrPort
	buf    []byte
}

// associate returns a new association of the client, not yet started.
func (r *returning) associate() *dtls.Association {
	r.t.Helper()
	a, err := dtls.NewAssociation(dtls.ClientMode, &dtls.Config{RetransmissionTimeout: 100 * time.Millisecond, PSK: func(psk *dtls.PSK) error {
		psk.Identity, psk.PreSharedKey = []byte("returning"), []byte{1, 2, 3, 4}
		return nil
	}})
	require.NoError(r.t, err)
	r.t.Cleanup(func() { a.Close() })
	require.NoError(r.t, a.SetPeer(r.server, ""))
	return a
}

func (r *returning) receive() []byte {
	r.t.Helper()
	require.NoError(r.t, r.sock.SetReadDeadline(time.Now().Add(limit)))
	n, err := r.sock.Read(r.buf)
	require.NoError(r.t, err)
	return bytes.Clone(r.buf[:n])
}

func (r *returning) shake(a *dtls.Association) {
	r.t.Helper()
	require.NoError(r.t, a.DoHandshake(r.sock, nil))
	for !a.IsConnectionEncrypted() {
		require.NoError(r.t, a.DoHandshake(r.sock, r.receive()))
	}
}

// ask sends a message and requires the answer.
func (r *returning) ask(a *dtls.Association, message string) {
	r.t.Helper()
	_, err := a.WriteDatagramEncrypted(r.sock, []byte(message))
	require.NoError(r.t, err)
	for {
		got, err := a.DecryptDatagram(r.sock, r.receive())
		require.NoError(r.t, err)
		if len(got) > 0 {
			assert.Contains(r.t, string(got[0]), "ACK")
			return
		}
	}
}

// A client that was restarted on the same address and port is taken back, and a
// ClientHello that proves nothing changes nothing: RFC 6347 §4.2.8.
func TestClientThatStartsAnew(t *testing.T) {
	server, address := startServer(t, "-psk", "01020304", "-identity", "")
	r := &returning{t: t, sock: listen(t), server: netip.MustParseAddrPort(address), buf: make([]byte, 1<<16)}
	first := r.associate()
	r.shake(first)
	r.ask(first, "before")

	// Only the hello, as anybody might send it, and another that is given up half-way.
	stranger := r.associate()
	require.NoError(t, stranger.DoHandshake(r.sock, nil))
	hello := r.receive()
	r.ask(first, "still there")
	require.NoError(t, stranger.DoHandshake(r.sock, hello)) // the cookie is right now
	r.receive()                                             // the server's flight
	r.ask(first, "still there, with the other in mid-handshake")
	require.NoError(t, stranger.AbortHandshake(r.sock))
	server.await("user cancel", "the half-way handshake ends by itself")
	r.ask(first, "still there, afterwards")

	second := r.associate()
	r.shake(second)
	server.await("has started anew", "the client is taken back")
	r.ask(second, "after the restart")
}

// joining is a socket that makes one datagram of what is sent with it.
type joining []byte

func (j *joining) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	*j = append(*j, b...)
	return len(b), nil
}

// The server's last flight is lost, and the client, which puts all of its flight into
// one datagram as RFC 6347 §4.2.3 allows, repeats it: the server answers once more,
// though it is complete.
func TestLastFlightIsSentAgain(t *testing.T) {
	_, address := startServer(t, "-psk", "01020304", "-identity", "")
	r := &returning{t: t, sock: listen(t), server: netip.MustParseAddrPort(address), buf: make([]byte, 1<<16)}
	a := r.associate()
	require.NoError(t, a.DoHandshake(r.sock, nil))
	require.NoError(t, a.DoHandshake(r.sock, r.receive())) // the cookie
	var flight joining
	for len(flight) == 0 {
		require.NoError(t, a.DoHandshake(&flight, r.receive()))
	}
	_, err := r.sock.WriteToUDPAddrPort(flight, r.server)
	require.NoError(t, err)
	r.receive() // lost
	flight = nil
	for len(flight) == 0 {
		due, running := a.NextTimeout()
		require.True(t, running)
		require.NoError(t, r.sock.SetReadDeadline(due))
		_, err = r.sock.Read(r.buf)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		_, err = a.HandleTimeout(&flight)
		require.NoError(t, err)
	}
	_, err = r.sock.WriteToUDPAddrPort(flight, r.server)
	require.NoError(t, err)
	for !a.IsConnectionEncrypted() {
		require.NoError(t, a.DoHandshake(r.sock, r.receive()))
	}
	r.ask(a, "after all")
}
