package openssl

import (
	"crypto/x509"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
)

func withCRLs(lists ...*x509.RevocationList) func(*CtxBuilder) error {
	return func(b *CtxBuilder) (err error) {
		for _, list := range lists {
			err = errors.Join(err, b.AddCRL(list.Raw))
		}
		return err
	}
}

// A chain of three, root, intermediate and leaf, under all sets of lists: what a strict
// context refuses, with which alert, and what a collecting one objects to.
func TestRevocation(t *testing.T) {
	root := certtest.NewCA(t, "root")
	inner := root.Intermediate(t, "intermediate", 0)
	leaf := inner.Issue(t, certtest.Leaf{})
	served := withTLSCertificate(t, leaf)
	type lists = []*x509.RevocationList
	rootGood, innerGood := root.CRL(t, certtest.CRL{}), inner.CRL(t, certtest.CRL{})
	other := certtest.NewCA(t, "other")
	for name, test := range map[string]struct {
		trusted *certtest.CA // nil: the root
		lists   lists
		codes   []int // in VerifyCollect
		alert   Alert // 0: none
	}{
		"good":                       {lists: lists{rootGood, innerGood}},
		"the same list twice":        {lists: lists{rootGood, innerGood, innerGood}},
		"leaf revoked":               {lists: lists{rootGood, inner.CRL(t, certtest.CRL{Revoked: []*x509.Certificate{leaf.Leaf}})}, codes: []int{codeRevoked}, alert: 44},
		"intermediate revoked":       {lists: lists{root.CRL(t, certtest.CRL{Revoked: []*x509.Certificate{inner.Cert}}), innerGood}, codes: []int{codeRevoked}, alert: 44},
		"no list for the leaf":       {lists: lists{rootGood}, codes: []int{codeNoCRL}, alert: 48},
		"no list for what is inside": {lists: lists{innerGood}, codes: []int{codeNoCRL}, alert: 48},
		"a list of somebody else":    {lists: lists{other.CRL(t, certtest.CRL{})}, codes: []int{codeNoCRL, codeNoCRL}, alert: 48},
		"expired list":               {lists: lists{rootGood, inner.CRL(t, certtest.CRL{Expired: true})}, codes: []int{codeCRLExpired}, alert: 45},
		"forged list":                {lists: lists{rootGood, inner.CRL(t, certtest.CRL{Signer: other})}, codes: []int{codeCRLSignature}, alert: 51},
		"trusted from the inside":    {trusted: inner, lists: lists{innerGood}},
		"root revoked by itself":     {lists: lists{root.CRL(t, certtest.CRL{Revoked: []*x509.Certificate{root.Cert}}), innerGood}, codes: []int{codeRevoked}, alert: 44},
		"trusted though revoked":     {trusted: inner, lists: lists{root.CRL(t, certtest.CRL{Revoked: []*x509.Certificate{inner.Cert}}), innerGood}},
		"unknown authority":          {trusted: other, lists: lists{innerGood}, codes: []int{codeNoIssuerLocally, codeNoCRL}, alert: 48},
	} {
		trusted := test.trusted
		if trusted == nil {
			trusted = root
		}
		for _, mode := range []VerifyMode{VerifyStrict, VerifyRequire} {
			t.Run(name+"/strict", func(t *testing.T) {
				client, server := sslOf(t, ctxOf(t, false, withRoot(t, trusted, mode), withCRLs(test.lists...)), nil), sslOf(t, ctxOf(t, true, served), nil)
				clientErr, serverErr := shake(client, server)
				if test.alert == 0 {
					require.NoError(t, errors.Join(clientErr, serverErr))
					assert.Zero(t, client.VerifyErrorCount())
				} else {
					assert.ErrorContains(t, clientErr, "certificate verify failed")
					requireAlert(t, server, test.alert)
					require.NotEmpty(t, codesOf(client))
					assert.Equal(t, test.codes[0], codesOf(client)[0])
					assert.Equal(t, test.alert, VerifyErrorAlert(test.codes[0]))
				}

				// The same of a client's certificate.
				client = sslOf(t, ctxOf(t, false, served), nil)
				server = sslOf(t, ctxOf(t, true, served, withRoot(t, trusted, mode), withCRLs(test.lists...)), nil)
				clientErr, serverErr = shake(client, server)
				if test.alert == 0 {
					require.NoError(t, errors.Join(clientErr, serverErr))
				} else {
					assert.ErrorContains(t, serverErr, "certificate verify failed")
					requireAlert(t, client, test.alert)
				}
			})
		}
		t.Run(name+"/collected", func(t *testing.T) {
			client, server := sslOf(t, ctxOf(t, false, withRoot(t, trusted, VerifyCollect), withCRLs(test.lists...)), nil), sslOf(t, ctxOf(t, true, served), nil)
			require.NoError(t, errors.Join(shake(client, server)))
			assert.Equal(t, test.codes, codesOf(client))
		})
	}
}

// The peer's own certificate can be the trusted one: no list says anything of it.
func TestTrustedLeafNeedsNoList(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	leaf := ca.Issue(t, certtest.Leaf{})
	server := ctxOf(t, true, withTLSCertificate(t, leaf))
	trustLeaf := func(b *CtxBuilder) error {
		b.SetVerify(VerifyStrict, 0)
		cert, err := LoadCertificateFromDER(leaf.Certificate[0])
		require.NoError(t, err)
		defer cert.Close()
		return b.AddRoot(cert)
	}
	list := withCRLs(certtest.NewCA(t, "other").CRL(t, certtest.CRL{}))
	require.NoError(t, errors.Join(shake(sslOf(t, ctxOf(t, false, trustLeaf, list), nil), sslOf(t, server, nil))))
}

func TestCRLThatCannotBeRead(t *testing.T) {
	b, err := NewCtx(false)
	require.NoError(t, err)
	defer b.Discard()
	good := certtest.NewCA(t, "root").CRL(t, certtest.CRL{}).Raw
	for name, der := range map[string][]byte{
		"nothing": nil, "junk": []byte("junk"), "cut off": good[:len(good)-1], "more than one": append(good[:len(good):len(good)], 0),
		"a certificate": certtest.NewCA(t, "root").Cert.Raw,
	} {
		err := b.AddCRL(der)
		assert.ErrorContains(t, err, "openssl: add CRL: not one certificate revocation list in DER", name)
	}
	require.NoError(t, b.AddCRL(good))
	b.Discard()
	assert.ErrorIs(t, b.AddCRL(good), ErrClosed)
}
