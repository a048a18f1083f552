package dtls

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
	"github.com/ossldtls/ossldtls/openssl"
)

// withCache gives the client a cache and returns both configurations.
func withCache(client, server *Config) (*Config, *Config) {
	client.ClientSessionCache = NewLRUClientSessionCache(0)
	return client, server
}

// requireResumed makes a handshake and requires that it resumes a session, or that it does not.
func requireResumed(t *testing.T, client, server *Config, resumed bool, why string) *pair {
	t.Helper()
	p := newPair(t, client, server).mustShake()
	require.Equal(t, resumed, p.client.SessionResumed(), why)
	require.Equal(t, resumed, p.server.SessionResumed(), why)
	p.echo(why)
	return p
}

// mutual returns a client and a server that both want to see the other's certificate.
func mutual(t testing.TB, ca *certtest.CA) (client, server *Config) {
	client, server = &Config{RootCAs: poolOf(ca)}, &Config{ClientCAs: poolOf(ca), PeerVerifyMode: VerifyPeer}
	client.Certificates = append(client.Certificates, ca.Issue(t, certtest.Leaf{Name: "client"}))
	server.Certificates = append(server.Certificates, ca.Issue(t, certtest.Leaf{}))
	return client, server
}

func TestResumption(t *testing.T) {
	for name, configs := range map[string]func() (*Config, *Config){
		"certificate": func() (*Config, *Config) { return certConfigs(t) },
		"mutual":      func() (*Config, *Config) { return mutual(t, certtest.NewCA(t, "root")) },
		"long":        func() (*Config, *Config) { return longFlights(t) },
		"psk":         pskConfigs,
	} {
		t.Run(name, func(t *testing.T) {
			client, server := withCache(configs())
			first := requireResumed(t, client, server, false, "the first")
			full := first.fromServer.Bytes
			for i := range 3 {
				p := requireResumed(t, client, server, true, fmt.Sprint("again ", i))
				assert.Less(t, p.fromServer.Bytes, full)
				assert.Equal(t, first.client.PSKIdentity(), p.client.PSKIdentity())
				assert.Equal(t, first.server.PSKIdentity(), p.server.PSKIdentity())
				assert.Equal(t, len(first.client.PeerCertificateChain()), len(p.client.PeerCertificateChain()))
				if want := first.server.PeerCertificate(); want != nil {
					assert.True(t, want.Equal(p.server.PeerCertificate()))
				}
				one, err := p.client.ExportKeyingMaterial("EXPERIMENTAL test", nil, 32)
				require.NoError(t, err)
				other, err := p.server.ExportKeyingMaterial("EXPERIMENTAL test", nil, 32)
				require.NoError(t, err)
				assert.Equal(t, one, other)
				earlier, err := first.client.ExportKeyingMaterial("EXPERIMENTAL test", nil, 32)
				require.NoError(t, err)
				assert.NotEqual(t, earlier, one, "keys of its own")
				if i == 0 {
					require.NoError(t, p.client.Shutdown(&p.fromClient))
				} // else: freed without a word
			}
		})
	}
}

func TestWhatIsNotResumed(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	client, server := withCache(mutual(t, ca))
	newPair(t, client, server).mustShake()
	requireResumed(t, client, server, true, "the same")

	requireResumed(t, client, server.Clone(), false, "another server, though of the same settings")
	newPair(t, client, server).mustShake()
	requireResumed(t, client.Clone(), server, false, "another client, though with the same cache")
	newPair(t, client, server).mustShake()

	other := newPair(t, client, server)
	require.NoError(t, other.client.SetPeerVerificationName("example.org"))
	clientErr, _ := other.shake()
	assertError(t, clientErr, ErrPeerVerification)
	requireResumed(t, client, server, true, "still there for the right name")

	session, ok := client.ClientSessionCache.Get("localhost:4433")
	require.True(t, ok)
	client.ClientSessionCache.Put("example.org:4433", session)
	other = newPair(t, client, server)
	require.NoError(t, other.client.SetPeerVerificationName("example.org"))
	clientErr, _ = other.shake()
	assertError(t, clientErr, ErrPeerVerification)
	assert.Equal(t, []int{codeHostname}, codesOf(other.client.PeerVerificationErrors()), "under a name that it is not for")

	without := server.Clone()
	without.SessionTicketsDisabled = true
	requireResumed(t, client, without, false, "a server without tickets")
	requireResumed(t, client, without, false, "a server without tickets")
	_, ok = client.ClientSessionCache.Get("localhost:4433")
	assert.False(t, ok, "turned down: not offered again")
	client.SessionTicketsDisabled = true
	without = client.Clone()
	requireResumed(t, without, server, false, "a client without tickets")
	requireResumed(t, without, server, false, "a client without tickets")
}

