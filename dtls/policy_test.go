package dtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
	"github.com/ossldtls/ossldtls/openssl"
)

const codeRevoked = 23

func TestPolicy(t *testing.T) {
	nothing, query := policy{}, policy{ask: true, verify: true, collect: true}
	for _, test := range []struct {
		cfg                *Config
		mode               Mode
		packets, conns     policy
		inPackets, inConns openssl.VerifyMode
	}{
		{&Config{}, ClientMode, policy{require: true, verify: true}, policy{require: true, verify: true}, openssl.VerifyCollect, openssl.VerifyRequire},
		{&Config{PeerVerifyMode: VerifyPeer}, ClientMode, policy{require: true, verify: true}, policy{require: true, verify: true}, openssl.VerifyCollect, openssl.VerifyRequire},
		{&Config{PeerVerifyMode: QueryPeer}, ClientMode, policy{verify: true, collect: true}, policy{verify: true, collect: true}, openssl.VerifyCollect, openssl.VerifyCollect},
		{&Config{PeerVerifyMode: VerifyNone}, ClientMode, nothing, nothing, openssl.VerifyNone, openssl.VerifyNone},
		{&Config{InsecureSkipVerify: true}, ClientMode, nothing, nothing, openssl.VerifyNone, openssl.VerifyNone},
		{&Config{ClientAuth: tls.RequireAnyClientCert}, ClientMode, policy{require: true, verify: true}, policy{require: true, verify: true}, openssl.VerifyCollect, openssl.VerifyRequire},

		{&Config{}, ServerMode, query, nothing, openssl.VerifyCollect, openssl.VerifyNone},
		{&Config{InsecureSkipVerify: true}, ServerMode, query, nothing, openssl.VerifyCollect, openssl.VerifyNone},
		{&Config{PeerVerifyMode: VerifyNone}, ServerMode, nothing, nothing, openssl.VerifyNone, openssl.VerifyNone},
		{&Config{PeerVerifyMode: QueryPeer}, ServerMode, query, query, openssl.VerifyCollect, openssl.VerifyCollect},
		{&Config{PeerVerifyMode: VerifyPeer}, ServerMode, policy{true, true, true, false}, policy{true, true, true, false}, openssl.VerifyCollect, openssl.VerifyRequire},
		{&Config{ClientAuth: tls.RequestClientCert}, ServerMode, policy{ask: true}, policy{ask: true}, openssl.VerifyRequest, openssl.VerifyRequest},
		{&Config{ClientAuth: tls.RequireAnyClientCert}, ServerMode, policy{ask: true, require: true}, policy{ask: true, require: true}, openssl.VerifyRequest, openssl.VerifyRequireAny},
		{&Config{ClientAuth: tls.VerifyClientCertIfGiven}, ServerMode, policy{ask: true, verify: true}, policy{ask: true, verify: true}, openssl.VerifyCollect, openssl.VerifyStrict},
		{&Config{ClientAuth: tls.RequireAndVerifyClientCert}, ServerMode, policy{true, true, true, false}, policy{true, true, true, false}, openssl.VerifyCollect, openssl.VerifyRequire},
	} {
		why := fmt.Sprintf("%v: mode %d, InsecureSkipVerify %v, %v", test.mode, test.cfg.PeerVerifyMode, test.cfg.InsecureSkipVerify, test.cfg.ClientAuth)
		require.NoError(t, test.cfg.checkPolicy(), why)
		for s, want := range []policy{packets: test.packets, conns: test.conns} {
			assert.Equal(t, want, test.cfg.policy(test.mode, style(s)), "%s, style %d", why, s)
		}
		assert.Equal(t, test.inPackets, test.packets.verifyMode(packets), why)
		assert.Equal(t, test.inConns, test.conns.verifyMode(conns), why)
	}
}

// clientAuths are crypto/tls's kinds of wishes, and what becomes of a client with a good
// certificate, one of an unknown authority, and none: the objections that stop the handshake.
var clientAuths = []struct {
	auth                tls.ClientAuthType
	good, unknown, none []int
}{
	{auth: tls.RequestClientCert},
	{auth: tls.RequireAnyClientCert, none: []int{NoPeerCertificate}},
	{auth: tls.VerifyClientCertIfGiven, unknown: []int{codeNoIssuerLocally}},
	{auth: tls.RequireAndVerifyClientCert, unknown: []int{codeNoIssuerLocally}, none: []int{NoPeerCertificate}},
}

