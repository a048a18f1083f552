package openssl

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
)

func TestCertificates(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	chain := ca.Intermediate(t, "intermediate", 0).Issue(t, certtest.Leaf{Name: "a leaf, with a comma"})
	certPEM, keyPEM := certtest.PEM(t, chain)

	certs, err := LoadCertificatesFromPEM(append([]byte("text before\n"), append(certPEM, keyPEM...)...))
	require.NoError(t, err)
	require.Len(t, certs, 2)
	assert.Equal(t, `CN=a leaf\, with a comma`, certs[0].Subject())
	assert.Equal(t, "CN=intermediate", certs[1].Subject())
	first, err := LoadCertificateFromPEM(certPEM)
	require.NoError(t, err)
	assert.Equal(t, chain.Certificate[0], first.MarshalDER())
	again, err := LoadCertificateFromPEM(first.MarshalPEM())
	require.NoError(t, err)
	assert.True(t, first.Equal(again))
	assert.True(t, first.Equal(certs[0]))
	assert.False(t, first.Equal(certs[1]))
	assert.False(t, first.Equal(nil))
	assert.True(t, (*Certificate)(nil).Equal(nil))
	parsed, err := first.X509()
	require.NoError(t, err)
	assert.Equal(t, chain.Leaf.SerialNumber, parsed.SerialNumber)

	again.Close()
	assert.False(t, again.Equal(first), "a closed one is equal to none")
	assert.False(t, again.Equal(again))
	for _, c := range append(certs, first, again) {
		c.Close()
		c.Close()
		assert.Nil(t, c.MarshalDER())
		assert.Nil(t, c.MarshalPEM())
		assert.Empty(t, c.Subject())
		_, err := c.X509()
		assert.ErrorIs(t, err, ErrClosed)
	}
}

func TestCertificatesThatCannotBeRead(t *testing.T) {
	good := certtest.NewCA(t, "root")
	broken := []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	for name, load := range map[string]func() error{
		"no PEM":               func() error { return second(LoadCertificateFromPEM([]byte("nothing"))) },
		"empty":                func() error { return second(LoadCertificatesFromPEM(nil)) },
		"broken":               func() error { return second(LoadCertificateFromPEM(broken)) },
		"the second is broken": func() error { return second(LoadCertificatesFromPEM(append(good.CertPEM(), broken...))) },
		"no DER":               func() error { return second(LoadCertificateFromDER([]byte("nothing"))) },
		"empty DER":            func() error { return second(LoadCertificateFromDER(nil)) },
		"more than one in DER": func() error {
			return second(LoadCertificateFromDER(append(good.Cert.Raw[:len(good.Cert.Raw):len(good.Cert.Raw)], 1)))
		},
	} {
		err := load()
		require.Error(t, err, name)
		var e *Error
		require.ErrorAs(t, err, &e, name)
		assert.Contains(t, err.Error(), "openssl: load certificate", name)
	}
}

func second[T any](_ T, err error) error { return err }

func TestPrivateKeys(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	for kind, leaf := range map[string]certtest.Leaf{"EC": {}, "RSA": {RSA: true}, "ED25519": {Ed25519: true}} {
		cert := ca.Issue(t, leaf)
		_, keyPEM := certtest.PEM(t, cert)
		key, err := LoadPrivateKeyFromPEM(keyPEM)
		require.NoError(t, err)
		block, _ := pem.Decode(keyPEM)
		fromDER, err := LoadPrivateKeyFromDER(block.Bytes)
		require.NoError(t, err)
		if v, _ := RuntimeVersion(); v.Major() >= 3 {
			assert.Equal(t, kind, key.Type())
		}
		assert.NotZero(t, key.Bits())
		assert.Equal(t, cert.Leaf.PublicKey, key.Public())
		x, err := LoadCertificateFromDER(cert.Certificate[0])
		require.NoError(t, err)
		assert.True(t, key.Matches(x))
		assert.True(t, fromDER.Matches(x))
		root, err := LoadCertificateFromDER(ca.Cert.Raw)
		require.NoError(t, err)
		assert.False(t, key.Matches(root))
		root.Close()
		x.Close()
		assert.False(t, key.Matches(x))
		for _, k := range []*PrivateKey{key, fromDER} {
			k.Close()
			k.Close()
			assert.Nil(t, k.Public())
			assert.Empty(t, k.Type())
			assert.Zero(t, k.Bits())
		}
	}
}

func TestTraditionalKeyFormats(t *testing.T) {
	cert := certtest.NewCA(t, "root").Issue(t, certtest.Leaf{})
	ecDER, err := x509.MarshalECPrivateKey(cert.PrivateKey.(*ecdsa.PrivateKey))
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for name, der := range map[string][]byte{"EC PRIVATE KEY": ecDER, "RSA PRIVATE KEY": x509.MarshalPKCS1PrivateKey(rsaKey)} {
		key, err := LoadPrivateKeyFromDER(der)
		require.NoError(t, err, name)
		key.Close()
		key, err = LoadPrivateKeyFromPEM(pem.EncodeToMemory(&pem.Block{Type: name, Bytes: der}))
		require.NoError(t, err, name)
		key.Close()
	}
}

func TestEncryptedKey(t *testing.T) {
	der, err := x509.MarshalECPrivateKey(certtest.NewCA(t, "root").Issue(t, certtest.Leaf{}).PrivateKey.(*ecdsa.PrivateKey))
	require.NoError(t, err)
	//lint:ignore SA1019 the old format is what is tested
	block, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", der, []byte("open sesame"), x509.PEMCipherAES256)
	require.NoError(t, err)
	text := pem.EncodeToMemory(block)
	key, err := LoadPrivateKeyFromPEMWithPassword(text, "open sesame")
	require.NoError(t, err)
	key.Close()
	for name, load := range map[string]func() error{
		"without a password":    func() error { return second(LoadPrivateKeyFromPEM(text)) },
		"with the wrong one":    func() error { return second(LoadPrivateKeyFromPEMWithPassword(text, "wrong one")) },
		"with one too long":     func() error { return second(LoadPrivateKeyFromPEMWithPassword(text, string(make([]byte, 5000)))) },
		"no key at all":         func() error { return second(LoadPrivateKeyFromPEM([]byte("nothing"))) },
		"no key in DER":         func() error { return second(LoadPrivateKeyFromDER([]byte("nothing"))) },
		"nothing":               func() error { return second(LoadPrivateKeyFromPEM(nil)) },
		"nothing in DER either": func() error { return second(LoadPrivateKeyFromDER(nil)) },
	} {
		err := load()
		require.Error(t, err, name)
		assert.ErrorContains(t, err, "openssl: load private key", name)
		assert.NotContains(t, err.Error(), "wrong one", "no password in an error")
	}
}
