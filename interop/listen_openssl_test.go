//go:build interop

package interop

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const listenName = "our Listen"

// TestListenOpenSSL has openssl s_client speak to our Listen.
func TestListenOpenSSL(t *testing.T) {
	p := newPKI(t)
	for _, s := range append(append(scenarios, withALPN), withoutCookies...) {
		check(t, s.opensslName(sClientName), listenName, s.what, func(r *row) {
			l := open(r, s.loopback(), s.listenConfig(r, p))
			c, client := s.acceptSClient(l, p)
			converse(c, client)
			s.requireFits(c)
			client.say("Q")
			c.expectClose()
			require.Zero(r, client.exit())
			l.requireCounts(1, 0)
		})
	}
	check(t, sClientName, listenName, "we close", func(r *row) {
		l := open(r, ecdsaOnly.loopback(), ecdsaOnly.listenConfig(r, p))
		c, client := ecdsaOnly.acceptSClient(l, p)
		converse(c, client)
		c.shutdown(true)
		client.await(`^closed$`)
		require.Zero(r, client.exit())
	})
	check(t, sClientName, listenName, "the listener closes", func(r *row) {
		l := open(r, ecdsaOnly.loopback(), ecdsaOnly.listenConfig(r, p))
		c, client := ecdsaOnly.acceptSClient(l, p)
		converse(c, client)
		require.NoError(r, l.Close())
		c.tape.awaitClose(true)
		client.await(`^closed$`)
		require.Zero(r, client.exit())
	})
}

// acceptSClient has s_client come to our listener, and checks what both say of the session.
func (s scenario) acceptSClient(l *service, p *pki, flags ...string) (*connection, *process) {
	l.r.Helper()
	f := l.tap()
	client := sClient(l.r, f.addr(), append(s.sClientFlags(p), flags...)...)
	c := l.accept(f)
	s.agreeWithSClient(c, client, p)
	if !s.psk {
		require.Equal(l.r, "localhost", c.state().ServerName)
	}
	return c, client
}
