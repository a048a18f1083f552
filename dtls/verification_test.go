package dtls

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
)

// OpenSSL's codes, from x509_vfy.h.
const (
	codeExpired         = 10
	codeNoIssuerLocally = 20
	codeHostname        = 62
	codeIPAddress       = 64
)

type badPeer struct {
	name    string
	leaf    certtest.Leaf
	unknown bool // issued by an authority that the client does not know
	verify  string
	codes   []int
	alert   string // as the peer's OpenSSL words it
}

var badPeers = []badPeer{
	{name: "expired", leaf: certtest.Leaf{Expired: true}, verify: "localhost", codes: []int{codeExpired}, alert: "certificate expired"},
	{name: "unknown authority", unknown: true, verify: "localhost", codes: []int{codeNoIssuerLocally}, alert: "unknown ca"},
	{name: "other host", verify: "example.org", codes: []int{codeHostname}, alert: "bad certificate"},
	{name: "other address", verify: "192.0.2.77", codes: []int{codeIPAddress}, alert: "bad certificate"},
	{name: "everything", leaf: certtest.Leaf{Expired: true}, unknown: true, verify: "example.org",
		codes: []int{codeNoIssuerLocally, codeExpired, codeHostname}},
}

func (b badPeer) pair(t *testing.T) *pair {
	t.Helper()
	ca, other := certtest.NewCA(t, "root"), certtest.NewCA(t, "other")
	issuer := ca
	if b.unknown {
		issuer = other
	}
	server := &Config{PeerVerifyMode: VerifyNone}
	server.Certificates = append(server.Certificates, issuer.Issue(t, b.leaf))
	p := newPair(t, &Config{RootCAs: poolOf(ca)}, server)
	require.NoError(t, p.client.SetPeerVerificationName(b.verify))
	return p
}

func codesOf(errs []VerificationError) (codes []int) {
	for _, e := range errs {
		codes = append(codes, e.Code)
	}
	return codes
}

func TestPeerVerificationFails(t *testing.T) {
	for _, bad := range badPeers {
		t.Run(bad.name, func(t *testing.T) {
			p := bad.pair(t)
			clientErr, serverErr := p.shake()
			require.NoError(t, serverErr)
			assertError(t, clientErr, ErrPeerVerification)
			assert.Equal(t, PeerVerificationFailed, p.client.HandshakeState())
			assert.Equal(t, HandshakeInProgress, p.server.HandshakeState(), "nothing was sent to an unproven peer")
			assert.Empty(t, p.fromClient.Take())
			assert.False(t, p.client.IsConnectionEncrypted())
			_, running := p.client.NextTimeout()
			assert.False(t, running)
			errs := p.client.PeerVerificationErrors()
			assert.ElementsMatch(t, bad.codes, codesOf(errs))
			for _, e := range errs {
				require.NotNil(t, e.Certificate)
				assert.NotEmpty(t, e.Text)
				assert.Contains(t, e.Error(), e.Text)
				assert.Contains(t, e.Error(), "CN=localhost")
			}

			// Not ignored: it stays as it is.
			assertError(t, p.client.ResumeHandshake(&p.fromClient), ErrPeerVerification)
			assert.Equal(t, PeerVerificationFailed, p.client.HandshakeState())

			// Given up: the server gets the alert that says why.
			require.NoError(t, p.client.AbortHandshake(&p.fromClient))
			assert.Equal(t, HandshakeNotStarted, p.client.HandshakeState())
			assert.Empty(t, p.client.PeerVerificationErrors())
			_, serverErr = p.carry()
			assertError(t, serverErr, ErrTLSFatal)
			assert.Contains(t, serverErr.Error(), bad.alert)
			assert.Contains(t, serverErr.Error(), "alert")
		})
	}
}

