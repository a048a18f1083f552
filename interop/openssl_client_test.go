//go:build interop

package interop

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

const sClientName = "openssl s_client -dtls1_2"

// TestServerOpenSSL has openssl s_client speak to our server.
func TestServerOpenSSL(t *testing.T) {
	p := newPKI(t)
	for _, s := range append(append(scenarios, withALPN), withoutCookies...) {
		check(t, s.opensslName(sClientName), "our server", s.what, func(r *row) {
			e, client := s.serverToOpenSSL(r, p, s.serverConfig(r, p))
			converse(e, client)
			s.requireFits(e)
			client.say("Q")
			e.expectClose()
			require.Zero(r, client.exit())
		})
	}
	check(t, sClientName, "our server", "we close", func(r *row) {
		e, client := ecdsaOnly.serverToOpenSSL(r, p, ecdsaOnly.serverConfig(r, p))
		converse(e, client)
		e.shutdown(true)
		client.await(`^closed$`)
		require.Zero(r, client.exit())
	})
}

// serverToOpenSSL completes a handshake with s_client and checks what both say of it.
func (s scenario) serverToOpenSSL(r *row, p *pki, cfg *dtls.Config, flags ...string) (*endpoint, *process) {
	r.Helper()
	l := listen(r, s.loopback(), cfg)
	l.mtu = s.mtu
	client := sClient(r, l.wire.addr(), append(s.sClientFlags(p), flags...)...)
	e := l.acceptComplete()
	s.requireStateless(e)
	s.agreeWithSClient(e, client, p)
	return e, client
}

// agreeWithSClient checks what our side and s_client say of the session.
func (s scenario) agreeWithSClient(e side, client *process, p *pki) {
	client.r.Helper()
	version, suite := sClientSession(client)
	s.requireAgreed(e, p, version, suite)
	client.await(`^SSL_connect:.* read finished$`)
	if s.psk {
		client.await(`^ *PSK identity hint: ` + pskHint + `$`)
	} else {
		client.await(`^ *Verify return code: 0 \(ok\)$`)
	}
	if s.alpn {
		client.await(`^ALPN protocol: ` + agreedProto + `$`)
	}
}
