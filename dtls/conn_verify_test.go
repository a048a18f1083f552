package dtls

import (
	"crypto/tls"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
)

// The reasons for which a peer's certificate is refused, on both sides: OpenSSL's code and
// text here, the alert there.
func TestConnVerification(t *testing.T) {
	ca, other := certtest.NewCA(t, "root"), certtest.NewCA(t, "other")
	good := ca.Issue(t, certtest.Leaf{})
	for name, test := range map[string]struct {
		server tls.Certificate
		client *Config
		code   int
		alert  Alert
	}{
		"expired":           {ca.Issue(t, certtest.Leaf{Expired: true}), &Config{RootCAs: poolOf(ca), ServerName: "localhost"}, codeExpired, 45},
		"unknown authority": {other.Issue(t, certtest.Leaf{}), &Config{RootCAs: poolOf(ca), ServerName: "localhost"}, codeNoIssuerLocally, 48},
		"other host":        {good, &Config{RootCAs: poolOf(ca), ServerName: "example.org"}, codeHostname, 42},
		"other address":     {good, &Config{RootCAs: poolOf(ca)}, codeIPAddress, 42},
	} {
		t.Run(name, func(t *testing.T) {
			client, server, _ := connPair(t, test.client, &Config{Certificates: []tls.Certificate{test.server}})
			clientErr, serverErr := shaken(t, client, server)
			assertError(t, clientErr, ErrPeerVerification)
			var objection VerificationError
			require.ErrorAs(t, clientErr, &objection)
			assert.Equal(t, test.code, objection.Code)
			assert.NotEmpty(t, objection.Text)
			assert.Contains(t, objection.Certificate.Subject(), "localhost")
			var alert *AlertError
			require.ErrorAs(t, clientErr, &alert)
			assert.Equal(t, test.alert, alert.Number)
			assert.False(t, alert.Received)
			require.ErrorAs(t, serverErr, &alert)
			assert.Equal(t, test.alert, alert.Number)
			assert.True(t, alert.Received)
			assertError(t, serverErr, ErrTLSFatal)

			insecure := test.client.Clone()
			insecure.InsecureSkipVerify = true
			client, server, _ = mustBeShaken(t, insecure, &Config{Certificates: []tls.Certificate{test.server}})
			assert.NotEmpty(t, client.ConnectionState().PeerCertificates)
			say(t, client, "hello")
			expect(t, server, "hello")
		})
	}
}

func TestConnClientAuth(t *testing.T) {
	ca, other := certtest.NewCA(t, "root"), certtest.NewCA(t, "other")
	good, unknown := ca.Issue(t, certtest.Leaf{Name: "client"}), other.Issue(t, certtest.Leaf{Name: "client"})
	const ok, no = true, false
	for _, test := range []struct {
		auth                tls.ClientAuthType
		none, unknown, good bool
		seen                bool
	}{
		{tls.NoClientCert, ok, ok, ok, false},
		{tls.RequestClientCert, ok, ok, ok, true},
		{tls.RequireAnyClientCert, no, ok, ok, true},
		{tls.VerifyClientCertIfGiven, ok, no, ok, true},
		{tls.RequireAndVerifyClientCert, no, no, ok, true},
	} {
		for name, client := range map[string]struct {
			certs []tls.Certificate
			ok    bool
		}{"none": {nil, test.none}, "unknown": {[]tls.Certificate{unknown}, test.unknown}, "good": {[]tls.Certificate{good}, test.good}} {
			t.Run(test.auth.String()+"/"+name, func(t *testing.T) {
				serverCfg := &Config{ClientAuth: test.auth, ClientCAs: poolOf(ca), Certificates: []tls.Certificate{ca.Issue(t, certtest.Leaf{})}}
				c, s, _ := connPair(t, &Config{RootCAs: poolOf(ca), ServerName: "localhost", Certificates: client.certs}, serverCfg)
				clientErr, serverErr := shaken(t, c, s)
				if client.ok {
					require.NoError(t, clientErr)
					require.NoError(t, serverErr)
					assert.Equal(t, test.seen && client.certs != nil, len(s.ConnectionState().PeerCertificates) > 0)
					return
				}
				assert.Error(t, serverErr)
				var alert *AlertError
				require.ErrorAs(t, clientErr, &alert)
				assert.True(t, alert.Received)
				if name == "unknown" {
					assertError(t, serverErr, ErrPeerVerification)
					assert.Equal(t, Alert(48), alert.Number)
				}
			})
		}
	}
}

// VerifyConnection has the last word, before the peer believes that all is well.
func TestVerifyConnection(t *testing.T) {
	refused := errors.New("not on the list")
	for _, side := range []Mode{ClientMode, ServerMode} {
		for _, resumed := range []bool{false, true} {
			ca := certtest.NewCA(t, "root")
			clientCfg, serverCfg := mutual(t, ca)
			clientCfg.ServerName, clientCfg.ClientSessionCache = "localhost", NewLRUClientSessionCache(0)
			mine := clientCfg
			if side == ServerMode {
				mine = serverCfg
			}
			var answer error
			var seen []ConnectionState
			mine.VerifyConnection = func(state ConnectionState) error {
				seen = append(seen, state)
				return answer
			}
			if resumed {
				mustBeShaken(t, clientCfg, serverCfg)
			}
			client, server, _ := mustBeShaken(t, clientCfg, serverCfg)
			assert.Equal(t, resumed, client.ConnectionState().DidResume)
			say(t, client, "welcome")
			expect(t, server, "welcome")
			last := seen[len(seen)-1]
			assert.Equal(t, resumed, last.DidResume)
			assert.False(t, last.HandshakeComplete)
			assert.NotEmpty(t, last.PeerCertificates)
			assert.Equal(t, "ECDHE-ECDSA-AES256-GCM-SHA384", last.Cipher.Name)

			answer = refused
			client, server, _ = connPair(t, clientCfg, serverCfg)
			clientErr, serverErr := shaken(t, client, server)
			mineErr, otherErr := clientErr, serverErr
			if side == ServerMode {
				mineErr, otherErr = serverErr, clientErr
			}
			assert.ErrorIs(t, mineErr, refused)
			assertError(t, mineErr, ErrPeerVerification)
			var alert *AlertError
			require.ErrorAs(t, otherErr, &alert, "%v %v", side, resumed)
			assert.Equal(t, Alert(42), alert.Number)
			assert.True(t, alert.Received)
		}
	}
}
