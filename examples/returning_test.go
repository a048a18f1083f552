package examples

import (
	"bytes"
	"net"
	"net/netip"
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
	a, err := dtls.NewAssociation(dtls.ClientMode, &dtls.Config{PSK: func(psk *dtls.PSK) error {
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
