//go:build interop

package interop

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	qtClientName = "Qt QDtls client"
	qtMessage    = "one from Qt"
	qtMessages   = 3
)

// TestServerQt has a client of Qt's QDtls speak to our server.
func TestServerQt(t *testing.T) {
	p := newPKI(t)
	for _, s := range append(scenarios, withoutCookies...) {
		check(t, qtClientName, "our server", s.what, func(r *row) {
			e, client := s.serverToQt(r, p)
			converseWithClient(e, client)
			s.requireFits(e)
			e.expectClose()
			require.Zero(r, client.exit())
			client.never(qtErrors)
		})
	}
	check(t, qtClientName, "our server", "we close", func(r *row) {
		e, client := scenarios[1].serverToQt(r, p)
		e.expect(qtMessage)
		e.shutdown(false)
		client.await(`^CLOSED peer=\S+$`)
		require.NotZero(r, client.exit(), "it has not got its answers")
	})
}

// serverToQt completes a handshake with the Qt client and checks what both say of it.
func (s scenario) serverToQt(r *row, p *pki) (*endpoint, *process) {
	r.Helper()
	l := listen(r, s.loopback(), s.serverConfig(r, p))
	l.mtu = s.mtu
	client := qtClient(r, l.wire.addr(), s.qtTalkFlags(p)...)
	e := l.acceptComplete()
	s.requireStateless(e)
	s.agreeWithQtClient(e, client, p)
	return e, client
}

// agreeWithQtClient checks what our side and the Qt client say of the session.
func (s scenario) agreeWithQtClient(e side, client *process, p *pki) {
	client.r.Helper()
	version, suite := qtSession(client)
	s.requireAgreed(e, p, version, suite)
	if s.psk {
		client.await(`^HINT text="` + pskHint + `" `)
	} else {
		awaitCertificate(client, s.serverIdentity(p))
	}
}

// qtTalkFlags are for a Qt client that says something.
func (s scenario) qtTalkFlags(p *pki) []string {
	return append(s.qtClientFlags(p), "--message", qtMessage, "--count", fmt.Sprint(qtMessages))
}

// converseWithClient answers the Qt client's messages, each of which it sends once
// the one before it is answered.
func converseWithClient(e side, client *process) {
	client.r.Helper()
	for i := range qtMessages {
		e.expect(qtMessage)
		answer := fmt.Sprintf("answer %d", i)
		e.send(answer)
		awaitMessage(client, answer)
	}
}
