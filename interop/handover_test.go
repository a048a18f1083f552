//go:build interop

package interop

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/verifier"
)

// TestHandover has one side make the cookie and the other accept it: a Go server and
// a Qt server that share a secret behind one address.
func TestHandover(t *testing.T) {
	p := newPKI(t)
	check(t, qtServerName, "our verifier", "our cookie for our client, sha256", func(r *row) {
		l, server, f := ourCookie(r, p, "SHA256", "sha256")
		e := connect(r, f.addr(), ecdsaOnly.clientConfig(r, p))
		require.NoError(r, e.DoHandshake(e.wire, nil))
		l.refuses(f.peer())
		require.NoError(r, e.handshake())
		converseWithServer(e, server, f.peer())
		e.shutdown(false)
		requireTakenOver(server, f.peer())
	})
	check(t, qtServerName, "our verifier", "our cookie for s_client, sha1", func(r *row) {
		l, server, f := ourCookie(r, p, "SHA1", "sha1")
		client := sClient(r, f.addr(), ecdsaOnly.sClientFlags(p)...)
		l.refuses(f.peer())
		client.say("from s_client")
		awaitMessage(server, "from s_client\n")
		client.await(`^to ` + f.peer().String() + `: ACK…`)
		client.say("Q")
		requireTakenOver(server, f.peer())
		require.Zero(r, client.exit())
	})
	check(t, qtVerifierName, "our server", "Qt's cookie for s_client, sha256", func(r *row) {
		l, server, f := qtCookie(r, p, "SHA256", "sha256", cookieSecret)
		client := sClient(r, f.addr(), ecdsaOnly.sClientFlags(p)...)
		takesOver(l, server, f, client)
	})
	check(t, qtVerifierName, "our server", "Qt's cookie for Qt's client, sha512", func(r *row) {
		l, server, f := qtCookie(r, p, "SHA512", "sha512", cookieSecret)
		client := qtClient(r, f.addr(), ecdsaOnly.qtTalkFlags(p)...)
		e := l.acceptComplete()
		require.Equal(r, 1, e.strangers, "datagrams before the association")
		awaitHello(server, f.peer(), false)
		converseWithClient(e, client)
		e.expectClose()
		require.Zero(r, client.exit())
	})
}

// TestRotation has our verifier change its secret between the Qt verifier's cookie and
// the client's return with it.
func TestRotation(t *testing.T) {
	p := newPKI(t)
	old := []byte("the secret before")
	rotate := func(l *listener, secret string) {
		l.r.Helper()
		require.NoError(l.r, l.SetCookieGeneratorParameters(verifier.GeneratorParameters{Secret: []byte(secret)}))
	}
	check(t, qtVerifierName, "our server", "Qt's cookie after a new secret", func(r *row) {
		l, server, f := qtCookie(r, p, "SHA256", "sha256", old)
		rotate(l, "the secret now")
		client := sClient(r, f.addr(), ecdsaOnly.sClientFlags(p)...)
		takesOver(l, server, f, client)
	})
	check(t, qtVerifierName, "our server", "Qt's cookie after two new secrets", func(r *row) {
		l, server, f := qtCookie(r, p, "SHA256", "sha256", old)
		rotate(l, "the secret between")
		rotate(l, "the secret now")
		client := sClient(r, f.addr(), ecdsaOnly.sClientFlags(p)...)
		awaitHello(server, f.peer(), false)
		l.refuses(f.peer())
		require.Equal(r, 1, l.wire.handshake(true, helloVerifyRequest), "the client is asked anew")
		client.never(`^SSL_connect:.* read server hello$`)
	})
}

// ourCookie returns our verifier, a Qt server with the same secret, and a front that
// has the first make the cookie for the second.
func ourCookie(r *row, p *pki, hash, qtHash string) (*listener, *process, *front) {
	r.Helper()
	l := listen(r, ecdsaOnly.loopback(), ecdsaOnly.serverConfig(r, p))
	require.NoError(r, l.SetCookieGeneratorParameters(verifier.GeneratorParameters{Hash: hash, Secret: cookieSecret}))
	server, addr := qtServer(r, ecdsaOnly.loopback(), append(ecdsaOnly.qtServerFlags(p), qtCookieFlags(qtHash, cookieSecret)...)...)
	return l, server, newFront(r, l.wire.addr(), addr)
}

// qtCookie returns our verifier, a Qt server with the same secret, and a front that
// has the second make the cookie for the first.
func qtCookie(r *row, p *pki, hash, qtHash string, secret []byte) (*listener, *process, *front) {
	r.Helper()
	l := listen(r, ecdsaOnly.loopback(), ecdsaOnly.serverConfig(r, p))
	require.NoError(r, l.SetCookieGeneratorParameters(verifier.GeneratorParameters{Hash: hash, Secret: secret}))
	server, addr := qtServer(r, ecdsaOnly.loopback(), append(ecdsaOnly.qtServerFlags(p), qtCookieFlags(qtHash, secret)...)...)
	return l, server, newFront(r, addr, l.wire.addr())
}

func qtCookieFlags(hash string, secret []byte) []string {
	return []string{"--hash", hash, "--secret", hex.EncodeToString(secret)}
}

// refuses reads a hello, which our verifier has to answer.
func (l *listener) refuses(peer netip.AddrPort) {
	l.r.Helper()
	_, from, verified := l.stranger()
	require.Equal(l.r, peer, from)
	require.False(l.r, verified)
}

// takesOver completes the handshake of an s_client that comes to our server with the
// cookie of the Qt server.
func takesOver(l *listener, server *process, f *front, client *process) {
	r := l.r
	r.Helper()
	e := l.acceptComplete()
	require.Equal(r, 1, e.strangers, "datagrams before the association")
	require.Zero(r, e.wire.handshake(true, helloVerifyRequest), "HelloVerifyRequests of ours")
	awaitHello(server, f.peer(), false)
	converse(e, client)
	client.say("Q")
	e.expectClose()
	require.Zero(r, client.exit())
}

// requireTakenOver checks that the Qt server has accepted a peer at its first word,
// and the end of its connection.
func requireTakenOver(server *process, peer netip.AddrPort) {
	r := server.r
	r.Helper()
	awaitHello(server, peer, true)
	server.await(`^CONNECTED peer=` + peer.String() + ` `)
	require.Zero(r, server.exit())
	server.never(`verified=false`)
	server.never(qtErrors)
}
