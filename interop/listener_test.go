//go:build interop

package interop

import (
	"net/netip"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
	"github.com/ossldtls/ossldtls/verifier"
)

// listener is our server before it has a client.
type listener struct {
	*verifier.ClientVerifier
	r    *row
	wire *wire
	cfg  *dtls.Config
	mtu  int
}

func listen(r *row, loopback netip.Addr, cfg *dtls.Config) *listener {
	r.Helper()
	v, err := verifier.New()
	require.NoError(r, err)
	r.Cleanup(func() { v.Close() })
	return &listener{ClientVerifier: v, r: r, wire: newWire(r, loopback), cfg: cfg}
}

// stranger reads a datagram and has it verified, or answered. Without cookies any
// datagram will do.
func (l *listener) stranger() (datagram []byte, peer netip.AddrPort, verified bool) {
	l.r.Helper()
	deadline, _ := l.r.ctx.Deadline()
	datagram, peer, err := l.wire.read(deadline)
	require.NoError(l.r, err, "waiting for a client")
	if l.cfg.DisableCookieVerification {
		return datagram, peer, true
	}
	verified, err = l.VerifyClient(l.wire, datagram, peer)
	require.NoError(l.r, err)
	return datagram, peer, verified
}

// accept answers strangers until one of them is verified, and only then makes an
// association, which it starts.
func (l *listener) accept() (*endpoint, error) {
	l.r.Helper()
	for {
		if hello, peer, verified := l.stranger(); verified {
			return l.admit(hello, peer)
		}
	}
}

func (l *listener) admit(hello []byte, peer netip.AddrPort) (*endpoint, error) {
	l.r.Helper()
	e := newEndpoint(l.r, l.wire, dtls.ServerMode, l.cfg)
	e.SetMTUHint(l.mtu)
	require.NoError(l.r, e.SetPeer(peer, ""))
	require.NoError(l.r, e.SetCookieGeneratorParameters(l.CookieGeneratorParameters()))
	return e, e.DoHandshake(l.wire, hello)
}

// acceptComplete is accept and the handshake, which has to succeed.
func (l *listener) acceptComplete() *endpoint {
	l.r.Helper()
	e, err := l.accept()
	require.NoError(l.r, err)
	require.NoError(l.r, e.handshake())
	return e
}