func TestResumeAfterIgnoring(t *testing.T) {
	for _, bad := range badPeers {
		for _, when := range []string{"before", "after", "any certificate"} {
			t.Run(bad.name+"/"+when, func(t *testing.T) {
				p := bad.pair(t)
				if when == "before" {
					var ignore []VerificationError
					for _, code := range bad.codes {
						ignore = append(ignore, VerificationError{Code: code})
					}
					p.client.IgnoreVerificationErrors(ignore...)
					p.mustShake()
				} else {
					clientErr, serverErr := p.shake()
					require.NoError(t, serverErr)
					assertError(t, clientErr, ErrPeerVerification)
					ignore := p.client.PeerVerificationErrors()
					if when == "any certificate" {
						for i := range ignore {
							ignore[i].Certificate = nil
						}
					}
					p.client.IgnoreVerificationErrors(ignore...)
					require.NoError(t, p.client.ResumeHandshake(&p.fromClient))
					clientErr, serverErr = p.carry()
					require.NoError(t, errors.Join(clientErr, serverErr))
				}
				assert.Equal(t, HandshakeComplete, p.client.HandshakeState())
				assert.NotEmpty(t, p.client.PeerVerificationErrors(), "still there to be looked at")
				p.echo("ignored")
			})
		}
	}
}

func TestIgnoringSomethingElseDoesNotHelp(t *testing.T) {
	p := badPeers[0].pair(t)
	clientErr, _ := p.shake()
	assertError(t, clientErr, ErrPeerVerification)
	ofAnother := p.client.PeerVerificationErrors()
	other := badPeers[0].pair(t)
	clientErr, _ = other.shake()
	assertError(t, clientErr, ErrPeerVerification)
	other.client.IgnoreVerificationErrors(ofAnother...)
	assertError(t, other.client.ResumeHandshake(&other.fromClient), ErrPeerVerification)
	other.client.IgnoreVerificationErrors(VerificationError{Code: codeHostname})
	assertError(t, other.client.ResumeHandshake(&other.fromClient), ErrPeerVerification)
}

func TestServerVerifiesTheClient(t *testing.T) {
	ca, other := certtest.NewCA(t, "root"), certtest.NewCA(t, "other")
	serverCert := ca.Issue(t, certtest.Leaf{})
	unknown := []int{codeNoIssuerLocally}
	for name, test := range map[string]struct {
		issuer *certtest.CA // nil: no certificate
		mode   VerifyMode
		codes  []int
		failed bool
		alert  string
	}{
		"good, required":    {issuer: ca, mode: VerifyPeer},
		"good, queried":     {issuer: ca, mode: AutoVerifyPeer},
		"unknown, required": {issuer: other, mode: VerifyPeer, codes: unknown, failed: true, alert: "unknown ca"},
		"unknown, queried":  {issuer: other, mode: QueryPeer, codes: unknown},
		"unknown, auto":     {issuer: other, mode: AutoVerifyPeer, codes: unknown},
		"none, required":    {mode: VerifyPeer, codes: []int{NoPeerCertificate}, failed: true, alert: "handshake failure"},
		"none, queried":     {mode: QueryPeer},
		"none, none":        {mode: VerifyNone},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := &Config{RootCAs: poolOf(ca)}, &Config{ClientCAs: poolOf(ca), PeerVerifyMode: test.mode}
			if test.issuer != nil {
				client.Certificates = append(client.Certificates, test.issuer.Issue(t, certtest.Leaf{Name: "client"}))
			}
			server.Certificates = append(server.Certificates, serverCert)
			p := newPair(t, client, server)
			clientErr, serverErr := p.shake()
			require.NoError(t, clientErr)
			assert.ElementsMatch(t, test.codes, codesOf(p.server.PeerVerificationErrors()))
			if !test.failed {
				require.NoError(t, serverErr)
				p.echo("accepted")
				return
			}
			assertError(t, serverErr, ErrPeerVerification)
			assert.Equal(t, PeerVerificationFailed, p.server.HandshakeState())
			assert.Equal(t, HandshakeInProgress, p.client.HandshakeState(), "the server's last flight is held back")
			require.NoError(t, p.server.AbortHandshake(&p.fromServer))
			clientErr, _ = p.carry()
			assertError(t, clientErr, ErrTLSFatal)
			assert.Contains(t, clientErr.Error(), test.alert)

			p = newPair(t, client, server)
			var ignore []VerificationError
			for _, code := range test.codes {
				ignore = append(ignore, VerificationError{Code: code})
			}
			p.server.IgnoreVerificationErrors(ignore...)
			p.mustShake().echo("ignored before")

			p = newPair(t, client, server)
			_, serverErr = p.shake()
			assertError(t, serverErr, ErrPeerVerification)
			p.server.IgnoreVerificationErrors(p.server.PeerVerificationErrors()...)
			require.NoError(t, p.server.ResumeHandshake(&p.fromServer))
			assert.Equal(t, HandshakeComplete, p.server.HandshakeState())
			clientErr, serverErr = p.carry()
			require.NoError(t, errors.Join(clientErr, serverErr))
			p.echo("ignored after")
		})
	}
}

