package dtls

import (
	"errors"
	"io"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
)

// assertError requires an *Error of the code, with words.
func assertError(t testing.TB, err error, code ErrorCode) {
	t.Helper()
	require.Error(t, err)
	require.ErrorIs(t, err, code)
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.NotEmpty(t, e.Op)
	assert.Contains(t, err.Error(), code.Error())
}

func TestHandshakeWithCertificate(t *testing.T) {
	p := newCertPair(t).mustShake()
	for _, a := range []*Association{p.client, p.server} {
		assert.Equal(t, uint16(VersionDTLS12), a.SessionProtocol())
		assert.Equal(t, "ECDHE-ECDSA-AES256-GCM-SHA384", a.SessionCipher().Name)
		assert.Equal(t, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", a.SessionCipher().StandardName)
		assert.Equal(t, 256, a.SessionCipher().UsedBits)
		assert.True(t, a.IsConnectionEncrypted())
		assert.Empty(t, a.PeerVerificationErrors())
		assert.Equal(t, NoError, a.DTLSError())
	}
	require.NotNil(t, p.client.PeerCertificate())
	cert, err := p.client.PeerCertificate().X509()
	require.NoError(t, err)
	assert.Equal(t, "localhost", cert.Subject.CommonName)
	assert.Nil(t, p.server.PeerCertificate())
	p.echo("hello")
}

func TestClientCertificate(t *testing.T) {
	client, server := longFlights(t)
	p := newPair(t, client, server).mustShake()
	chain := p.server.PeerCertificateChain()
	require.Len(t, chain, 2)
	assert.Equal(t, "CN=client", chain[0].Subject())
	assert.Equal(t, "CN=intermediate", chain[1].Subject())
	chain = p.client.PeerCertificateChain()
	require.Len(t, chain, 2)
	assert.Equal(t, "CN=localhost", chain[0].Subject())
	p.echo("both known")
}

func TestWithoutCookieVerification(t *testing.T) {
	client, server := certConfigs(t)
	server.DisableCookieVerification = true
	p := newPair(t, client, server).mustShake()
	assert.Equal(t, 2, p.fromClient.Count, "two flights, one without the cookie's round trip less")
	p.echo("no cookie")
}

func TestServerWantsAVerifiedHello(t *testing.T) {
	p := newCertPair(t)
	require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
	hello := p.fromClient.Take()[0]
	for name, datagram := range map[string][]byte{"no cookie": hello, "junk": []byte("junk"), "cut": hello[:20]} {
		err := p.server.DoHandshake(&p.fromServer, datagram)
		assertError(t, err, ErrTLSFatal)
		assert.Empty(t, p.fromServer.Take(), name)
		assert.Equal(t, HandshakeNotStarted, p.server.HandshakeState())
	}
	// The association is as good as new.
	require.NoError(t, p.toServer(hello))
	clientErr, serverErr := p.carry()
	require.NoError(t, errors.Join(clientErr, serverErr))
	p.echo("after all")
}

func TestCookieOfOtherParametersOrPeer(t *testing.T) {
	for name, change := range map[string]func(p *pair) error{
		"other secret": func(p *pair) error {
			return p.server.SetCookieGeneratorParameters(GeneratorParameters{Secret: []byte("other")})
		},
		"other hash": func(p *pair) error {
			params := p.server.CookieGeneratorParameters()
			params.Hash = "SHA512"
			return p.server.SetCookieGeneratorParameters(params)
		},
		"other port": func(p *pair) error {
			return p.server.SetPeer(netip.AddrPortFrom(clientAddr.Addr(), clientAddr.Port()+1), "")
		},
		"other address": func(p *pair) error {
			return p.server.SetPeer(netip.AddrPortFrom(clientAddr.Addr().Next(), clientAddr.Port()), "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newCertPair(t)
			require.NoError(t, change(p))
			_, serverErr := p.shake()
			assertError(t, serverErr, ErrTLSFatal)
			assert.Contains(t, serverErr.Error(), "verified hello")
		})
	}
}

func TestOwnCookieParameters(t *testing.T) {
	p := newCertPair(t)
	params := GeneratorParameters{Hash: "SHA3-256", Secret: []byte("sixteen bytes ok")}
	require.NoError(t, p.verifier.SetCookieGeneratorParameters(params))
	require.NoError(t, p.server.SetCookieGeneratorParameters(params))
	assert.Equal(t, params.Secret, p.server.CookieGeneratorParameters().Secret)
	p.mustShake()

	// A verifier that has moved on: the association learns the previous secret from it.
	p = newCertPair(t)
	require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
	require.NoError(t, p.toServer(p.fromClient.Take()[0]))
	require.NoError(t, p.verifier.SetCookieGeneratorParameters(GeneratorParameters{Secret: []byte("new")}))
	require.NoError(t, p.server.SetCookieGeneratorParameters(p.verifier.CookieGeneratorParameters()))
	clientErr, serverErr := p.carry()
	require.NoError(t, errors.Join(clientErr, serverErr))
	p.echo("known by the previous secret")

	p = newCertPair(t)
	before := p.server.CookieGeneratorParameters()
	assertError(t, p.server.SetCookieGeneratorParameters(GeneratorParameters{}), ErrInvalidInputParameters)
	assertError(t, p.server.SetCookieGeneratorParameters(GeneratorParameters{Hash: "no-such", Secret: []byte("s")}), ErrInvalidInputParameters)
	assert.Equal(t, before, p.server.CookieGeneratorParameters(), "the old ones stay")
}

func TestALPN(t *testing.T) {
	client, server := certConfigs(t)
	client.NextProtos, server.NextProtos = []string{"coap", "other"}, []string{"other", "coap"}
	p := newPair(t, client, server).mustShake()
	assert.Equal(t, "other", p.client.NegotiatedProtocol(), "the server's order decides")
	assert.Equal(t, "other", p.server.NegotiatedProtocol())

	client = client.Clone()
	client.NextProtos = []string{"neither"}
	p = newPair(t, client, server)
	clientErr, serverErr := p.shake()
	assertError(t, errors.Join(clientErr, serverErr), ErrTLSFatal)

	client = client.Clone()
	client.NextProtos = nil
	p = newPair(t, client, server).mustShake()
	assert.Empty(t, p.server.NegotiatedProtocol())
}

func TestVersions(t *testing.T) {
	client, server := certConfigs(t)
	client.MinVersion, client.CipherList = VersionDTLS10, "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"
	server.MinVersion, server.MaxVersion, server.CipherList = VersionDTLS10, VersionDTLS10, client.CipherList
	p := newPair(t, client, server).mustShake()
	assert.Equal(t, uint16(VersionDTLS10), p.client.SessionProtocol())
	p.echo("an old device")

	client = client.Clone()
	client.MinVersion, client.CipherList = 0, ""
	p = newPair(t, client, server)
	clientErr, serverErr := p.shake()
	assertError(t, errors.Join(clientErr, serverErr), ErrTLSFatal)
}

func TestCipherSuites(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	pskClient, pskServer := pskConfigs()
	ecdsa, rsa := ca.Issue(t, certtest.Leaf{}), ca.Issue(t, certtest.Leaf{RSA: true})
	for _, suite := range []string{
		"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
		"ECDHE-ECDSA-AES128-CCM8", "ECDHE-ECDSA-AES128-CCM", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA",
		"ECDHE-RSA-AES128-GCM-SHA256", "AES128-GCM-SHA256", "AES256-SHA256",
		"PSK-AES128-GCM-SHA256", "PSK-AES128-CCM8", "PSK-AES128-CBC-SHA256", "ECDHE-PSK-CHACHA20-POLY1305",
	} {
		t.Run(suite, func(t *testing.T) {
			client := &Config{RootCAs: poolOf(ca), CipherList: suite + ":@SECLEVEL=0", PSK: pskClient.PSK}
			server := &Config{CipherList: client.CipherList, PSK: pskServer.PSK, PeerVerifyMode: VerifyNone}
			server.Certificates = append(server.Certificates, ecdsa, rsa)
			p := newPair(t, client, server).mustShake()
			assert.Equal(t, suite, p.client.SessionCipher().Name)
			p.echo("hello")
			p.shortRecords()
		})
	}
}

// shortRecords sends the server records of every length that no cipher suite can
// have made: CVE-2026-75806 and its like. The association goes on.
func (p *pair) shortRecords() {
	p.t.Helper()
	for n := range 64 {
		record := append([]byte{23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 1, 0, byte(n), 0, byte(n)}, make([]byte, n)...)
		got, err := p.server.DecryptDatagram(&p.fromServer, record)
		require.NoError(p.t, err, "record of %d bytes", n)
		require.Empty(p.t, got)
	}
	p.echo("still there")
}

func TestShutdown(t *testing.T) {
	p := newCertPair(t).mustShake()
	_, err := p.client.WriteDatagramEncrypted(&p.fromClient, []byte("last words"))
	require.NoError(t, err)
	require.NoError(t, p.client.Shutdown(&p.fromClient))
	assert.Equal(t, HandshakeNotStarted, p.client.HandshakeState())
	assert.False(t, p.client.IsConnectionEncrypted())
	assert.Equal(t, Cipher{}, p.client.SessionCipher())

	var datagram []byte
	for _, d := range p.fromClient.Take() {
		datagram = append(datagram, d...)
	}
	got, err := p.server.DecryptDatagram(&p.fromServer, datagram)
	assertError(t, err, ErrRemoteClosedConnection)
	assert.ErrorIs(t, err, io.EOF)
	require.Len(t, got, 1, "what came before close_notify is delivered")
	assert.Equal(t, "last words", string(got[0]))
	assert.Equal(t, HandshakeNotStarted, p.server.HandshakeState())
	assert.Len(t, p.fromServer.Take(), 1, "close_notify is answered: RFC 5246 §7.2.1")
}

func TestAssociationCanBeUsedAgain(t *testing.T) {
	p := newCertPair(t)
	for range 3 {
		p.mustShake()
		p.echo("again")
		require.NoError(t, p.client.Shutdown(&p.fromClient))
		_, serverErr := p.carry()
		assertError(t, serverErr, ErrRemoteClosedConnection)
		p.fromServer.Take()
	}
}

func TestSocketErrorsAreReportedBesideTheResult(t *testing.T) {
	broken := errors.New("network is unreachable")
	p := newCertPair(t)
	p.fromClient.Fail = broken
	err := p.client.DoHandshake(&p.fromClient, nil)
	assertError(t, err, ErrUnderlyingSocket)
	assert.ErrorIs(t, err, broken)
	assert.Equal(t, HandshakeInProgress, p.client.HandshakeState(), "as if the network had lost it")
	assert.Equal(t, ErrUnderlyingSocket, p.client.DTLSError())
	assert.Contains(t, p.client.DTLSErrorString(), "unreachable")

	p = newCertPair(t).mustShake()
	p.fromClient.Fail = broken
	n, err := p.client.WriteDatagramEncrypted(&p.fromClient, []byte("lost"))
	assertError(t, err, ErrUnderlyingSocket)
	assert.Zero(t, n)
	p.fromClient.Fail = nil
	p.echo("the next one")
	assert.Equal(t, NoError, p.client.DTLSError())
	assert.Empty(t, p.client.DTLSErrorString())
}
