//go:build interop

package interop

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

const serveName = "our Serve"

// TestServe has clients speak to our Listen by way of its Serve.
func TestServe(t *testing.T) {
	p := newPKI(t)
	check(t, sClientName, serveName, "client certificate", func(r *row) {
		s := serve(open(r, clientToo.loopback(), clientToo.listenConfig(r, p)))
		f := s.tap()
		client := sClient(r, f.addr(), clientToo.sClientFlags(p)...)
		c := s.connection(f)
		clientToo.agreeWithSClient(c, client, p)
		converse(c, client)
		client.say("Q")
		s.expectClosed(c, io.EOF)
		c.tape.awaitClose(true)
		require.Zero(r, client.exit())
	})
	check(t, sClientName, serveName, "we close", func(r *row) {
		s := serve(open(r, clientToo.loopback(), clientToo.listenConfig(r, p)))
		f := s.tap()
		client := sClient(r, f.addr(), clientToo.sClientFlags(p)...)
		c := s.connection(f)
		converse(c, client)
		c.shutdown(true)
		s.expectClosed(c, net.ErrClosed)
		client.await(`^closed$`)
		require.Zero(r, client.exit())
	})
	check(t, qtClientName, serveName, "client certificate", func(r *row) {
		s := serve(open(r, clientToo.loopback(), clientToo.listenConfig(r, p)))
		f := s.tap()
		client := qtClient(r, f.addr(), clientToo.qtTalkFlags(p)...)
		c := s.connection(f)
		clientToo.agreeWithQtClient(c, client, p)
		converseWithClient(c, client)
		s.expectClosed(c, io.EOF)
		c.tape.awaitClose(true)
		require.Zero(r, client.exit())
		client.never(qtErrors)
	})
}

// served is our Listen with a handler, which passes on what it is called for.
type served struct {
	*service
	opened chan *dtls.Conn
	closed chan ending
	heard  chan arrival
}

type ending struct {
	c   *dtls.Conn
	err error
}

type arrival struct {
	c    *dtls.Conn
	text string
}

// serve has our Listen served until the case ends.
func serve(l *service) *served {
	const all = 100 // more than there are in any case: a handler never waits
	s := &served{l, make(chan *dtls.Conn, all), make(chan ending, all), make(chan arrival, all)}
	done := make(chan error, 1)
	go func() {
		done <- l.Serve(dtls.Handler{
			Opened:   func(c *dtls.Conn) { s.opened <- c },
			Datagram: func(c *dtls.Conn, text []byte) { s.heard <- arrival{c, string(text)} },
			Closed:   func(c *dtls.Conn, err error) { s.closed <- ending{c, err} },
		})
	}()
	l.r.Cleanup(func() {
		l.Close()
		assert.ErrorIs(l.r, <-done, net.ErrClosed)
	})
	return s
}

// connection waits for the connection of a tap's client.
func (s *served) connection(f *front) *connection {
	s.r.Helper()
	c := s.admitted(s.opened, f)
	c.heard = s.heard
	return c
}

// expectClosed waits until the handler is told of a connection's end, with the reason.
func (s *served) expectClosed(c *connection, reason error) {
	s.r.Helper()
	require.Equal(s.r, ending{c.Conn, reason}, next(s.r, s.closed, "the end of a connection"))
}
