package openssl

import (
	"crypto/x509"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
)

// OpenSSL's codes, from x509_vfy.h.
const (
	codeNoCRL           = 3
	codeCRLSignature    = 8
	codeNotYetValid     = 9
	codeExpired         = 10
	codeNoIssuerLocally = 20
	codeLeafSignature   = 21
	codeCRLExpired      = 12
	codeRevoked         = 23
	codeInvalidCA111    = 24 // before OpenSSL 3
	codePurpose         = 26
	codeNoCertSign      = 32
	codeUnhandled       = 34
	codeHostname        = 62
	codeIPAddress       = 64
	codeInvalidCA       = 79
)

// codesOf returns the codes of a connection's objections.
func codesOf(s *SSL) (codes []int) {
	for _, e := range s.VerifyErrors() {
		codes = append(codes, e.Code)
	}
	return codes
}

// requireAlert requires that s has received a fatal alert.
func requireAlert(t *testing.T, s *SSL, want Alert) {
	t.Helper()
	alert, fatal, ok := s.AlertReceived()
	require.True(t, ok, "an alert")
	assert.True(t, fatal)
	assert.Equal(t, want.String(), alert.String())
}

// In the strict modes OpenSSL ends the handshake by itself and tells the peer why; the
// objection can still be asked for. In VerifyCollect the alert is the caller's to send,
// and VerifyErrorAlert is the same one.
func TestObjectionsAndTheirAlerts(t *testing.T) {
	ca, other := certtest.NewCA(t, "root"), certtest.NewCA(t, "other")
	critical := ca.IntermediateWithCriticalExtension(t, "critical")
	for name, test := range map[string]struct {
		issuer *certtest.CA // nil: ca
		leaf   certtest.Leaf
		name   string // that the client wants; "": localhost
		codes  []int  // in VerifyCollect; the strict modes stop at the first
		alert  Alert
	}{
		"expired":           {leaf: certtest.Leaf{Expired: true}, codes: []int{codeExpired}, alert: 45},
		"not yet valid":     {leaf: certtest.Leaf{Future: true}, codes: []int{codeNotYetValid}, alert: 42},
		"unknown authority": {issuer: other, codes: []int{codeNoIssuerLocally, codeLeafSignature}, alert: 48},
		"other host":        {name: "example.org", codes: []int{codeHostname}, alert: 42},
		"other address":     {name: "192.0.2.77", codes: []int{codeIPAddress}, alert: 42},
		"no authority":      {issuer: ca.Impostor(t, "impostor"), codes: []int{codeInvalidCA, codeInvalidCA111, codePurpose, codeNoCertSign}, alert: 48},
		"other purpose":     {leaf: certtest.Leaf{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}, codes: []int{codePurpose}, alert: 43},
		"critical":          {issuer: critical, codes: []int{codeUnhandled}, alert: 46},
		"everything":        {issuer: other, leaf: certtest.Leaf{Expired: true}, name: "example.org", codes: []int{codeNoIssuerLocally, codeLeafSignature, codeExpired, codeHostname}, alert: 48},
	} {
		issuer := test.issuer
		if issuer == nil {
			issuer = ca
		}
		name, peer := name, test.name
		if peer == "" {
			peer = "localhost"
		}
		certified := withCertificate(t, issuer, test.leaf)
		serverCtx := ctxOf(t, true, certified)
		client := func(mode VerifyMode) *SSL {
			s := sslOf(t, ctxOf(t, false, withRoot(t, ca, mode)), nil)
			require.NoError(t, s.SetPeerName(peer))
			return s
		}
		for _, mode := range []VerifyMode{VerifyStrict, VerifyRequire} {
			t.Run(name+"/client", func(t *testing.T) {
				c, s := client(mode), sslOf(t, serverCtx, nil)
				clientErr, _ := shake(c, s)
				assert.ErrorContains(t, clientErr, "certificate verify failed")
				requireAlert(t, s, test.alert)
				assert.Contains(t, test.codes, codesOf(c)[0])
				assert.Len(t, codesOf(c), 1)
				assert.Equal(t, test.alert, VerifyErrorAlert(codesOf(c)[0]))
			})
			if test.name != "" {
				continue // a server has no name to check
			}
			t.Run(name+"/server", func(t *testing.T) {
				c := sslOf(t, ctxOf(t, false, certified), nil)
				s := sslOf(t, ctxOf(t, true, withCertificate(t, ca, certtest.Leaf{}), withRoot(t, ca, mode)), nil)
				_, serverErr := shake(c, s)
				assert.ErrorContains(t, serverErr, "certificate verify failed")
				requireAlert(t, c, test.alert)
				assert.Equal(t, test.alert, VerifyErrorAlert(codesOf(s)[0]))
			})
		}
		t.Run(name+"/collected", func(t *testing.T) {
			c, s := client(VerifyCollect), sslOf(t, serverCtx, nil)
			require.NoError(t, errors.Join(shake(c, s)))
			assert.Subset(t, test.codes, codesOf(c))
			assert.NotEmpty(t, codesOf(c))
		})
	}
}

