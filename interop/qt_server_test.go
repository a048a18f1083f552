//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const qtServerName = "Qt QDtls server"

// TestClientQt has our client speak to a server of Qt's QDtls.
func TestClientQt(t *testing.T) {
	p := newPKI(t)
	for _, s := range append(scenarios, withoutCookies...) {
		check(t, qtServerName, "our client", s.what, func(r *row) {
			e, server := s.clientToQt(r, p)
			converseWithServer(e, server, e.wire.addr())
			s.requireFits(e)
			e.shutdown(false) // QDtls does not answer close_notify
			server.await(`^CLOSED peer=\S+$`)
			require.Zero(r, server.exit())
			server.never(qtErrors)
		})
	}
	check(t, qtServerName, "our client", "the server closes", func(r *row) {
		e, server := ecdsaOnly.clientToQt(r, p, qtCloses...)
		converseWithServer(e, server, e.wire.addr())
		e.expectClose()
		require.Zero(r, server.exit())
		server.never(qtErrors)
	})
}

// qtCloses has the Qt server close once converseWithServer has nothing more to say.
var qtCloses = []string{"--messages", "3"}

// clientToQt completes a handshake with the Qt server and checks what both say of it.
func (s scenario) clientToQt(r *row, p *pki, flags ...string) (*endpoint, *process) {
	r.Helper()
	server, addr := qtServer(r, s.loopback(), append(s.qtServerFlags(p), flags...)...)
	e := connect(r, addr, s.clientConfig(r, p))
	e.SetMTUHint(s.mtu)
	require.NoError(r, e.handshake())
	s.agreeWithQtServer(e, server, e.wire.addr(), p)
	return e, server
}

// agreeWithQtServer checks what our side and the Qt server, which sees it at an address,
// say of the session.
func (s scenario) agreeWithQtServer(e side, server *process, us netip.AddrPort, p *pki) {
	server.r.Helper()
	version, suite := qtSession(server)
	s.requireAgreed(e, p, version, suite)
	if s.cookie {
		awaitHello(server, us, false)
		server.await(`^HELLO .* verified=true$`)
	} else {
		server.never(`^HELLO`)
	}
	if s.psk {
		server.await(`^IDENTITY peer=\S+ text="` + pskIdentity + `"$`)
	}
	if s.client {
		awaitCertificate(server, s.clientIdentity(p))
	}
}

// converseWithServer sends messages, which the Qt server acknowledges to the peer that
// it sees: short ones and one that fills a datagram.
func converseWithServer(e side, server *process, peer netip.AddrPort) {
	server.r.Helper()
	for _, text := range []string{"one from us", "two from us", strings.Repeat("x", e.fill())} {
		e.send(text)
		awaitMessage(server, text)
		e.expect(fmt.Sprintf("to %s: ACK", peer))
	}
}
