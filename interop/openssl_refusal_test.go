//go:build interop

package interop

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

// awaitAlert waits until s_server or s_client says that a fatal alert has arrived.
func awaitAlert(p *process, name string) {
	p.r.Helper()
	p.await(`^SSL3 alert read:fatal:` + name + `$`)
}

// TestClientOpenSSLRefusals has our client and openssl s_server disagree.
func TestClientOpenSSLRefusals(t *testing.T) {
	p := newPKI(t)
	refusal := func(what string, f func(r *row)) { check(t, sServerName, "our client", what, f) }
	noSession := func(server *process) {
		server.r.Helper()
		server.never(`^CIPHER is`)
	}

	refusal("untrusted server: we send unknown_ca", func(r *row) {
		server, addr := sServer(r, ecdsaOnly.loopback(), ecdsaOnly.sServerFlags(p)...)
		e := connect(r, addr, trusting(ecdsaOnly.clientConfig(r, p), p.stranger))
		requireObjection(e, clientFails(e), unknownIssuer)
		awaitAlert(server, "unknown CA")
		noSession(server)
	})
	refusal("untrusted server: ignored and resumed", func(r *row) {
		server, addr := sServer(r, ecdsaOnly.loopback(), ecdsaOnly.sServerFlags(p)...)
		e := connect(r, addr, trusting(ecdsaOnly.clientConfig(r, p), p.stranger))
		require.ErrorIs(r, clientFails(e), dtls.ErrPeerVerification)
		e.IgnoreVerificationErrors(e.PeerVerificationErrors()...)
		require.NoError(r, e.ResumeHandshake(e.wire))
		require.NoError(r, e.handshake())
		converse(e, server)
		e.shutdown(true)
	})
	refusal("another server's name: we send bad_certificate", func(r *row) {
		server, addr := sServer(r, ecdsaOnly.loopback(), ecdsaOnly.sServerFlags(p)...)
		e := connect(r, addr, ecdsaOnly.clientConfig(r, p))
		require.NoError(r, e.SetPeerVerificationName("elsewhere.example"))
		requireObjection(e, clientFails(e), wrongName)
		awaitAlert(server, "bad certificate")
		noSession(server)
	})
	refusal("no client certificate: alert handshake failure", func(r *row) {
		server, addr := sServer(r, clientToo.loopback(), clientToo.sServerFlags(p)...)
		e := connect(r, addr, showing(clientToo.clientConfig(r, p)))
		requireAlert(e, clientFails(e), "handshake failure")
		noSession(server)
	})
	refusal("untrusted client: alert unknown ca", func(r *row) {
		server, addr := sServer(r, clientToo.loopback(), clientToo.sServerFlags(p)...)
		e := connect(r, addr, showing(clientToo.clientConfig(r, p), p.foreign.Certificate))
		requireAlert(e, clientFails(e), "unknown ca")
		noSession(server)
	})
	refusal("no shared cipher: alert handshake failure", func(r *row) {
		server, addr := sServer(r, ecdsaOnly.loopback(), ecdsaOnly.sServerFlags(p)...)
		cfg := ecdsaOnly.clientConfig(r, p)
		cfg.CipherList = "ECDHE-ECDSA-AES256-GCM-SHA384"
		e := connect(r, addr, cfg)
		requireAlert(e, clientFails(e), "handshake failure")
		noSession(server)
	})
	refusal("wrong psk: no session", func(r *row) {
		server, addr := sServer(r, pskOnly.loopback(), pskOnly.sServerFlags(p)...)
		cfg := pskOnly.clientConfig(r, p)
		haveWrongKey(cfg)
		e := connect(r, addr, cfg)
		requireExpired(e, clientFails(e))
		noSession(server)
	})
}

// sClientFails checks that an s_client has not got through its handshake.
func sClientFails(client *process) {
	client.r.Helper()
	require.NotZero(client.r, client.exit())
	client.never(`^SSL_connect:.* read finished$`)
}

// TestServerOpenSSLRefusals has openssl s_client and our server disagree.
func TestServerOpenSSLRefusals(t *testing.T) {
	p := newPKI(t)
	refusal := func(what string, f func(r *row)) { check(t, sClientName, "our server", what, f) }

	refusal("untrusted server: alert unknown ca", func(r *row) {
		l := listen(r, ecdsaOnly.loopback(), ecdsaOnly.serverConfig(r, p))
		client := sClient(r, l.wire.addr(), append(ecdsaOnly.sClientFlags(p), "-CAfile", p.stranger.file)...)
		e, err := serverFails(l)
		requireAlert(e, err, "unknown ca")
		sClientFails(client)
	})
	refusal("no client certificate: we send handshake_failure", func(r *row) {
		l := listen(r, clientToo.loopback(), clientToo.serverConfig(r, p))
		client := sClient(r, l.wire.addr(), ecdsaOnly.sClientFlags(p)...)
		e, err := serverFails(l)
		requireObjection(e, err, dtls.NoPeerCertificate)
		awaitAlert(client, "handshake failure")
		sClientFails(client)
	})
	refusal("untrusted client: we send unknown_ca", func(r *row) {
		l := listen(r, clientToo.loopback(), clientToo.serverConfig(r, p))
		client := sClient(r, l.wire.addr(), append(ecdsaOnly.sClientFlags(p), showFlags(p.foreign)...)...)
		e, err := serverFails(l)
		requireObjection(e, err, unknownIssuer)
		awaitAlert(client, "unknown CA")
		sClientFails(client)
	})
	refusal("no shared protocol: we send no_application_protocol", func(r *row) {
		l := listen(r, withALPN.loopback(), withALPN.serverConfig(r, p))
		client := sClient(r, l.wire.addr(), append(ecdsaOnly.sClientFlags(p), "-alpn", "other")...)
		_, err := serverFails(l)
		require.ErrorIs(r, err, dtls.ErrTLSFatal)
		awaitAlert(client, "no application protocol")
		sClientFails(client)
	})
	refusal("unknown psk identity: we send unknown_psk_identity", func(r *row) {
		refused := errors.New("nobody of that name")
		cfg := pskOnly.serverConfig(r, p)
		cfg.PSK = func(psk *dtls.PSK) error {
			assert.Equal(r, "device 18", string(psk.Identity))
			return refused
		}
		l := listen(r, pskOnly.loopback(), cfg)
		client := sClient(r, l.wire.addr(), append(pskOnly.sClientFlags(p), "-psk_identity", "device 18")...)
		_, err := serverFails(l)
		require.ErrorIs(r, err, dtls.ErrTLSFatal)
		require.ErrorIs(r, err, refused)
		awaitAlert(client, "unknown PSK identity")
		sClientFails(client)
	})
	refusal("wrong psk: we give up and say so", func(r *row) {
		cfg := pskOnly.serverConfig(r, p)
		haveWrongKey(cfg)
		l := listen(r, pskOnly.loopback(), cfg)
		client := sClient(r, l.wire.addr(), pskOnly.sClientFlags(p)...)
		e, err := serverFails(l)
		requireExpired(e, err)
		awaitAlert(client, "user canceled")
		sClientFails(client)
	})
}
