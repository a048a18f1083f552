package openssl

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
)

func TestVersionNumbers(t *testing.T) {
	compiled, text := CompileVersion()
	assert.Contains(t, text, "OpenSSL")
	running, text := RuntimeVersion()
	assert.Contains(t, text, "OpenSSL")
	assert.GreaterOrEqual(t, compiled, Version(0x10101000), "the floor")
	assert.Equal(t, compiled.Major(), running.Major())
	assert.Equal(t, 3, Version(0x30500070).Major())
	assert.Equal(t, 5, Version(0x30500070).Minor())
	assert.Equal(t, 1, Version(0x1010117f).Major())
	assert.Equal(t, 1, Version(0x1010117f).Minor())
}

func TestCipherListNamesTheWordThatIsWrong(t *testing.T) {
	b, err := NewCtx(false)
	require.NoError(t, err)
	defer b.Discard()
	for _, good := range []string{
		"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE+AESGCM:!aNULL:-RSA:+AES256", "PSK-AES128-CCM8:@SECLEVEL=0",
		"ALL", "ECDHE+AESGCM,ECDHE+CHACHA20 DHE+AESGCM", "HIGH:!EXPORT:!RC4:!SSLv2:-IDEA", "DEFAULT:!LOW",
	} {
		assert.NoError(t, b.SetCipherList(good), good)
	}
	for list, word := range map[string]string{
		"NO-SUCH":                       "NO-SUCH",
		"ECDHE+AESGCM:ECDHE-TYPO":       "ECDHE-TYPO",
		"HIGH:!kRSA\x00:!ECDHE":         "zero byte",
		"TLS_AES_128_GCM_SHA256":        "TLS_AES_128_GCM_SHA256",
		"ECDHE+AESGCM:@NOSUCH=1":        "invalid command",
		"":                              "no cipher match",
		"ECDHE-ECDSA-AES128-GCM-SHA257": "SHA257",
	} {
		assert.ErrorContains(t, b.SetCipherList(list), word, list)
	}
}

func TestBuilderSaysWhatIsWrong(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	leaf, other := ca.Issue(t, certtest.Leaf{Name: "first"}), ca.Issue(t, certtest.Leaf{})
	cert, err := LoadCertificateFromDER(leaf.Certificate[0])
	require.NoError(t, err)
	_, keyPEM := certtest.PEM(t, leaf)
	key, err := LoadPrivateKeyFromPEM(keyPEM)
	require.NoError(t, err)
	defer key.Close()
	_, keyPEM = certtest.PEM(t, other)
	wrong, err := LoadPrivateKeyFromPEM(keyPEM)
	require.NoError(t, err)
	defer wrong.Close()

	b, err := NewCtx(true)
	require.NoError(t, err)
	defer b.Discard()
	assert.ErrorContains(t, b.UseCertificate(cert, wrong), `is not the key of certificate "CN=first"`)
	assert.ErrorContains(t, b.UseCertificate(cert, nil), "closed")
	assert.NoError(t, b.UseCertificate(cert, key))
	assert.ErrorContains(t, b.SetVersions(0x0303, 0x0303), "0x0303")
	assert.ErrorContains(t, b.SetVersions(VersionDTLS12, VersionDTLS10), "above")
	assert.ErrorContains(t, b.SetALPNProtos(nil), "nothing")
	assert.ErrorContains(t, b.SetALPNProtos([]string{""}), "0 bytes")
	assert.ErrorContains(t, b.UsePSK("a\x00b"), "zero byte")
	cert.Close()
	assert.ErrorIs(t, b.UseCertificate(cert, key), ErrClosed)
	assert.ErrorIs(t, b.AddRoot(cert), ErrClosed)
	assert.ErrorIs(t, b.AddClientCA(nil), ErrClosed)
	require.NoError(t, b.SetVersions(VersionDTLS10, VersionDTLS10))
	if v, _ := RuntimeVersion(); v.Major() >= 3 {
		_, err = b.Build()
		assert.ErrorContains(t, err, "@SECLEVEL=0")
	}
}

func TestBuilderAfterItsEnd(t *testing.T) {
	cert, err := LoadCertificateFromDER(certtest.NewCA(t, "root").Cert.Raw)
	require.NoError(t, err)
	defer cert.Close()
	ended := map[string]func(b *CtxBuilder){
		"built":     func(b *CtxBuilder) { ctx, err := b.Build(); require.NoError(t, err); ctx.Close() },
		"discarded": func(b *CtxBuilder) { b.Discard() },
	}
	for name, end := range ended {
		b, err := NewCtx(false)
		require.NoError(t, err)
		end(b)
		b.Discard()
		b.SetVerify(VerifyNone, 0)
		for _, err := range []error{
			b.SetVersions(VersionDTLS12, VersionDTLS12), b.SetCipherList("ALL"), b.AddRoot(cert), b.AddClientCA(cert), b.AddSystemRoots(), b.AddCRL(nil),
			b.UseCertificate(cert, nil), b.SetALPNProtos([]string{"x"}), b.UsePSK(""), b.SetSRTPProfiles([]string{"x"}), b.EnableKeyLog(), second(b.Build()),
		} {
			assert.ErrorIs(t, err, ErrClosed, name)
		}
	}
}

func TestCtxOutlivesItsClose(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	clientCtx := ctxOf(t, false, withRoot(t, ca, VerifyStrict))
	serverCtx := ctxOf(t, true, withCertificate(t, ca, certtest.Leaf{}))
	client, server := sslOf(t, clientCtx, nil), sslOf(t, serverCtx, nil)
	clientCtx.Close()
	serverCtx.Close()
	serverCtx.Close()
	clientErr, serverErr := shake(client, server)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	assert.ErrorIs(t, second(NewSSL(clientCtx, nil)), ErrClosed)
	assert.ErrorIs(t, second(NewSSL(nil, nil)), ErrClosed)
}
