//go:build interop

package interop

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

// objection is what our Dial can have against a server's certificate.
type objection struct {
	what  string
	code  int
	alert string // that we send, by RFC 5246's name
	heard string // the same by OpenSSL's
	id    func(p *pki) identity
	cfg   func(cfg *dtls.Config, p *pki)
}

var objections = []objection{
	{"untrusted server: we send unknown_ca", unknownIssuer, "unknown_ca", "unknown CA",
		func(p *pki) identity { return p.ecdsa },
		func(cfg *dtls.Config, p *pki) { cfg.RootCAs = p.stranger.pool() }},
	{"another server's name: we send bad_certificate", wrongName, "bad_certificate", "bad certificate",
		func(p *pki) identity { return p.ecdsa },
		func(cfg *dtls.Config, _ *pki) { cfg.ServerName = "elsewhere.example" }},
	{"expired server: we send certificate_expired", hasExpired, "certificate_expired", "certificate expired",
		func(p *pki) identity { return p.expired },
		func(*dtls.Config, *pki) {}},
}

// TestDialOpenSSLRefusals has our Dial and openssl s_server disagree.
func TestDialOpenSSLRefusals(t *testing.T) {
	p := newPKI(t)
	for _, kind := range sServerKinds {
		for _, o := range objections {
			check(t, kind.name, dialName, o.what, func(r *row) {
				server, addr := sServer(r, ecdsaOnly.loopback(), slices.Concat(ecdsaOnly.sServerFlags(p), showFlags(o.id(p)), kind.flags)...)
				cfg := ecdsaOnly.dialConfig(r, p)
				o.cfg(cfg, p)
				requireRefusal(r, ecdsaOnly.dialFails(r, addr, cfg), o.code, o.alert)
				awaitAlert(server, o.heard)
				server.never(`^CIPHER is`)
			})
		}
	}
	refusal := func(what string, s scenario, change func(cfg *dtls.Config), judge func(r *row, err error)) {
		check(t, sServerName, dialName, what, func(r *row) {
			server, addr := sServer(r, s.loopback(), s.sServerFlags(p)...)
			cfg := s.dialConfig(r, p)
			change(cfg)
			judge(r, s.dialFails(r, addr, cfg))
			server.never(`^CIPHER is`)
		})
	}
	heard := func(alert string) func(r *row, err error) {
		return func(r *row, err error) { requireAlertError(r, err, alert, true) }
	}
	refusal("no client certificate: alert handshake_failure", clientToo, func(cfg *dtls.Config) { showing(cfg) }, heard("handshake_failure"))
	refusal("untrusted client: alert unknown_ca", clientToo, func(cfg *dtls.Config) { showing(cfg, p.foreign.Certificate) }, heard("unknown_ca"))
	refusal("expired client: alert certificate_expired", clientToo, func(cfg *dtls.Config) { showing(cfg, p.expired.Certificate) }, heard("certificate_expired"))
	refusal("no shared cipher: alert handshake_failure", ecdsaOnly, func(cfg *dtls.Config) { cfg.CipherList = "ECDHE-ECDSA-AES256-GCM-SHA384" }, heard("handshake_failure"))
	refusal("wrong psk: no session", pskOnly, haveWrongKey, requireTooLong)
}

// TestDialQtRefusals has our Dial and a server of QDtls disagree.
func TestDialQtRefusals(t *testing.T) {
	p := newPKI(t)
	for _, o := range objections {
		check(t, qtServerName, dialName, o.what, func(r *row) {
			server, addr := qtServer(r, ecdsaOnly.loopback(), append(ecdsaOnly.qtServerFlags(p), qtShowFlags(o.id(p))...)...)
			cfg := ecdsaOnly.dialConfig(r, p)
			o.cfg(cfg, p)
			requireRefusal(r, ecdsaOnly.dialFails(r, addr, cfg), o.code, o.alert)
			server.await(qtFatal)
			require.Equal(r, qtFailed, server.exit())
			server.never(`^CONNECTED`)
		})
	}
	// QDtls looks at certificates after the handshake, and then sends no alert.
	check(t, qtServerName, dialName, "untrusted client: QDtls objects", func(r *row) {
		server, addr := qtServer(r, clientToo.loopback(), clientToo.qtServerFlags(p)...)
		clientToo.dial(r, newTap(r, addr, dtls.ClientMode), showing(clientToo.dialConfig(r, p), p.foreign.Certificate))
		require.Equal(r, qtUnverified, server.exit())
		awaitVerifyError(server, "issuer")
		server.never(`^CONNECTED`)
	})
	check(t, qtServerName, dialName, "wrong psk: no session", func(r *row) {
		server, addr := qtServer(r, pskOnly.loopback(), pskOnly.qtServerFlags(p)...)
		cfg := pskOnly.dialConfig(r, p)
		haveWrongKey(cfg)
		requireTooLong(r, pskOnly.dialFails(r, addr, cfg))
		server.never(`^CONNECTED`)
	})
}

// dialFails has us dial a server, which does not end well.
func (s scenario) dialFails(r *row, server netip.AddrPort, cfg *dtls.Config) error {
	r.Helper()
	_, err := s.dialed(r, newTap(r, server, dtls.ClientMode).addr(), cfg)
	require.Error(r, err)
	var operation *net.OpError
	require.ErrorAs(r, err, &operation)
	return err
}