func TestNamesThatAreVerified(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	server := &Config{PeerVerifyMode: VerifyNone}
	server.Certificates = append(server.Certificates, ca.Issue(t, certtest.Leaf{
		Names: []string{"example.org", "*.example.net"}, IPs: []net.IP{net.ParseIP("192.0.2.2"), net.ParseIP("2001:db8::2")},
	}))
	for name, test := range map[string]struct {
		serverName, setPeer string
		good                bool
	}{
		"the peer's address":          {good: true},
		"Config.ServerName":           {serverName: "example.org", good: true},
		"wildcard":                    {serverName: "a.example.net", good: true},
		"SetPeer":                     {setPeer: "example.org", good: true},
		"SetPeer before ServerName":   {serverName: "example.org", setPeer: "example.com"},
		"an address":                  {setPeer: "2001:db8::2", good: true},
		"another address":             {setPeer: "2001:db8::3"},
		"no wildcard for two labels":  {serverName: "a.b.example.net"},
		"no wildcard for the suffix":  {serverName: "example.net"},
		"the common name is no host":  {serverName: "localhost"},
		"an address in an IPv6 shape": {setPeer: "::ffff:192.0.2.2", good: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, &Config{RootCAs: poolOf(ca), ServerName: test.serverName}, server)
			require.NoError(t, p.client.SetPeerVerificationName(test.setPeer))
			clientErr, serverErr := p.shake()
			require.NoError(t, serverErr)
			if test.good {
				require.NoError(t, clientErr)
				return
			}
			assertError(t, clientErr, ErrPeerVerification)
		})
	}
	p := newPair(t, nil, server)
	require.NoError(t, p.client.SetPeerVerificationName("not\x00a name"))
	clientErr, _ := p.shake()
	assertError(t, clientErr, ErrTLSInitialization)
}

// At the end of every step of a client and of a server: the peer hears of it.
func TestAbortInMidHandshakeSendsTheAlert(t *testing.T) {
	for _, mode := range []Mode{ClientMode, ServerMode} {
		aborted := 0
		for step := 0; ; step++ {
			p := newCertPair(t)
			a, sock, peerErr := p.client, &p.fromClient, func(_, serverErr error) error { return serverErr }
			if mode == ServerMode {
				a, sock, peerErr = p.server, &p.fromServer, func(clientErr, _ error) error { return clientErr }
			}
			require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
			for range step {
				_, _ = p.deliver(p.fromClient.Take(), p.fromServer.Take())
			}
			if a.HandshakeState() == HandshakeComplete {
				break
			}
			if a.HandshakeState() != HandshakeInProgress || p.server.HandshakeState() == HandshakeNotStarted {
				continue // no peer yet that could hear of it
			}
			require.NoError(t, a.AbortHandshake(sock))
			assert.Equal(t, HandshakeNotStarted, a.HandshakeState())
			err := peerErr(p.carry())
			assertError(t, err, ErrTLSFatal)
			assert.Contains(t, err.Error(), "alert", "step %d of the %s", step, mode)
			aborted++
		}
		assert.NotZero(t, aborted, mode)
	}
}

