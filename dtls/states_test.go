package dtls

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
	"github.com/ossldtls/ossldtls/internal/dgramtest"
)

// inState returns an association of the mode in the state, and its socket.
func inState(t *testing.T, mode Mode, state HandshakeState) (*Association, *dgramtest.End) {
	t.Helper()
	ca, other := certtest.NewCA(t, "root"), certtest.NewCA(t, "other")
	client, server := &Config{RootCAs: poolOf(ca)}, &Config{ClientCAs: poolOf(ca), PeerVerifyMode: VerifyPeer}
	client.Certificates = append(client.Certificates, ca.Issue(t, certtest.Leaf{Name: "client"}))
	server.Certificates = append(server.Certificates, ca.Issue(t, certtest.Leaf{}))
	if state == PeerVerificationFailed {
		client.RootCAs, server.ClientCAs = poolOf(other), poolOf(other)
		if mode == ServerMode {
			client.PeerVerifyMode = VerifyNone
		}
	}
	p := newPair(t, client, server)
	a, sock := p.client, &p.fromClient
	if mode == ServerMode {
		a, sock = p.server, &p.fromServer
	}
	if state != HandshakeNotStarted {
		require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
	}
	for a.HandshakeState() != state {
		up, down := p.fromClient.Take(), p.fromServer.Take()
		require.NotZero(t, len(up)+len(down), "state %v was not reached", state)
		_, _ = p.deliver(up, down)
	}
	sock.Take()
	return a, sock
}

// operation is one that not every state permits.
type operation struct {
	permitted []HandshakeState
	do        func(t *testing.T, a *Association, sock DatagramWriter) error
}

var operations = map[string]operation{
	"SetPeer": {[]HandshakeState{HandshakeNotStarted}, func(_ *testing.T, a *Association, _ DatagramWriter) error {
		return a.SetPeer(serverAddr, "other")
	}},
	"SetPeerVerificationName": {[]HandshakeState{HandshakeNotStarted}, func(_ *testing.T, a *Association, _ DatagramWriter) error {
		return a.SetPeerVerificationName("other")
	}},
	"SetDTLSConfiguration": {[]HandshakeState{HandshakeNotStarted}, func(_ *testing.T, a *Association, _ DatagramWriter) error {
		_, cfg := pskConfigs()
		return a.SetDTLSConfiguration(cfg)
	}},
	"SetCookieGeneratorParameters": {[]HandshakeState{HandshakeNotStarted}, func(_ *testing.T, a *Association, _ DatagramWriter) error {
		return a.SetCookieGeneratorParameters(GeneratorParameters{Secret: []byte("s")})
	}},
	"DoHandshake": {[]HandshakeState{HandshakeNotStarted, HandshakeInProgress}, func(t *testing.T, a *Association, sock DatagramWriter) error {
		switch {
		case a.HandshakeState() == HandshakeNotStarted && a.Mode() == ClientMode:
			return a.DoHandshake(sock, nil)
		case a.HandshakeState() == HandshakeNotStarted:
			// Permitted, and then the cookie is missing.
			assertError(t, a.DoHandshake(sock, []byte("no hello")), ErrTLSFatal)
			return nil
		}
		return a.DoHandshake(sock, []byte("junk"))
	}},
	"HandleTimeout": {[]HandshakeState{HandshakeInProgress, HandshakeComplete}, func(_ *testing.T, a *Association, sock DatagramWriter) error {
		return second(a.HandleTimeout(sock))
	}},
	"ResumeHandshake": {[]HandshakeState{PeerVerificationFailed}, func(_ *testing.T, a *Association, sock DatagramWriter) error {
		a.IgnoreVerificationErrors(a.PeerVerificationErrors()...)
		return a.ResumeHandshake(sock)
	}},
	"AbortHandshake": {[]HandshakeState{HandshakeInProgress, PeerVerificationFailed}, func(_ *testing.T, a *Association, sock DatagramWriter) error {
		return a.AbortHandshake(sock)
	}},
	"Shutdown": {[]HandshakeState{HandshakeComplete}, func(_ *testing.T, a *Association, sock DatagramWriter) error {
		return a.Shutdown(sock)
	}},
	"WriteDatagramEncrypted": {[]HandshakeState{HandshakeComplete}, func(_ *testing.T, a *Association, sock DatagramWriter) error {
		return second(a.WriteDatagramEncrypted(sock, []byte("x")))
	}},
	"ExportKeyingMaterial": {[]HandshakeState{HandshakeComplete}, func(_ *testing.T, a *Association, _ DatagramWriter) error {
		return second(a.ExportKeyingMaterial("EXPERIMENTAL test", nil, 32))
	}},
	"DecryptDatagram": {[]HandshakeState{HandshakeComplete}, func(_ *testing.T, a *Association, sock DatagramWriter) error {
		return second(a.DecryptDatagram(sock, []byte("junk")))
	}},
}

func second[T any](_ T, err error) error { return err }

