//go:build interop

package interop

import (
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

// side is our side of a session.
type side interface {
	test() *row
	mode() dtls.Mode
	state() dtls.ConnectionState
	record() *tape
	send(payload string)
	expect(payload string) // receives a payload, which has to be this one
	fill() int             // the size of a payload that fills a datagram, or a large one
}

// requireAgreed checks what our side says about the session, and that the peer's
// program has said the same about version and suite.
func (s scenario) requireAgreed(e side, p *pki, version, suite string) {
	r, state := e.test(), e.state()
	r.Helper()
	require.True(r, state.HandshakeComplete)
	require.Equal(r, dtls.VersionName(s.version()), dtls.VersionName(state.Version), "our version")
	require.Equal(r, s.versionName(), version, "the peer's version")
	require.Equal(r, state.Cipher.Name, suite, "our cipher suite and the peer's")
	if s.suite != "" {
		require.Equal(r, s.suite, suite)
	}
	if s.psk {
		require.Equal(r, pskIdentity, string(state.PSKIdentity))
	}
	if s.alpn {
		require.Equal(r, agreedProto, state.NegotiatedProtocol)
	}
	s.requireCertificate(e, p)
	s.requireWire(e)
}

// requireCertificate checks that our side has the certificate that the peer showed.
func (s scenario) requireCertificate(e side, p *pki) {
	r, state := e.test(), e.state()
	r.Helper()
	require.Empty(r, state.VerificationErrors)
	shown := s.serverIdentity(p)
	if e.mode() == dtls.ServerMode {
		shown = s.clientIdentity(p)
	}
	if s.psk || e.mode() == dtls.ServerMode && !s.client {
		require.Empty(r, state.RawPeerCertificates)
		return
	}
	require.GreaterOrEqual(r, len(state.RawPeerCertificates), len(shown.Certificate.Certificate))
	require.Equal(r, shown.Certificate.Certificate[0], state.RawPeerCertificates[0])
}

// requireWire checks what has crossed so far: cookies, fragments, sizes.
func (s scenario) requireWire(e side) {
	r, wire := e.test(), e.record()
	r.Helper()
	server := e.mode() == dtls.ServerMode
	requests := 0
	if s.cookie {
		requests = 1
	}
	require.Equal(r, requests, wire.handshake(server, helloVerifyRequest), "HelloVerifyRequests")
	require.Equal(r, requests+1, wire.handshake(!server, clientHello), "ClientHellos")
	if s.chain || s.mtu > 0 {
		for _, out := range []bool{false, true} {
			require.Greater(r, wire.handshake(out, certificate), 1, "fragments of a certificate, out=%v", out)
		}
	}
	s.requireFits(e)
}

// requireFits checks that none of our datagrams so far has exceeded the MTU.
func (s scenario) requireFits(e side) {
	r := e.test()
	r.Helper()
	if s.mtu > 0 {
		require.LessOrEqual(r, e.record().largest(), s.mtu-s.headers(), "our largest datagram")
	}
}

// requireStateless checks how an association of ours got its client: a hello without a cookie,
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
	crossings, _ := e.wire.crossed()
	_, shown := helloCookie(crossings[last].datagram)
	require.Len(r, shown, 32, "the verified hello's cookie")
	for i := 0; i < last; i += 2 {
		question, answer := crossings[i], crossings[i+1]
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