func TestAssociationWithClientAuth(t *testing.T) {
	ca, other := certtest.NewCA(t, "root"), certtest.NewCA(t, "other")
	serverCert := ca.Issue(t, certtest.Leaf{})
	for _, test := range clientAuths {
		for name, client := range map[string]struct {
			issuer *certtest.CA
			codes  []int
		}{"good": {ca, test.good}, "unknown": {other, test.unknown}, "none": {nil, test.none}} {
			t.Run(test.auth.String()+"/"+name, func(t *testing.T) {
				clientCfg := &Config{RootCAs: poolOf(ca)}
				if client.issuer != nil {
					clientCfg.Certificates = []tls.Certificate{client.issuer.Issue(t, certtest.Leaf{Name: "client"})}
				}
				serverCfg := &Config{Certificates: []tls.Certificate{serverCert}, ClientCAs: poolOf(ca), ClientAuth: test.auth}
				p := newPair(t, clientCfg, serverCfg)
				clientErr, serverErr := p.shake()
				require.NoError(t, clientErr)
				assert.Equal(t, client.codes, codesOf(p.server.PeerVerificationErrors()))
				if client.codes == nil {
					require.NoError(t, serverErr)
					p.echo("accepted")
					assert.Equal(t, client.issuer != nil, p.server.PeerCertificate() != nil)
					return
				}
				assertError(t, serverErr, ErrPeerVerification)
				assert.Equal(t, HandshakeInProgress, p.client.HandshakeState(), "the server's last flight is held back")
				p.server.IgnoreVerificationErrors(p.server.PeerVerificationErrors()...)
				require.NoError(t, p.server.ResumeHandshake(&p.fromServer))
				clientErr, serverErr = p.carry()
				require.NoError(t, errors.Join(clientErr, serverErr))
				p.echo("ignored")

				p = newPair(t, clientCfg, serverCfg)
				_, serverErr = p.shake()
				assertError(t, serverErr, ErrPeerVerification)
				require.NoError(t, p.server.AbortHandshake(&p.fromServer))
				clientErr, _ = p.carry()
				assertError(t, clientErr, ErrTLSFatal)
				assert.ErrorContains(t, clientErr, "alert")
			})
		}
	}
	// The fifth, NoClientCert, is what an Association's PeerVerifyMode says: to ask and to go on.
	p := newPair(t, &Config{RootCAs: poolOf(ca), Certificates: []tls.Certificate{other.Issue(t, certtest.Leaf{})}},
		&Config{Certificates: []tls.Certificate{serverCert}, ClientCAs: poolOf(ca), ClientAuth: tls.NoClientCert}).mustShake()
	assert.Equal(t, []int{codeNoIssuerLocally}, codesOf(p.server.PeerVerificationErrors()))
}

func TestInsecureSkipVerify(t *testing.T) {
	for _, bad := range badPeers {
		p := bad.pair(t)
		cfg := p.client.config.Clone()
		cfg.InsecureSkipVerify = true
		require.NoError(t, p.client.SetDTLSConfiguration(cfg))
		p.mustShake().echo(bad.name)
		assert.Empty(t, p.client.PeerVerificationErrors())
		assert.NotNil(t, p.client.PeerCertificate())
	}
	_, server := certConfigs(t)
	server.CipherList = "AECDH-AES128-SHA:@SECLEVEL=0"
	newPair(t, &Config{CipherList: server.CipherList, InsecureSkipVerify: true}, server).mustShake().echo("without a certificate")
}

