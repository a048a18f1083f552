//go:build interop

package interop

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestListenQt has a client of Qt's QDtls speak to our Listen.
func TestListenQt(t *testing.T) {
	p := newPKI(t)
	for _, s := range append(scenarios, withoutCookies...) {
		check(t, qtClientName, listenName, s.what, func(r *row) {
			l := open(r, s.loopback(), s.listenConfig(r, p))
			c, client := s.acceptQt(l, p)
			converseWithClient(c, client)
			s.requireFits(c)
			c.expectClose()
			require.Zero(r, client.exit())
			client.never(qtErrors)
			l.requireCounts(1, 0)
		})
	}
	check(t, qtClientName, listenName, "we close", func(r *row) {
		l := open(r, ecdsaOnly.loopback(), ecdsaOnly.listenConfig(r, p))
		c, client := ecdsaOnly.acceptQt(l, p)
		c.expect(qtMessage)
		c.shutdown(false)
		client.await(`^CLOSED peer=\S+$`)
		require.NotZero(r, client.exit(), "it has not got its answers")
	})
}

// acceptQt has the Qt client come to our listener, and checks what both say of the session.
func (s scenario) acceptQt(l *service, p *pki) (*connection, *process) {
	l.r.Helper()
	f := l.tap()
	client := qtClient(l.r, f.addr(), s.qtTalkFlags(p)...)
	c := l.accept(f)
	s.agreeWithQtClient(c, client, p)
	return c, client
}