// What was ignored once is asked about again, by both sides.
func TestIgnoredObjectionsAreNotResumed(t *testing.T) {
	for _, bad := range badPeers {
		for range 2 {
			p := bad.pair(t)
			p.client.config.ClientSessionCache = NewLRUClientSessionCache(1)
			var ignore []VerificationError
			for _, code := range bad.codes {
				ignore = append(ignore, VerificationError{Code: code})
			}
			p.client.IgnoreVerificationErrors(ignore...)
			p.mustShake()
			again := newPair(t, p.client.config, p.server.config)
			require.NoError(t, again.client.SetPeerVerificationName(bad.verify))
			clientErr, _ := again.shake()
			assertError(t, clientErr, ErrPeerVerification)
			assert.ElementsMatch(t, bad.codes, codesOf(again.client.PeerVerificationErrors()))
		}
	}

	ca, other := certtest.NewCA(t, "root"), certtest.NewCA(t, "other")
	for name, test := range map[string]struct {
		certificate bool
		mode        VerifyMode
		codes       []int
	}{
		"unknown, required": {true, VerifyPeer, []int{codeNoIssuerLocally}},
		"unknown, queried":  {true, QueryPeer, []int{codeNoIssuerLocally}},
		"none, required":    {false, VerifyPeer, []int{NoPeerCertificate}},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := withCache(mutual(t, ca))
			client.Certificates = nil
			if test.certificate {
				client.Certificates = append(client.Certificates, other.Issue(t, certtest.Leaf{Name: "client"}))
			}
			server.PeerVerifyMode = test.mode
			p := newPair(t, client, server)
			for _, code := range test.codes {
				p.server.IgnoreVerificationErrors(VerificationError{Code: code})
			}
			p.mustShake()
			again := newPair(t, client, server)
			_, serverErr := again.shake()
			assert.Equal(t, test.codes, codesOf(again.server.PeerVerificationErrors()))
			if test.mode != VerifyPeer {
				assert.NoError(t, serverErr)
				assert.False(t, again.server.SessionResumed())
				return
			}
			assertError(t, serverErr, ErrPeerVerification)
			require.NoError(t, again.server.AbortHandshake(&again.fromServer))
			clientErr, _ := again.carry()
			if test.certificate {
				assertError(t, clientErr, ErrTLSFatal)
			} else {
				// Resumed, and so complete on the client: it hears of it as the end.
				assertError(t, clientErr, ErrRemoteClosedConnection)
			}
		})
	}
}

// A session without a certificate is resumed, and then it is missing again. The client
// comes last, so that its server still hears of it by an alert.
func TestAnonymousServerIsNotTrustedLater(t *testing.T) {
	client, server := withCache(certConfigs(t))
	client.CipherList = "AECDH-AES128-SHA:@SECLEVEL=0"
	server.CipherList = client.CipherList
	p := newPair(t, client, server)
	p.client.IgnoreVerificationErrors(VerificationError{Code: NoPeerCertificate})
	p.mustShake()
	p = newPair(t, client, server)
	clientErr, _ := p.shake()
	assertError(t, clientErr, ErrPeerVerification)
	assert.True(t, p.client.SessionResumed())
	assert.Equal(t, []int{NoPeerCertificate}, codesOf(p.client.PeerVerificationErrors()))
	assert.Equal(t, HandshakeInProgress, p.server.HandshakeState(), "the client's flight is held back")
	require.NoError(t, p.client.AbortHandshake(&p.fromClient))
	_, serverErr := p.carry()
	assertError(t, serverErr, ErrTLSFatal)
	assert.ErrorContains(t, serverErr, "handshake failure")
}

// A server that wants a certificate for one name takes no session that was made with
// another one, or with none.
func TestServersNameIsVerifiedAgain(t *testing.T) {
	client, server := withCache(mutual(t, certtest.NewCA(t, "root")))
	named := func(name string) *pair {
		p := newPair(t, client, server)
		require.NoError(t, p.server.SetPeerVerificationName(name))
		return p
	}
	requireResumed(t, client, server, false, "no name")
	requireResumed(t, client, server, true, "no name")
	for _, before := range []string{"", "localhost"} {
		named(before).mustShake()
		for name, code := range map[string]int{"admin.example": codeHostname, "192.0.2.1": codeIPAddress} {
			p := named(name)
			_, serverErr := p.shake()
			assertError(t, serverErr, ErrPeerVerification)
			assert.Equal(t, []int{code}, codesOf(p.server.PeerVerificationErrors()))
			named(before).mustShake()
		}
	}
	assert.True(t, named("localhost").mustShake().server.SessionResumed())
}

