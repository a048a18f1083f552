package openssl

import (
	"crypto/tls"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
)

// ctxOf builds a context from steps, each of which must succeed.
func ctxOf(t testing.TB, server bool, steps ...func(*CtxBuilder) error) *Ctx {
	t.Helper()
	b, err := NewCtx(server)
	require.NoError(t, err)
	for _, step := range steps {
		require.NoError(t, step(b))
	}
	ctx, err := b.Build()
	require.NoError(t, err)
	t.Cleanup(ctx.Close)
	return ctx
}

func withCertificate(t testing.TB, ca *certtest.CA, leaf certtest.Leaf) func(*CtxBuilder) error {
	t.Helper()
	return withTLSCertificate(t, ca.Issue(t, leaf))
}

func withTLSCertificate(t testing.TB, cert tls.Certificate) func(*CtxBuilder) error {
	t.Helper()
	certPEM, keyPEM := certtest.PEM(t, cert)
	return func(b *CtxBuilder) error {
		certs, err := LoadCertificatesFromPEM(certPEM)
		require.NoError(t, err)
		key, err := LoadPrivateKeyFromPEM(keyPEM)
		require.NoError(t, err)
		defer key.Close()
		defer func() {
			for _, c := range certs {
				c.Close()
			}
		}()
		return b.UseCertificate(certs[0], key, certs[1:]...)
	}
}

func withRoot(t testing.TB, ca *certtest.CA, mode VerifyMode) func(*CtxBuilder) error {
	return func(b *CtxBuilder) error {
		root, err := LoadCertificateFromDER(ca.Cert.Raw)
		require.NoError(t, err)
		defer root.Close()
		b.SetVerify(mode, 0)
		return b.AddRoot(root)
	}
}

func withCiphers(list string) func(*CtxBuilder) error {
	return func(b *CtxBuilder) error { return b.SetCipherList(list) }
}

func sslOf(t testing.TB, ctx *Ctx, psk PSKFunc) *SSL {
	t.Helper()
	s, err := NewSSL(ctx, psk)
	require.NoError(t, err)
	s.SetMTU(1200, 548, 28)
	t.Cleanup(s.Close)
	return s
}

// shake carries every datagram between the two until neither has one to send, and
// returns the first error of each.
func shake(client, server *SSL) (clientErr, serverErr error) {
	var toServer, toClient Datagrams
	_, clientErr = client.DoHandshake(nil, &toServer)
	for toServer.Len()+toClient.Len() > 0 {
		var next Datagrams
		for d := range toServer.All() {
			if serverErr == nil {
				_, serverErr = server.DoHandshake(d, &toClient)
			}
		}
		for d := range toClient.All() {
			if clientErr == nil {
				_, clientErr = client.DoHandshake(d, &next)
			}
		}
		toServer, toClient = next, Datagrams{}
	}
	return clientErr, serverErr
}

// certPair returns two ends that have shaken hands, with a cipher suite of the list.
func certPair(t testing.TB, list string) (client, server *SSL) {
	t.Helper()
	ca := certtest.NewCA(t, "root")
	client = sslOf(t, ctxOf(t, false, withCiphers(list), withRoot(t, ca, VerifyStrict)), nil)
	server = sslOf(t, ctxOf(t, true, withCiphers(list), withCertificate(t, ca, certtest.Leaf{})), nil)
	clientErr, serverErr := shake(client, server)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	require.True(t, client.HandshakeDone())
	require.True(t, server.HandshakeDone())
	return client, server
}
