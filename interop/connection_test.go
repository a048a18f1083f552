//go:build interop

package interop

import (
	"io"
	"net"
	"syscall"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

// connection is our side: a connection that Dial or Accept has returned.
type connection struct {
	*dtls.Conn
	r    *row
	us   dtls.Mode
	tape *tape // nil: the peer speaks to our socket itself

	heard <-chan arrival // nil: Read has what the peer says
}

func newConnection(r *row, us dtls.Mode, c *dtls.Conn, t *tape) *connection {
	r.Helper()
	end, _ := r.ctx.Deadline()
	require.NoError(r, c.SetDeadline(end))
	return &connection{Conn: c, r: r, us: us, tape: t}
}

func (c *connection) test() *row                  { return c.r }
func (c *connection) mode() dtls.Mode             { return c.us }
func (c *connection) state() dtls.ConnectionState { return c.ConnectionState() }
func (c *connection) record() *tape               { return c.tape }
func (c *connection) fill() int                   { return min(c.MaxDatagramSize(), large) }

func (c *connection) send(payload string) {
	c.r.Helper()
	n, err := c.Write([]byte(payload))
	require.NoError(c.r, err)
	require.Equal(c.r, len(payload), n)
}

func (c *connection) expect(payload string) {
	c.r.Helper()
	require.Equal(c.r, payload, c.receive())
}

// receive returns the next payload from the peer.
func (c *connection) receive() string {
	c.r.Helper()
	if c.heard != nil {
		return next(c.r, c.heard, "a datagram").text
	}
	buf := make([]byte, 1<<16)
	n, err := c.Read(buf)
	require.NoError(c.r, err)
	return string(buf[:n])
}

// expectClose receives the peer's close_notify, which is answered by ours.
func (c *connection) expectClose() {
	c.r.Helper()
	_, err := c.Read(make([]byte, 1))
	require.Equal(c.r, io.EOF, err)
	_, err = c.Write([]byte("too late"))
	require.ErrorIs(c.r, err, dtls.ErrRemoteClosedConnection)
	require.ErrorIs(c.r, err, syscall.EPIPE)
	if c.tape != nil {
		c.tape.awaitClose(true)
	}
	require.NoError(c.r, c.Close())
}

// shutdown sends close_notify; answered says whether the peer answers it.
func (c *connection) shutdown(answered bool) {
	c.r.Helper()
	require.NoError(c.r, c.Close())
	if c.heard == nil {
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(c.r, err, net.ErrClosed)
	}
	c.tape.awaitClose(true)
	if answered {
		c.tape.awaitClose(false)
	}
}

// requireAlertError checks that a handshake has ended by an alert, with RFC 5246's name for
// it: one that has come from the peer, or one that was sent to it.
func requireAlertError(r *row, err error, name string, received bool) {
	r.Helper()
	var alert *dtls.AlertError
	require.ErrorAs(r, err, &alert)
	require.Equal(r, name, alert.Number.String(), "%v", err)
	require.Equal(r, received, alert.Received, "whether it was received: %v", err)
}

// requireRefusal checks that a handshake has ended because of what our side has against
// the peer's certificate, and that the peer was sent an alert.
func requireRefusal(r *row, err error, code int, alert string) {
	r.Helper()
	require.ErrorIs(r, err, dtls.ErrPeerVerification)
	var objection dtls.VerificationError
	require.ErrorAs(r, err, &objection)
	require.Equal(r, code, objection.Code, "%v", err)
	requireAlertError(r, err, alert, false)
}