// A handshake that is given up in any way leaves no session that fails again.
func TestSessionOfAHandshakeThatIsGivenUp(t *testing.T) {
	for name, give := range map[string]func(a *Association, sock DatagramWriter) error{
		"abort": (*Association).AbortHandshake,
		"close": func(a *Association, _ DatagramWriter) error { return a.Close() },
	} {
		client, server := withCache(certConfigs(t))
		newPair(t, client, server).mustShake()
		p := newPair(t, client, server)
		require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
		require.NoError(t, give(p.client, &p.fromClient))
		_, ok := client.ClientSessionCache.Get("localhost:4433")
		assert.False(t, ok, name)

		// Another association was quicker: its session stays.
		newPair(t, client, server).mustShake()
		p = newPair(t, client, server)
		require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
		quick := client.Clone()
		newPair(t, quick, server).mustShake()
		newer, ok := client.ClientSessionCache.Get("localhost:4433")
		require.True(t, ok)
		require.NoError(t, give(p.client, &p.fromClient))
		current, ok := client.ClientSessionCache.Get("localhost:4433")
		assert.True(t, ok, name)
		assert.Same(t, newer, current)
	}
}

// The ticket holds the client's certificate, and has to fit the next ClientHello.
func TestLargeClientCertificates(t *testing.T) {
	for size, resumed := range map[int]bool{5000: true, 15000: true, 20000: false, 31000: false} {
		ca := certtest.NewCA(t, "root")
		client, server := withCache(mutual(t, ca))
		client.Certificates[0] = ca.Issue(t, certtest.Leaf{Name: "client", Padding: size})
		requireResumed(t, client, server, false, "the first")
		requireResumed(t, client, server, resumed, "the second")
	}
}

// A cache that panics leaves an association that can be closed, or that works.
func TestCacheThatPanics(t *testing.T) {
	client, server := certConfigs(t)
	client.ClientSessionCache = panicking{}
	p := newPair(t, client, server)
	assert.Panics(t, func() { _ = p.client.DoHandshake(&p.fromClient, nil) })
	assert.Equal(t, HandshakeNotStarted, p.client.HandshakeState())
	client = client.Clone()
	client.ClientSessionCache = panicking{nothing{}}
	p = newPair(t, client, server)
	assert.Panics(t, func() { _, _ = p.shake() })
	_, _ = p.carry()
	assert.Equal(t, HandshakeComplete, p.client.HandshakeState())
	p.echo("all the same")
}

// panicking is a cache that panics, in Get unless it has another's.
type panicking struct{ ClientSessionCache }

func (panicking) Put(string, *ClientSession) { panic("boom") }

// The handshake fails with the session that is offered: it is not offered again.
func TestSessionOfAFailedHandshakeIsForgotten(t *testing.T) {
	client, server := withCache(certConfigs(t))
	newPair(t, client, server).mustShake()
	p := newPair(t, client, server)
	require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
	err := p.client.DoHandshake(&p.fromClient, []byte{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 80})
	assertError(t, err, ErrTLSFatal)
	requireResumed(t, client, server, false, "after internal_error")
	requireResumed(t, client, server, true, "and then again")
}

func TestSessionCache(t *testing.T) {
	client, server := certConfigs(t)
	client.ClientSessionCache = NewLRUClientSessionCache(2)
	at := func(port uint16) *pair {
		p := newPair(t, client, server)
		require.NoError(t, p.client.SetPeer(netipPort(port), "localhost"))
		return p.mustShake()
	}
	assert.False(t, at(1).client.SessionResumed())
	assert.False(t, at(2).client.SessionResumed())
	assert.True(t, at(1).client.SessionResumed())
	assert.False(t, at(3).client.SessionResumed(), "2 has to make room: 1 was used later")
	assert.True(t, at(1).client.SessionResumed())
	assert.False(t, at(2).client.SessionResumed())
	cache := client.ClientSessionCache
	session, ok := cache.Get("localhost:2")
	require.True(t, ok)
	assert.WithinDuration(t, time.Now().Add(2*time.Hour), session.Expires(), time.Minute)
	cache.Put("localhost:2", nil)
	cache.Put("localhost:9", nil)
	_, ok = cache.Get("localhost:2")
	assert.False(t, ok)
	cache.Put("expired", &openssl.Session{})
	_, ok = cache.Get("expired")
	assert.False(t, ok)
	client.ClientSessionCache = nothing{}
	assert.False(t, at(1).client.SessionResumed(), "a cache that answers nonsense does no harm")
}

// nothing is a cache that has nothing and says that it has it.
type nothing struct{}

func (nothing) Get(string) (*ClientSession, bool) { return nil, true }
func (nothing) Put(string, *ClientSession)        {}
