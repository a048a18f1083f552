//go:build interop

package interop

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

// The Qt peer's exit codes, and the number of its QDtlsError::TlsFatalError.
const (
	qtFailed     = 1
	qtUnverified = 4
	qtFatal      = `^ERROR code=7 `
)

// TestClientQtRefusals has our client and a server of QDtls disagree.
func TestClientQtRefusals(t *testing.T) {
	p := newPKI(t)
	refusal := func(what string, f func(r *row)) { check(t, qtServerName, "our client", what, f) }

	refusal("untrusted server: we send unknown_ca", func(r *row) {
		server, addr := qtServer(r, ecdsaOnly.loopback(), ecdsaOnly.qtServerFlags(p)...)
		e := connect(r, addr, trusting(ecdsaOnly.clientConfig(r, p), p.stranger))
		requireObjection(e, clientFails(e), unknownIssuer)
		server.await(qtFatal)
		require.Equal(r, qtFailed, server.exit())
		server.never(`^CONNECTED`)
	})
	// QDtls looks at certificates after the handshake, and then sends no alert.
	refusal("untrusted client: QDtls objects", func(r *row) {
		server, addr := qtServer(r, clientToo.loopback(), clientToo.qtServerFlags(p)...)
		e := connect(r, addr, showing(clientToo.clientConfig(r, p), p.foreign.Certificate))
		require.NoError(r, e.handshake())
		require.Equal(r, qtUnverified, server.exit())
		awaitVerifyError(server, "issuer")
		server.never(`^CONNECTED`)
	})
	refusal("wrong psk: no session", func(r *row) {
		server, addr := qtServer(r, pskOnly.loopback(), pskOnly.qtServerFlags(p)...)
		cfg := pskOnly.clientConfig(r, p)
		haveWrongKey(cfg)
		e := connect(r, addr, cfg)
		requireExpired(e, clientFails(e))
		server.never(`^CONNECTED`)
	})
}

// TestServerQtRefusals has a client of QDtls and our server disagree.
func TestServerQtRefusals(t *testing.T) {
	p := newPKI(t)
	refusal := func(what string, f func(r *row)) { check(t, qtClientName, "our server", what, f) }

	refusal("untrusted server: QDtls objects", func(r *row) {
		l := listen(r, ecdsaOnly.loopback(), ecdsaOnly.serverConfig(r, p))
		client := qtClient(r, l.wire.addr(), append(ecdsaOnly.qtClientFlags(p), "--ca", p.stranger.file)...)
		l.acceptComplete()
		require.Equal(r, qtUnverified, client.exit())
		awaitVerifyError(client, "issuer")
		client.never(`^CONNECTED`)
	})
	refusal("no client certificate: we send handshake_failure", func(r *row) {
		l := listen(r, clientToo.loopback(), clientToo.serverConfig(r, p))
		client := qtClient(r, l.wire.addr(), ecdsaOnly.qtClientFlags(p)...)
		e, err := serverFails(l)
		requireObjection(e, err, dtls.NoPeerCertificate)
		client.await(qtFatal)
		require.Equal(r, qtFailed, client.exit())
		client.never(`^CONNECTED`)
	})
	refusal("untrusted client: we send unknown_ca", func(r *row) {
		l := listen(r, clientToo.loopback(), clientToo.serverConfig(r, p))
		client := qtClient(r, l.wire.addr(), append(ecdsaOnly.qtClientFlags(p), qtShowFlags(p.foreign)...)...)
		e, err := serverFails(l)
		requireObjection(e, err, unknownIssuer)
		client.await(qtFatal)
		require.Equal(r, qtFailed, client.exit())
		client.never(`^CONNECTED`)
	})
	refusal("wrong psk: we give up and say so", func(r *row) {
		cfg := pskOnly.serverConfig(r, p)
		haveWrongKey(cfg)
		l := listen(r, pskOnly.loopback(), cfg)
		client := qtClient(r, l.wire.addr(), pskOnly.qtClientFlags(p)...)
		e, err := serverFails(l)
		requireExpired(e, err)
		client.await(qtFatal)
		require.Equal(r, qtFailed, client.exit())
		client.never(`^CONNECTED`)
	})
}
