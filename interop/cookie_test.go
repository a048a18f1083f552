//go:build interop

package interop

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
	"github.com/ossldtls/ossldtls/openssl"
	"github.com/ossldtls/ossldtls/verifier"
)

const qtVerifierName = "Qt QDtlsClientVerifier"

var cookieSecret = []byte("a secret that two servers share.")

// cookieHashes are those that Qt's QDtlsClientVerifier knows, by Qt's names.
var cookieHashes = []string{"md5", "sha1", "sha256", "sha384", "sha512", "sha3-256"}

// cookieAddresses hold the kinds of address that a socket reports.
var cookieAddresses = []string{"127.0.0.1", "::1", "::ffff:127.0.0.1"}

// TestCookies compares our cookies with those of QDtlsClientVerifier, byte for byte,
// and has it verify ours.
func TestCookies(t *testing.T) {
	for _, hash := range cookieHashes {
		for _, address := range cookieAddresses {
			check(t, qtVerifierName, "our verifier", "cookie "+hash+" "+address, func(r *row) {
				peer := freePort(r, netip.MustParseAddr(address))
				key, err := openssl.NewCookieKey(strings.ToUpper(hash), cookieSecret, nil)
				require.NoError(r, err)
				defer key.Close()
				ours, err := key.Cookie(nil, peer)
				require.NoError(r, err)

				first, second := hellos(r, verifier.GeneratorParameters{Hash: strings.ToUpper(hash), Secret: cookieSecret}, peer)
				_, shown := helloCookie(second)
				require.Equal(r, ours, shown, "the cookie in our hello")
				require.Equal(r, hex.EncodeToString(ours), askQt(r, "cookie", `^COOKIE hex=(\S+)$`, hash, peer, first))
				require.Equal(r, "yes", askQt(r, "verify", `^VERIFIED (\S+)$`, hash, peer, second))
				shown[len(shown)-1] ^= 1 // inside second
				require.Equal(r, "no", askQt(r, "verify", `^VERIFIED (\S+)$`, hash, peer, second))
			})
		}
	}
}

// askQt asks the Qt verifier about a hello from a peer.
func askQt(r *row, command, answer, hash string, peer netip.AddrPort, hello []byte) string {
	r.Helper()
	p := startQt(r, command, append(qtAddressFlags(peer),
		"--hash", hash, "--secret", hex.EncodeToString(cookieSecret), "--hello", hex.EncodeToString(hello))...)
	found := p.await(answer)[1]
	require.Zero(r, p.exit())
	return found
}

// hellos returns the ClientHello of our client, and the one that it answers our
// verifier's HelloVerifyRequest with.
func hellos(r *row, params verifier.GeneratorParameters, peer netip.AddrPort) (first, second []byte) {
	r.Helper()
	v, err := verifier.New()
	require.NoError(r, err)
	defer v.Close()
	require.NoError(r, v.SetCookieGeneratorParameters(params))
	client, err := dtls.NewAssociation(dtls.ClientMode, nil)
	require.NoError(r, err)
	defer client.Close()
	require.NoError(r, client.SetPeer(netip.MustParseAddrPort("127.0.0.1:4433"), "localhost"))

	var sent keeper
	require.NoError(r, client.DoHandshake(&sent, nil))
	first = sent.last
	request, verified, err := v.Verify(nil, first, peer)
	require.NoError(r, err)
	require.False(r, verified)
	require.NoError(r, client.DoHandshake(&sent, request))
	second = sent.last
	_, verified, err = v.Verify(nil, second, peer)
	require.NoError(r, err)
	require.True(r, verified)
	return first, second
}

// keeper keeps the last datagram instead of sending it.
type keeper struct{ last []byte }

func (k *keeper) WriteToUDPAddrPort(datagram []byte, _ netip.AddrPort) (int, error) {
	k.last = bytes.Clone(datagram)
	return len(datagram), nil
}
