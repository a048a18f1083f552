//go:build interop

package interop

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const sServerName = "openssl s_server -dtls1_2"

// sServerKinds are the two ways in which s_server meets a client: with the cookie
// exchange inside its handshake, and with DTLSv1_listen before it.
var sServerKinds = []struct {
	name  string
	flags []string
}{
	{sServerName, nil},
	{sServerName + " -listen", []string{"-listen"}},
}

// sServerCloses is for the end by the server: told to quit, s_server closes its socket
// before it sends close_notify, but for DTLS 1.0.
var sServerCloses = scenario{what: "the server closes, DTLS 1.0", suite: ecdsaAES128SHA, insecure: true, dtls10: true, cookie: true}

// TestClientOpenSSL has our client speak to openssl s_server.
func TestClientOpenSSL(t *testing.T) {
	p := newPKI(t)
	for _, kind := range sServerKinds {
		for _, s := range append(scenarios, withALPN) {
			check(t, s.opensslName(kind.name), "our client", s.what, func(r *row) {
				e, server := s.clientToOpenSSL(r, p, kind.flags...)
				converse(e, server)
				s.requireFits(e)
				e.shutdown(true)
				server.await(`^CONNECTION CLOSED$`)
				require.Zero(r, server.exit())
			})
		}
		check(t, sServerCloses.opensslName(kind.name), "our client", sServerCloses.what, func(r *row) {
			e, server := sServerCloses.clientToOpenSSL(r, p, kind.flags...)
			converse(e, server)
			server.say("q")
			e.expectClose()
			require.Zero(r, server.exit())
		})
	}
}

// clientToOpenSSL completes a handshake with s_server and checks what both say of it.
func (s scenario) clientToOpenSSL(r *row, p *pki, flags ...string) (*endpoint, *process) {
	r.Helper()
	server, addr := sServer(r, s.loopback(), append(s.sServerFlags(p), flags...)...)
	e := connect(r, addr, s.clientConfig(r, p))
	s.handshakeWithSServer(e, server, p)
	return e, server
}

func (s scenario) handshakeWithSServer(e *endpoint, server *process, p *pki) {
	e.r.Helper()
	e.SetMTUHint(s.mtu)
	require.NoError(e.r, e.handshake())
	s.agreeWithSServer(e, server, p)
}

// agreeWithSServer checks what our side and s_server say of the session.
func (s scenario) agreeWithSServer(e side, server *process, p *pki) {
	server.r.Helper()
	version, suite := sServerSession(server)
	s.requireAgreed(e, p, version, suite)
	if s.alpn {
		server.await(`^ALPN protocols selected: ` + agreedProto + `$`)
	}
	if s.client {
		server.await(`^subject=CN ?= ?` + s.clientIdentity(p).Leaf.Subject.CommonName + `$`)
	}
}