func TestRevokedPeer(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	client, server := mutual(t, ca)
	leaf := func(cfg *Config) *x509.Certificate { return cfg.Certificates[0].Leaf }
	revoking := func(certs ...*x509.Certificate) []*x509.RevocationList {
		return []*x509.RevocationList{ca.CRL(t, certtest.CRL{Revoked: certs})}
	}
	client.RevocationLists, server.RevocationLists = revoking(), revoking()
	newPair(t, client, server).mustShake().echo("neither is revoked")

	client = client.Clone()
	client.RevocationLists = revoking(leaf(server))
	p := newPair(t, client, server)
	clientErr, _ := p.shake()
	assertError(t, clientErr, ErrPeerVerification)
	assert.Equal(t, []int{codeRevoked}, codesOf(p.client.PeerVerificationErrors()))
	require.NoError(t, p.client.AbortHandshake(&p.fromClient))
	_, serverErr := p.carry()
	assert.ErrorContains(t, serverErr, "certificate revoked")

	client.RevocationLists = revoking(leaf(client))
	client, server = client.Clone(), server.Clone()
	server.RevocationLists = revoking(leaf(client))
	p = newPair(t, client, server)
	_, serverErr = p.shake()
	assertError(t, serverErr, ErrPeerVerification)
	require.NoError(t, p.server.AbortHandshake(&p.fromServer))
	clientErr, _ = p.carry()
	assert.ErrorContains(t, clientErr, "certificate revoked")

	// Where nothing is checked, nothing is looked up.
	server = server.Clone()
	server.PeerVerifyMode, server.ClientAuth = AutoVerifyPeer, tls.RequireAnyClientCert
	newPair(t, client, server).mustShake().echo("taken as it is")
}

// The contexts for conns end the handshake by themselves. Each style has its own, made
// once, and no session goes from one to the other.
func TestContextsForConns(t *testing.T) {
	ca, other := certtest.NewCA(t, "root"), certtest.NewCA(t, "other")
	serverCert := ca.Issue(t, certtest.Leaf{})
	contextOf := func(cfg *Config, mode Mode, s style) *openssl.Ctx {
		ctx, err := cfg.context(mode, s)
		require.NoError(t, err)
		again, err := cfg.context(mode, s)
		require.NoError(t, err)
		assert.Same(t, ctx, again)
		return ctx
	}
	shake := func(client, server *openssl.Ctx, session *openssl.Session) (resumed bool, next *openssl.Session, serverErr error) {
		c, err := openssl.NewSSL(client, nil)
		require.NoError(t, err)
		defer c.Close()
		s, err := openssl.NewSSL(server, nil)
		require.NoError(t, err)
		defer s.Close()
		if session != nil {
			require.NoError(t, c.SetSession(session))
		}
		var up, down openssl.Datagrams
		_, err = c.DoHandshake(nil, &up)
		for up.Len() > 0 {
			for d := range up.All() {
				if serverErr == nil {
					_, serverErr = s.DoHandshake(d, &down)
				}
			}
			up.Reset()
			for d := range down.All() {
				if err == nil {
					_, err = c.DoHandshake(d, &up)
				}
			}
			down.Reset()
		}
		if serverErr == nil {
			require.NoError(t, err)
			next, err = c.Session()
			require.NoError(t, err)
		}
		return s.SessionReused(), next, serverErr
	}
	kinds := append(clientAuths[:len(clientAuths):len(clientAuths)], struct {
		auth                tls.ClientAuthType
		good, unknown, none []int
	}{auth: tls.NoClientCert})
	for _, test := range kinds {
		serverCfg := &Config{Certificates: []tls.Certificate{serverCert}, ClientCAs: poolOf(ca), ClientAuth: test.auth}
		inConns, inPackets := contextOf(serverCfg, ServerMode, conns), contextOf(serverCfg, ServerMode, packets)
		assert.NotSame(t, inConns, inPackets)
		for _, client := range []struct {
			issuer *certtest.CA
			codes  []int
		}{{ca, test.good}, {other, test.unknown}, {nil, test.none}} {
			why := fmt.Sprint(test.auth, " ", client.codes)
			clientCfg := &Config{RootCAs: poolOf(ca), ClientSessionCache: NewLRUClientSessionCache(1)}
			if client.issuer != nil {
				clientCfg.Certificates = []tls.Certificate{client.issuer.Issue(t, certtest.Leaf{Name: "client"})}
			}
			ctx := contextOf(clientCfg, ClientMode, conns)
			_, session, err := shake(ctx, inConns, nil)
			require.Equal(t, client.codes == nil, err == nil, "%s: %v", why, err)
			if err != nil {
				continue
			}
			require.NotNil(t, session, why)
			resumed, _, err := shake(ctx, inConns, session)
			require.NoError(t, err, why)
			assert.True(t, resumed, why)
			resumed, _, err = shake(ctx, inPackets, session)
			require.NoError(t, err, why)
			assert.False(t, resumed, why)
			stranger, err := openssl.NewSSL(contextOf(clientCfg, ClientMode, packets), nil)
			require.NoError(t, err)
			assert.ErrorContains(t, stranger.SetSession(session), "not a session of this context")
			stranger.Close()
		}
	}
}
