//go:build interop

package interop

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

// TestSeveral has clients come to one listener of ours, who are all there before one of
// them gets an answer.
func TestSeveral(t *testing.T) {
	p := newPKI(t)
	check(t, "openssl s_client and Qt", listenName, "six clients at once", func(r *row) {
		l := open(r, clientToo.loopback(), clientToo.listenConfig(r, p))
		all := newCrowd(l, p)
		conns := make([]*connection, all.size())
		for i := range conns {
			conns[i] = l.accept(nil)
		}
		require.Equal(r, all.size(), l.Stats().Open)
		all.speak()
		for _, c := range conns {
			c.send("you are " + c.receive())
		}
		all.leave()
		for _, c := range conns {
			c.expectClose()
		}
		l.requireCounts(all.size(), 0)
	})
	check(t, "openssl s_client and Qt", serveName, "six clients at once", func(r *row) {
		s := serve(open(r, clientToo.loopback(), clientToo.listenConfig(r, p)))
		all := newCrowd(s.service, p)
		for range all.size() {
			next(r, s.opened, "a connection")
		}
		require.Equal(r, all.size(), s.Stats().Open)
		all.speak()
		for range all.size() {
			question := next(r, s.heard, "a datagram")
			newConnection(r, dtls.ServerMode, question.c, nil).send("you are " + question.text)
		}
		all.leave()
		for range all.size() {
			require.Equal(r, io.EOF, next(r, s.closed, "the end of a connection").err)
		}
		s.requireCounts(all.size(), 0)
	})
}

// crowd is three clients of each kind. Each says its name.
type crowd struct{ openssl, qt []*process }

func newCrowd(l *service, p *pki) (c crowd) {
	l.r.Helper()
	for i := range 3 {
		c.openssl = append(c.openssl, sClient(l.r, l.addr(), clientToo.sClientFlags(p)...))
		c.qt = append(c.qt, qtClient(l.r, l.addr(), append(clientToo.qtClientFlags(p), "--message", qtName(i))...))
	}
	return c
}

func opensslName(i int) string { return fmt.Sprint("s_client ", i) }
func qtName(i int) string      { return fmt.Sprint("QDtls ", i) }

func (c crowd) size() int { return len(c.openssl) + len(c.qt) }

// speak has the s_clients say their names. Those of Qt do so by themselves.
func (c crowd) speak() {
	for i, client := range c.openssl {
		client.say(opensslName(i))
	}
}

// leave has them go, once each has been told its own name.
func (c crowd) leave() {
	for i, client := range c.openssl {
		client.r.Helper()
		client.await(`^you are ` + opensslName(i) + `$`)
		client.say("Q")
		require.Zero(client.r, client.exit())
	}
	for i, client := range c.qt {
		awaitMessage(client, "you are "+qtName(i))
		require.Zero(client.r, client.exit())
	}
}