var allStates = []HandshakeState{HandshakeNotStarted, HandshakeInProgress, PeerVerificationFailed, HandshakeComplete}

// Every operation in every state, as a client and as a server: what a state does not
// permit is ErrInvalidOperation, sends nothing and changes nothing.
func TestEveryOperationInEveryState(t *testing.T) {
	for name, op := range operations {
		for _, state := range allStates {
			for _, mode := range []Mode{ClientMode, ServerMode} {
				t.Run(name+"/"+state.String()+"/"+mode.String(), func(t *testing.T) {
					a, sock := inState(t, mode, state)
					encrypted, cipher := a.IsConnectionEncrypted(), a.SessionCipher()
					err := op.do(t, a, sock)
					for _, permitted := range op.permitted {
						if state == permitted {
							require.NoError(t, err)
							return
						}
					}
					assertError(t, err, ErrInvalidOperation)
					assert.Equal(t, ErrInvalidOperation, a.DTLSError())
					assert.Equal(t, err.Error(), a.DTLSErrorString())
					assert.Equal(t, state, a.HandshakeState())
					assert.Equal(t, encrypted, a.IsConnectionEncrypted())
					assert.Equal(t, cipher, a.SessionCipher())
					assert.Empty(t, sock.Take())
				})
			}
		}
	}
}

// Every method in every state, and after Close, and without a socket: no crash.
func TestQuestionsInEveryState(t *testing.T) {
	ask := func(a *Association) {
		a.Mode()
		a.PeerAddress()
		a.PeerPort()
		a.PeerVerificationName()
		a.DTLSConfiguration()
		a.CookieGeneratorParameters()
		a.MTUHint()
		a.SetMTUHint(1400)
		a.MaxDatagramSize()
		a.NextTimeout()
		a.PeerVerificationErrors()
		a.IgnoreVerificationErrors()
		a.IsConnectionEncrypted()
		a.SessionCipher()
		a.SessionProtocol()
		a.PeerCertificate()
		a.PeerCertificateChain()
		a.NegotiatedProtocol()
		a.PSKIdentity()
		a.SRTPProfile()
		a.SessionResumed()
		a.DTLSError()
		a.DTLSErrorString()
		a.SetHandshakeTimeoutFunc(func() {})
		a.SetHandshakeTimeoutFunc(nil)
	}
	for _, state := range allStates {
		for _, mode := range []Mode{ClientMode, ServerMode} {
			a, _ := inState(t, mode, state)
			ask(a)
			for name, err := range map[string]error{
				"handshake":      a.DoHandshake(nil, nil),
				"handle timeout": second(a.HandleTimeout(nil)),
				"resume":         a.ResumeHandshake(nil),
				"abort":          a.AbortHandshake(nil),
				"shutdown":       a.Shutdown(nil),
				"write":          second(a.WriteDatagramEncrypted(nil, []byte("x"))),
				"decrypt":        second(a.DecryptDatagram(nil, []byte("x"))),
			} {
				assert.Error(t, err, name)
				assert.Equal(t, state, a.HandshakeState(), name)
			}
			require.NoError(t, a.Close())
			require.NoError(t, a.Close())
			ask(a)
			for name, op := range operations {
				if name == "DoHandshake" {
					continue // expects an open association
				}
				assertError(t, op.do(t, a, &dgramtest.End{}), ErrInvalidOperation)
			}
			assertError(t, a.DoHandshake(&dgramtest.End{}, nil), ErrInvalidOperation)
		}
	}
}

func TestInvalidInput(t *testing.T) {
	sock := &dgramtest.End{}
	client, server := newCertPair(t).client, newCertPair(t).server
	assertError(t, client.DoHandshake(nil, nil), ErrInvalidInputParameters)
	assertError(t, client.DoHandshake(sock, []byte("datagram")), ErrInvalidInputParameters)
	assertError(t, server.DoHandshake(sock, nil), ErrInvalidInputParameters)

	fresh, err := NewAssociation(ClientMode, nil)
	require.NoError(t, err)
	defer fresh.Close()
	assertError(t, fresh.DoHandshake(sock, nil), ErrInvalidOperation)
	_, err = NewAssociation(Mode(7), nil)
	assertError(t, err, ErrInvalidInputParameters)

	a, end := inState(t, ClientMode, HandshakeInProgress)
	assertError(t, a.DoHandshake(end, nil), ErrInvalidInputParameters)
	assert.Equal(t, HandshakeInProgress, a.HandshakeState(), "an empty datagram of a stranger does no harm")
	a, end = inState(t, ClientMode, HandshakeComplete)
	for _, payload := range [][]byte{nil, {}, make([]byte, MaxPayload+1)} {
		n, err := a.WriteDatagramEncrypted(end, payload)
		assertError(t, err, ErrInvalidInputParameters)
		assert.Zero(t, n)
	}
	assert.Empty(t, end.Take())
	n, err := a.WriteDatagramEncrypted(end, make([]byte, MaxPayload))
	require.NoError(t, err)
	assert.Equal(t, MaxPayload, n)
}
