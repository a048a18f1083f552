package openssl

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
	"github.com/ossldtls/ossldtls/internal/faketime"
)

// However long the decision takes, no timer of the server's runs meanwhile; the client's
// does, and each hello that it sends again may be dropped or be what goes on.
func TestLongPause(t *testing.T) {
	key, err := NewCookieKey("SHA256", []byte("secret"), nil)
	require.NoError(t, err)
	defer key.Close()
	ca := certtest.NewCA(t, "root")
	serverCtx := ctxOf(t, true, (*CtxBuilder).PauseAtClientHello, withCertificate(t, ca, certtest.Leaf{}))
	clientCtx := ctxOf(t, false, withRoot(t, ca, VerifyStrict), withALPN(manyProtos()...))
	for _, key := range []*CookieKey{nil, key} {
		for _, mtu := range []int{228, 4000} {
			for _, dropped := range []bool{true, false} {
				client, server := sslOf(t, clientCtx, nil), sslOf(t, serverCtx, nil)
				client.SetMTU(mtu, 0, 28)
				var out, again Datagrams
				require.NoError(t, feed(t, server, key, hello(t, client, key), &out))
				for range 5 {
					faketime.Advance(time.Minute)
					due, err := server.HandleTimeout(&out)
					require.NoError(t, err)
					assert.False(t, due)
					again.Reset()
					due, err = client.HandleTimeout(&again)
					require.NoError(t, err)
					assert.True(t, due)
				}
				_, paused := server.ClientHello()
				require.True(t, paused)
				assert.Zero(t, out.Len())
				if dropped {
					require.NoError(t, second(server.DoHandshake(nil, &out)))
				} else {
					for d := range again.All() {
						require.NoError(t, second(server.DoHandshake(d, &out)))
					}
				}
				flight := out.Len()
				assert.InDelta(t, 1, flight, 1, "one flight, in one or two datagrams")
				due, err := server.HandleTimeout(&out)
				require.NoError(t, err)
				assert.False(t, due, "not due yet")
				faketime.Advance(1100 * time.Millisecond)
				due, err = server.HandleTimeout(&out)
				require.NoError(t, err)
				assert.True(t, due)
				assert.Equal(t, flight+4, out.Len(), "OpenSSL repeats each message in a datagram of its own")
				require.NoError(t, carry(client, server, Datagrams{}, out))
				assert.True(t, client.HandshakeDone())
				assert.True(t, server.HandshakeDone())
			}
		}
	}
}

// The alert of a server that has sent nothing yet is no repeat of what the verifier has sent
// in its place: a client drops records whose number it has seen.
func TestAbortAfterManyHellos(t *testing.T) {
	key, err := NewCookieKey("SHA256", []byte("secret"), nil)
	require.NoError(t, err)
	defer key.Close()
	client, listener := sslOf(t, ctxOf(t, false), nil), sslOf(t, ctxOf(t, true), nil)
	var hellos, answers, out Datagrams
	require.NoError(t, second(client.DoHandshake(nil, &hellos)))
	for range 3 {
		faketime.Advance(time.Minute)
		due, err := client.HandleTimeout(&hellos)
		require.NoError(t, err)
		require.True(t, due)
	}
	for d := range hellos.All() {
		verified, err := listener.Listen(key, clientAddr, d, &answers)
		require.NoError(t, err)
		require.False(t, verified)
	}
	for d := range answers.All() {
		require.NoError(t, second(client.DoHandshake(d, &out)))
	}
	server := sslOf(t, ctxOf(t, true), nil)
	var alert Datagrams
	verified, err := server.Listen(key, clientAddr, out.At(0), &alert)
	require.NoError(t, err)
	require.True(t, verified)
	require.NoError(t, server.Abort(AlertHandshakeFailure, false, &alert))
	require.Equal(t, 1, alert.Len())
	assert.ErrorContains(t, second(client.DoHandshake(alert.At(0), &out)), "handshake failure")
	requireAlert(t, client, AlertHandshakeFailure)
}
