package verifier

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// qtCookie is the cookie as Qt computes it: HMAC(hash, secret, port ‖ address) in the
// host's byte order.
func qtCookie(sum func() hash.Hash, secret []byte, peer netip.AddrPort) []byte {
	input := binary.NativeEndian.AppendUint16(nil, peer.Port())
	if peer.Addr().Is4() {
		a := peer.Addr().As4()
		input = binary.NativeEndian.AppendUint32(input, binary.BigEndian.Uint32(a[:]))
	} else {
		a := peer.Addr().As16()
		input = append(input, a[:]...)
	}
	mac := hmac.New(sum, secret)
	mac.Write(input)
	return mac.Sum(nil)
}

func TestCookieIsQts(t *testing.T) {
	secret := []byte("a secret that both servers share")
	for name, sum := range map[string]func() hash.Hash{
		"": sha256.New, "SHA256": sha256.New, "sha256": sha256.New, "SHA1": sha1.New, "MD5": md5.New,
		"SHA224": sha256.New224, "SHA384": sha512.New384, "SHA512": sha512.New,
		"SHA3-256": func() hash.Hash { return sha3.New256() },
	} {
		for _, addr := range []string{"192.0.2.1:40000", "127.0.0.1:1", "[2001:db8::7]:65535", "[::ffff:192.0.2.1]:9", "[fe80::1%eth0]:7"} {
			peer := netip.MustParseAddrPort(addr)
			v := newVerifier(t)
			require.NoError(t, v.SetCookieGeneratorParameters(GeneratorParameters{Hash: name, Secret: secret}))
			reply, verified, err := v.Verify(nil, newVisitor(t).hello(nil), peer)
			require.NoError(t, err)
			require.False(t, verified)
			assert.Equal(t, qtCookie(sum, secret, peer), cookieOf(t, reply), "%q %s", name, addr)
		}
	}
}

func TestEveryHashOfOpenSSL(t *testing.T) {
	for _, name := range []string{"SHA256", "SHA512-256", "SHA3-512", "SM3", "BLAKE2S-256", "BLAKE2B-512", "MD5-SHA1"} {
		v := newVerifier(t)
		if err := v.SetCookieGeneratorParameters(GeneratorParameters{Hash: name, Secret: []byte("s")}); err != nil {
			// OpenSSL 1.1.1 spells a few of them differently, and then says so by name.
			assert.ErrorContains(t, err, name)
			continue
		}
		client := newVisitor(t)
		reply, _, err := v.Verify(nil, client.hello(nil), peer)
		require.NoError(t, err)
		_, verified, err := v.Verify(nil, client.hello(reply), peer)
		require.NoError(t, err)
		assert.True(t, verified, name)
	}
}

func TestParametersThatAreRefused(t *testing.T) {
	v := newVerifier(t)
	require.NoError(t, v.SetCookieGeneratorParameters(GeneratorParameters{Hash: "SHA384", Secret: []byte("old")}))
	for text, params := range map[string]GeneratorParameters{
		"the secret is empty": {Hash: "SHA256"},
		"no-such-hash":        {Hash: "no-such-hash", Secret: []byte("s")},
		"SHAKE128":            {Hash: "SHAKE128", Secret: []byte("s")}, // no HMAC with it
		"NULL":                {Hash: "NULL", Secret: []byte("s")},     // of no bytes
		"zero byte":           {Hash: "SHA256\x00junk", Secret: []byte("s")},
	} {
		err := v.SetCookieGeneratorParameters(params)
		require.ErrorIs(t, err, ErrInvalidInputParameters)
		require.ErrorContains(t, err, text)
		assert.Equal(t, ErrInvalidInputParameters, v.DTLSError())
		assert.Equal(t, err.Error(), v.DTLSErrorString())
		got := v.CookieGeneratorParameters()
		assert.Equal(t, "SHA384", got.Hash)
		assert.Equal(t, "old", string(got.Secret), "the old one is kept")
	}
}

func TestDefaultSecretIsSharedByTheProcess(t *testing.T) {
	a, b := newVerifier(t), newVerifier(t)
	params := a.CookieGeneratorParameters()
	assert.Equal(t, params, b.CookieGeneratorParameters())
	assert.Equal(t, DefaultHash, params.Hash)
	assert.Len(t, params.Secret, 32)
	assert.NotEqual(t, make([]byte, 32), params.Secret)
	def, err := DefaultParameters()
	require.NoError(t, err)
	assert.Equal(t, def, params)
	params.Secret[0] ^= 1
	assert.NotEqual(t, params, b.CookieGeneratorParameters(), "a copy is returned")

	client := newVisitor(t)
	reply, _, err := a.Verify(nil, client.hello(nil), peer)
	require.NoError(t, err)
	_, verified, err := b.Verify(nil, client.hello(reply), peer)
	require.NoError(t, err)
	assert.True(t, verified)
}

func TestRotation(t *testing.T) {
	v := newVerifier(t)
	accepts := func(secret string) bool {
		t.Helper()
		other := newVerifier(t)
		require.NoError(t, other.SetCookieGeneratorParameters(GeneratorParameters{Secret: []byte(secret)}))
		client := newVisitor(t)
		reply, _, err := other.Verify(nil, client.hello(nil), peer)
		require.NoError(t, err)
		_, verified, err := v.Verify(nil, client.hello(reply), peer)
		require.NoError(t, err)
		return verified
	}
	set := func(p GeneratorParameters) { require.NoError(t, v.SetCookieGeneratorParameters(p)) }
	set(GeneratorParameters{Secret: []byte("one")})
	assert.True(t, accepts("one"))
	set(GeneratorParameters{Secret: []byte("two")})
	assert.Equal(t, "one", string(v.CookieGeneratorParameters().PreviousSecret))
	assert.True(t, accepts("one"), "the previous secret")
	assert.True(t, accepts("two"))
	set(GeneratorParameters{Secret: []byte("two")})
	assert.True(t, accepts("one"), "the same secret again is no rotation")
	set(GeneratorParameters{Secret: []byte("three")})
	assert.False(t, accepts("one"), "the one before the previous")
	assert.True(t, accepts("two"))
	assert.True(t, accepts("three"))
	set(GeneratorParameters{Secret: []byte("four"), PreviousSecret: []byte("one")})
	assert.True(t, accepts("one"), "named by the caller")
	assert.False(t, accepts("three"))
	reply, _, err := v.Verify(nil, newVisitor(t).hello(nil), peer)
	require.NoError(t, err)
	assert.Equal(t, qtCookie(sha256.New, []byte("four"), peer), cookieOf(t, reply), "new cookies are made with the current secret")
	set(GeneratorParameters{Hash: "SHA1", Secret: []byte("five")})
	assert.False(t, accepts("four"), "the hash is another")
}