// What is ignored for one peer is not for the next.
func TestIgnoringEndsWithTheSession(t *testing.T) {
	bad := badPeer{unknown: true, verify: "example.org"}
	p := bad.pair(t)
	codes := []VerificationError{{Code: codeNoIssuerLocally}, {Code: codeHostname}}
	p.client.IgnoreVerificationErrors(codes...)
	p.mustShake()
	require.NoError(t, p.client.Shutdown(&p.fromClient))
	_, _ = p.carry()
	p.fromServer.Take()
	clientErr, _ := p.shake()
	assertError(t, clientErr, ErrPeerVerification)
}

// Objections that have no room any more end the handshake: nothing is passed over.
func TestMoreObjectionsThanAreKept(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	issuer := ca
	for i := range 40 {
		issuer = issuer.IntermediateWithCriticalExtension(t, fmt.Sprint("inner ", i))
	}
	server := &Config{PeerVerifyMode: VerifyNone}
	server.Certificates = append(server.Certificates, issuer.Issue(t, certtest.Leaf{}))
	p := newPair(t, &Config{RootCAs: poolOf(ca)}, server)
	p.client.IgnoreVerificationErrors(VerificationError{Code: 34}) // unhandled critical extension
	require.NoError(t, p.client.SetPeerVerificationName("example.org"))
	clientErr, _ := p.shake()
	assertError(t, clientErr, ErrTLSFatal)
	assert.ErrorContains(t, clientErr, "certificate verify failed")
	assert.NotEqual(t, HandshakeComplete, p.server.HandshakeState())
}

// With an anonymous cipher suite only the end shows that there is no certificate.
func TestAnonymousServer(t *testing.T) {
	_, server := certConfigs(t)
	server.CipherList = "AECDH-AES128-SHA:@SECLEVEL=0"
	p := newPair(t, &Config{CipherList: server.CipherList}, server)
	clientErr, _ := p.shake()
	assertError(t, clientErr, ErrPeerVerification)
	assert.Equal(t, []int{NoPeerCertificate}, codesOf(p.client.PeerVerificationErrors()))
	assert.False(t, p.client.IsConnectionEncrypted())
	require.NoError(t, p.client.AbortHandshake(&p.fromClient))
	_, serverErr := p.carry()
	assertError(t, serverErr, ErrRemoteClosedConnection)
}

// As with crypto/tls, a pool may hold an intermediate or the certificate itself.
func TestAnyCertificateCanBeTrusted(t *testing.T) {
	inner := certtest.NewCA(t, "root").Intermediate(t, "intermediate", 0)
	server := &Config{PeerVerifyMode: VerifyNone}
	server.Certificates = append(server.Certificates, inner.Issue(t, certtest.Leaf{}))
	for _, der := range server.Certificates[0].Certificate {
		pool := NewCertPool()
		require.NoError(t, pool.AppendCertsFromDER(der))
		newPair(t, &Config{RootCAs: pool}, server).mustShake()
	}
}

// What is held back is nobody else's to write over: the buffers of handshakes go from one
// association to the next.
func TestOthersLeaveAloneWhatIsHeldBack(t *testing.T) {
	p := badPeers[2].pair(t)
	clientErr, _ := p.shake()
	assertError(t, clientErr, ErrPeerVerification)
	for range 4 {
		other := newCertPair(t).mustShake()
		require.NoError(t, other.client.Close())
	}
	p.client.IgnoreVerificationErrors(p.client.PeerVerificationErrors()...)
	require.NoError(t, p.client.ResumeHandshake(&p.fromClient))
	clientErr, serverErr := p.carry()
	require.NoError(t, errors.Join(clientErr, serverErr))
	assert.True(t, p.client.IsConnectionEncrypted() && p.server.IsConnectionEncrypted())
	assert.Less(t, cap(p.client.out.Bytes()), 4096, "no room for flights where there are none")
}
