//go:build interop

package interop

import (
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

// requireAgreed checks what our side says about the session, and that the peer's
// program has said the same about version and suite.
func (s scenario) requireAgreed(e *endpoint, p *pki, version, suite string) {
	r := e.r
	r.Helper()
	require.True(r, e.IsConnectionEncrypted())
	require.Equal(r, dtls.VersionName(s.version()), dtls.VersionName(e.SessionProtocol()), "our version")
	require.Equal(r, s.versionName(), version, "the peer's version")
	require.Equal(r, e.SessionCipher().Name, suite, "our cipher suite and the peer's")
	if s.suite != "" {
		require.Equal(r, s.suite, suite)
	}
	if s.psk {
		require.Equal(r, pskIdentity, string(e.PSKIdentity()))
	}
	if s.alpn {
		require.Equal(r, agreedProto, e.NegotiatedProtocol())
	}
	s.requireCertificate(e, p)
	s.requireWire(e)
}

// requireCertificate checks that our side has the certificate that the peer showed.
func (s scenario) requireCertificate(e *endpoint, p *pki) {
	r := e.r
	r.Helper()
	require.Empty(r, e.PeerVerificationErrors())
	shown := s.serverIdentity(p)
	if e.Mode() == dtls.ServerMode {
		shown = s.clientIdentity(p)
	}
	if s.psk || e.Mode() == dtls.ServerMode && !s.client {
		require.Nil(r, e.PeerCertificate())
		return
	}
	require.Equal(r, shown.Certificate.Certificate[0], e.PeerCertificate().MarshalDER())
	require.GreaterOrEqual(r, len(e.PeerCertificateChain()), len(shown.Certificate.Certificate))
}

// requireWire checks what has crossed our socket so far: cookies, fragments, sizes.
func (s scenario) requireWire(e *endpoint) {
	r := e.r
	r.Helper()
	server := e.Mode() == dtls.ServerMode
	requests := 0
	if s.cookie {
		requests = 1
	}
	require.Equal(r, requests, e.wire.handshake(server, helloVerifyRequest), "HelloVerifyRequests")
	require.Equal(r, requests+1, e.wire.handshake(!server, clientHello), "ClientHellos")
	if server {
		s.requireStateless(e)
	}
	if s.chain || s.mtu > 0 {
		for _, out := range []bool{false, true} {
			require.Greater(r, e.wire.handshake(out, certificate), 1, "fragments of a certificate, out=%v", out)
		}
	}
	s.requireFits(e)
}

// requireFits checks that none of our datagrams so far has exceeded the MTU.
func (s scenario) requireFits(e *endpoint) {
	e.r.Helper()
	if s.mtu > 0 {
		require.LessOrEqual(e.r, e.wire.largest(), s.mtu-s.headers(), "our largest datagram")
	}
}

// requireStateless checks how our server got its client: a hello without a cookie,
// answered by a HelloVerifyRequest that is not larger, and no association until the
// hello came back with that cookie.
func (s scenario) requireStateless(e *endpoint) {
	r := e.r
	r.Helper()
	if !s.cookie {
		require.Equal(r, 1, e.strangers, "datagrams before the association")
		return
	}
	// More than one such pair if the client sent its hello again before it had the answer.
	require.Greater(r, e.strangers, 2, "datagrams before the association")
	last := e.strangers - 1
	_, shown := helloCookie(e.wire.crossings[last].datagram)
	require.Len(r, shown, 32, "the verified hello's cookie")
	for i := 0; i < last; i += 2 {
		question, answer := e.wire.crossings[i], e.wire.crossings[i+1]
		require.Equal(r, []bool{false, true}, []bool{question.out, answer.out})
		kind, none := helloCookie(question.datagram)
		require.EqualValues(r, clientHello, kind)
		require.Empty(r, none, "the first hello's cookie")
		kind, asked := helloCookie(answer.datagram)
		require.EqualValues(r, helloVerifyRequest, kind)
		require.Equal(r, asked, shown)
		require.LessOrEqual(r, len(answer.datagram), len(question.datagram))
	}
}
