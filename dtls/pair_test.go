package dtls

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
	"github.com/ossldtls/ossldtls/internal/dgramtest"
	"github.com/ossldtls/ossldtls/verifier"
)

var (
	clientAddr = netip.MustParseAddrPort("192.0.2.1:40000")
	serverAddr = netip.MustParseAddrPort("192.0.2.2:4433")
)

// pair is a client and a server with a network in memory between them.
type pair struct {
	t              testing.TB
	client, server *Association
	fromClient     dgramtest.End
	fromServer     dgramtest.End
	verifier       *verifier.ClientVerifier // nil: the server verifies no cookies
}

func newPair(t testing.TB, clientCfg, serverCfg *Config) *pair {
	t.Helper()
	p := &pair{t: t}
	var err error
	p.client, err = NewAssociation(ClientMode, clientCfg)
	require.NoError(t, err)
	t.Cleanup(func() { p.client.Close() })
	require.NoError(t, p.client.SetPeer(serverAddr, "localhost"))
	if !serverCfg.DisableCookieVerification {
		p.verifier, err = verifier.New()
		require.NoError(t, err)
		t.Cleanup(func() { p.verifier.Close() })
	}
	p.server, err = NewAssociation(ServerMode, serverCfg)
	require.NoError(t, err)
	t.Cleanup(func() { p.server.Close() })
	require.NoError(t, p.server.SetPeer(clientAddr, ""))
	return p
}

func newCertPair(t testing.TB) *pair {
	t.Helper()
	client, server := certConfigs(t)
	return newPair(t, client, server)
}

func newPSKPair(t testing.TB) *pair {
	t.Helper()
	client, server := pskConfigs()
	return newPair(t, client, server)
}

// toServer hands a datagram to the server's side: to the verifier until the server
// has started, then to the server.
func (p *pair) toServer(datagram []byte) error {
	switch {
	case p.server.HandshakeState() == HandshakeNotStarted && p.verifier != nil:
		verified, err := p.verifier.VerifyClient(&p.fromServer, datagram, clientAddr)
		if err != nil || !verified {
			return err
		}
		return p.server.DoHandshake(&p.fromServer, p.verifier.VerifiedHello())
	case p.server.HandshakeState() == HandshakeComplete:
		_, err := p.server.DecryptDatagram(&p.fromServer, datagram)
		return err
	}
	return p.server.DoHandshake(&p.fromServer, datagram)
}

func (p *pair) toClient(datagram []byte) error {
	if p.client.HandshakeState() == HandshakeComplete {
		_, err := p.client.DecryptDatagram(&p.fromClient, datagram)
		return err
	}
	return p.client.DoHandshake(&p.fromClient, datagram)
}

// deliver hands datagrams to the two sides.
func (p *pair) deliver(up, down [][]byte) (clientErr, serverErr error) {
	for _, d := range up {
		serverErr = errors.Join(serverErr, p.toServer(d))
	}
	for _, d := range down {
		clientErr = errors.Join(clientErr, p.toClient(d))
	}
	return clientErr, serverErr
}

// carry moves datagrams until neither side has one to send, or one side fails.
func (p *pair) carry() (clientErr, serverErr error) {
	for {
		up, down := p.fromClient.Take(), p.fromServer.Take()
		if len(up)+len(down) == 0 {
			return nil, nil
		}
		clientErr, serverErr = p.deliver(up, down)
		if clientErr != nil || serverErr != nil {
			return clientErr, serverErr
		}
	}
}

// shake starts the client and carries its handshake to the end.
func (p *pair) shake() (clientErr, serverErr error) {
	if err := p.client.DoHandshake(&p.fromClient, nil); err != nil {
		return err, nil
	}
	return p.carry()
}

func (p *pair) mustShake() *pair {
	p.t.Helper()
	clientErr, serverErr := p.shake()
	require.NoError(p.t, clientErr)
	require.NoError(p.t, serverErr)
	require.Equal(p.t, HandshakeComplete, p.client.HandshakeState())
	require.Equal(p.t, HandshakeComplete, p.server.HandshakeState())
	return p
}

// echo sends a datagram each way and requires that it arrives.
func (p *pair) echo(text string) {
	p.t.Helper()
	n, err := p.client.WriteDatagramEncrypted(&p.fromClient, []byte(text))
	require.NoError(p.t, err)
	require.Equal(p.t, len(text), n)
	up := p.fromClient.Take()
	require.Len(p.t, up, 1)
	got, err := p.server.DecryptDatagram(&p.fromServer, up[0])
	require.NoError(p.t, err)
	require.Len(p.t, got, 1)
	require.Equal(p.t, text, string(got[0]))
	_, err = p.server.WriteDatagramEncrypted(&p.fromServer, got[0])
	require.NoError(p.t, err)
	down := p.fromServer.Take()
	require.Len(p.t, down, 1)
	got, err = p.client.DecryptDatagram(&p.fromClient, down[0])
	require.NoError(p.t, err)
	require.Len(p.t, got, 1)
	require.Equal(p.t, text, string(got[0]))
}

func poolOf(ca *certtest.CA) *CertPool {
	pool := NewCertPool()
	pool.AddCert(ca.Cert)
	return pool
}

// certConfigs returns a client that trusts the server's certificate, and the server.
func certConfigs(t testing.TB) (client, server *Config) {
	t.Helper()
	ca := certtest.NewCA(t, "root")
	server = &Config{PeerVerifyMode: VerifyNone}
	server.Certificates = append(server.Certificates, ca.Issue(t, certtest.Leaf{}))
	return &Config{RootCAs: poolOf(ca)}, server
}

// pskConfigs returns a client and a server with the same key.
func pskConfigs() (client, server *Config) {
	key := []byte{0x1a, 0x2b, 0x3c, 0x4d, 0x5e, 0x6f}
	client = &Config{PSK: func(psk *PSK) error {
		psk.Identity, psk.PreSharedKey = []byte("device 7"), key
		return nil
	}}
	server = &Config{PSKIdentityHint: "the hint", PSK: func(psk *PSK) error {
		if string(psk.Identity) == "device 7" {
			psk.PreSharedKey = key
		}
		return nil
	}}
	return client, server
}

// longFlights returns configurations whose flights take several datagrams each way.
func longFlights(t testing.TB) (client, server *Config) {
	t.Helper()
	ca := certtest.NewCA(t, "root")
	inner := ca.Intermediate(t, "intermediate", 1500)
	client, server = &Config{RootCAs: poolOf(ca)}, &Config{ClientCAs: poolOf(ca), PeerVerifyMode: VerifyPeer}
	client.Certificates = append(client.Certificates, inner.Issue(t, certtest.Leaf{Name: "client", Padding: 500}))
	server.Certificates = append(server.Certificates, inner.Issue(t, certtest.Leaf{}))
	return client, server
}

// netipPort returns the server's address with another port.
func netipPort(port uint16) netip.AddrPort { return netip.AddrPortFrom(serverAddr.Addr(), port) }
