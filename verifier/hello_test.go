package verifier

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/openssl"
)

var peer = netip.MustParseAddrPort("192.0.2.1:40000")

// visitor is a client that says hello: once without a cookie, then with it.
type visitor struct {
	t   testing.TB
	ssl *openssl.SSL
	out openssl.Datagrams
}

func newVisitor(t testing.TB) *visitor {
	t.Helper()
	b, err := openssl.NewCtx(false)
	require.NoError(t, err)
	ctx, err := b.Build()
	require.NoError(t, err)
	defer ctx.Close()
	ssl, err := openssl.NewSSL(ctx, nil)
	require.NoError(t, err)
	t.Cleanup(ssl.Close)
	return &visitor{t: t, ssl: ssl}
}

// hello returns the ClientHello without a cookie, or with the one in the
// HelloVerifyRequest given.
func (v *visitor) hello(helloVerifyRequest []byte) []byte {
	v.t.Helper()
	v.out.Reset()
	_, err := v.ssl.DoHandshake(helloVerifyRequest, &v.out)
	require.NoError(v.t, err)
	require.Equal(v.t, 1, v.out.Len())
	return append([]byte(nil), v.out.At(0)...)
}

// cookieOf cuts the cookie out of a HelloVerifyRequest: RFC 6347 §4.2.1.
func cookieOf(t testing.TB, helloVerifyRequest []byte) []byte {
	t.Helper()
	const before = 13 + 12 + 2
	require.Greater(t, len(helloVerifyRequest), before)
	require.Equal(t, byte(3), helloVerifyRequest[13], "no HelloVerifyRequest")
	cookie := helloVerifyRequest[before+1:]
	require.Len(t, cookie, int(helloVerifyRequest[before]))
	return cookie
}

func newVerifier(t testing.TB) *ClientVerifier {
	t.Helper()
	v, err := New()
	require.NoError(t, err)
	t.Cleanup(func() { v.Close() })
	return v
}