// The five kinds of a server's wish for a certificate, beside VerifyCollect, against a
// good one, one of an unknown authority, and none; with and without session tickets, by
// which a session is resumed only under the same wish.
func TestServerAsksForACertificate(t *testing.T) {
	ca, other := certtest.NewCA(t, "root"), certtest.NewCA(t, "other")
	const fine, refused, missing = "fine", "certificate verify failed", "peer did not return a certificate"
	for mode, want := range map[VerifyMode][3]string{ // good, unknown, none
		VerifyNone:       {fine, fine, fine},
		VerifyRequest:    {fine, fine, fine},
		VerifyRequireAny: {fine, fine, missing},
		VerifyCollect:    {fine, fine, fine},
		VerifyStrict:     {fine, refused, fine},
		VerifyRequire:    {fine, refused, missing},
	} {
		serverCtx := ctxOf(t, true, (*CtxBuilder).EnableSessionTickets, withCertificate(t, ca, certtest.Leaf{}), withRoot(t, ca, mode))
		for i, issuer := range []*certtest.CA{ca, other, nil} {
			steps := []func(*CtxBuilder) error{(*CtxBuilder).EnableSessionTickets, withRoot(t, ca, VerifyStrict)}
			if issuer != nil {
				steps = append(steps, withCertificate(t, issuer, certtest.Leaf{Name: "client"}))
			}
			clientCtx := ctxOf(t, false, steps...)
			client, server := sslOf(t, clientCtx, nil), sslOf(t, serverCtx, nil)
			clientErr, serverErr := shake(client, server)
			if want[i] != fine {
				assert.ErrorContains(t, serverErr, want[i], "mode %d, client %d", mode, i)
				assert.Error(t, clientErr)
				alert := AlertHandshakeFailure
				if want[i] == refused {
					alert = 48
				}
				requireAlert(t, client, alert)
				continue
			}
			require.NoError(t, clientErr, "mode %d, client %d", mode, i)
			require.NoError(t, serverErr, "mode %d, client %d", mode, i)
			shown := issuer != nil && mode != VerifyNone
			assert.Equal(t, shown, server.PeerAuthenticated(), "mode %d, client %d", mode, i)
			assert.Equal(t, shown, len(server.PeerCertificateChain()) == 1)
			assert.Equal(t, mode == VerifyCollect && issuer == other, server.VerifyErrorCount() > 0)

			session, err := client.Session()
			require.NoError(t, err)
			require.NotNil(t, session)
			again, server := sslOf(t, clientCtx, nil), sslOf(t, serverCtx, nil)
			require.NoError(t, again.SetSession(session))
			require.NoError(t, errors.Join(shake(again, server)))
			assert.Equal(t, mode != VerifyCollect || issuer != other, server.SessionReused(), "mode %d, client %d", mode, i)
			assert.Equal(t, shown, server.PeerAuthenticated(), "resumed with the certificate")

			// A context that checks does not take over what another has not checked.
			strict := sslOf(t, ctxOf(t, true, (*CtxBuilder).EnableSessionTickets, withCertificate(t, ca, certtest.Leaf{}), withRoot(t, ca, VerifyRequire)), nil)
			again = sslOf(t, clientCtx, nil)
			require.NoError(t, again.SetSession(session))
			_, serverErr = shake(again, strict)
			assert.False(t, strict.SessionReused())
			assert.Equal(t, issuer == ca, serverErr == nil, "mode %d, client %d: %v", mode, i, serverErr)
		}
	}
}

// On a client nothing is checked in the modes that only ask; there is always a certificate.
func TestClientThatChecksNothing(t *testing.T) {
	server := ctxOf(t, true, withCertificate(t, certtest.NewCA(t, "other"), certtest.Leaf{Expired: true}))
	for _, mode := range []VerifyMode{VerifyNone, VerifyRequest, VerifyRequireAny} {
		client := sslOf(t, ctxOf(t, false, withRoot(t, certtest.NewCA(t, "root"), mode)), nil)
		require.NoError(t, client.SetPeerName("example.org"))
		require.NoError(t, errors.Join(shake(client, sslOf(t, server, nil))), "mode %d", mode)
		assert.Zero(t, client.VerifyErrorCount())
		assert.True(t, client.PeerAuthenticated())
	}
}

// A pre-shared key stands for the certificate that has to come.
func TestKeyInsteadOfCertificate(t *testing.T) {
	answer := func(psk *PSK) error {
		if psk.Identity == nil {
			psk.Identity = []byte("device 7")
		}
		psk.PreSharedKey = []byte{1, 2, 3, 4}
		return nil
	}
	psk := func(b *CtxBuilder) error { return errors.Join(b.UsePSK(""), b.SetCipherList("PSK+AESGCM")) }
	for _, mode := range []VerifyMode{VerifyRequire, VerifyRequireAny} {
		server := sslOf(t, ctxOf(t, true, psk, withRoot(t, certtest.NewCA(t, "root"), mode)), answer)
		require.NoError(t, errors.Join(shake(sslOf(t, ctxOf(t, false, psk), answer), server)))
		assert.True(t, server.PeerAuthenticated())
	}
}
