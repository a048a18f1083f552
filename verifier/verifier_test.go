package verifier

import (
	"errors"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/dgramtest"
	"github.com/ossldtls/ossldtls/openssl"
)

func TestHelloVerifyRequestThenVerified(t *testing.T) {
	v, sock := newVerifier(t), &dgramtest.End{}
	client := newVisitor(t)
	first := client.hello(nil)
	verified, err := v.VerifyClient(sock, first, peer)
	require.NoError(t, err)
	assert.False(t, verified)
	assert.Nil(t, v.VerifiedHello())
	answer := sock.Take()
	require.Len(t, answer, 1)
	assert.LessOrEqual(t, len(answer[0]), len(first), "never larger than the question")
	assert.Len(t, cookieOf(t, answer[0]), 32)

	second := client.hello(answer[0])
	verified, err = v.VerifyClient(sock, second, peer)
	require.NoError(t, err)
	assert.True(t, verified)
	assert.Empty(t, sock.Take())
	hello := v.VerifiedHello()
	assert.Equal(t, second, hello)
	hello[0] ^= 0xff
	assert.Equal(t, second, v.VerifiedHello(), "a copy is returned")
	assert.Equal(t, NoError, v.DTLSError())
	assert.Empty(t, v.DTLSErrorString())

	// The same hello from anywhere else is worth nothing.
	for _, other := range []string{"192.0.2.1:40001", "192.0.2.2:40000", "[2001:db8::1]:40000", "[::ffff:192.0.2.1]:40000"} {
		verified, err = v.VerifyClient(sock, second, netip.MustParseAddrPort(other))
		require.NoError(t, err)
		assert.False(t, verified, other)
		assert.Len(t, sock.Take(), 1, other)
		assert.Nil(t, v.VerifiedHello())
	}
	// A cookie that was changed is answered with the right one.
	for i := range cookieOf(t, answer[0]) {
		forged := append([]byte(nil), second...)
		forged[13+12+2+32+1+1+i] ^= 1
		verified, err = v.VerifyClient(sock, forged, peer)
		require.NoError(t, err)
		assert.False(t, verified)
		assert.Len(t, sock.Take(), 1)
	}
}

func TestInvalidInput(t *testing.T) {
	v, sock := newVerifier(t), &dgramtest.End{}
	hello := newVisitor(t).hello(nil)
	refused := func(sock DatagramWriter, datagram []byte, peer netip.AddrPort, text string) {
		t.Helper()
		verified, err := v.VerifyClient(sock, datagram, peer)
		require.ErrorIs(t, err, ErrInvalidInputParameters)
		require.ErrorContains(t, err, text)
		assert.False(t, verified)
		assert.Equal(t, ErrInvalidInputParameters, v.DTLSError())
		assert.Equal(t, err.Error(), v.DTLSErrorString())
	}
	refused(nil, hello, peer, "socket")
	refused(sock, nil, peer, "datagram is empty")
	refused(sock, []byte{}, peer, "datagram is empty")
	for addr, text := range map[string]string{
		"0.0.0.0:4433": "no address", "[::]:4433": "no address", "224.0.0.1:4433": "multicast", "[ff02::1]:4433": "multicast",
		"[::ffff:239.1.1.1]:4433": "multicast", "255.255.255.255:4433": "broadcast", "192.0.2.1:0": "port is 0",
	} {
		refused(sock, hello, netip.MustParseAddrPort(addr), text)
	}
	refused(sock, hello, netip.AddrPort{}, "no address")
	_, _, err := v.Verify(nil, nil, peer)
	require.ErrorIs(t, err, ErrInvalidInputParameters)
	assert.Empty(t, sock.Take())

	broken := errors.New("network is down")
	verified, err := v.VerifyClient(&dgramtest.End{Fail: broken}, hello, peer)
	require.ErrorIs(t, err, ErrUnderlyingSocket)
	require.ErrorIs(t, err, broken)
	assert.False(t, verified)

	require.NoError(t, v.Close())
	require.NoError(t, v.Close())
	_, err = v.VerifyClient(sock, hello, peer)
	require.ErrorIs(t, err, ErrTLSInitialization)
	require.ErrorIs(t, err, openssl.ErrClosed)
}

// Whatever is no ClientHello is dropped without a word, and without an error.
func TestEverythingElseIsDropped(t *testing.T) {
	v, sock := newVerifier(t), &dgramtest.End{}
	hello := newVisitor(t).hello(nil)
	change := func(at int, b ...byte) []byte {
		c := append([]byte(nil), hello...)
		copy(c[at:], b)
		return c
	}
	for name, datagram := range map[string][]byte{
		"one byte":             {22},
		"a header":             hello[:13],
		"cut":                  hello[:len(hello)-1],
		"application data":     change(0, 23),
		"TLS":                  change(1, 3, 3),
		"epoch 1":              change(3, 0, 1),
		"a Finished":           change(13, 20),
		"a later fragment":     change(19, 0, 0, 1),
		"fragment too long":    change(22, 0xff, 0xff, 0xff),
		"record length 0":      change(11, 0, 0),
		"session id too long":  change(13+12+2+32, 255),
		"cookie runs over":     change(13+12+2+32+1, 255),
		"random":               []byte("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"),
		"message_seq too high": change(17, 0, 9),
	} {
		verified, err := v.VerifyClient(sock, datagram, peer)
		require.NoError(t, err, name)
		assert.False(t, verified, name)
		assert.Empty(t, sock.Take(), name)
	}
	// And the verifier is as good as before.
	verified, err := v.VerifyClient(sock, hello, peer)
	require.NoError(t, err)
	assert.False(t, verified)
	assert.Len(t, sock.Take(), 1)
}

// A hello that is smaller than the answer would be is not answered at all: no
// amplification, RFC 6347 §4.2.1.
func TestAnswerIsNeverLargerThanTheQuestion(t *testing.T) {
	v := newVerifier(t)
	require.NoError(t, v.SetCookieGeneratorParameters(GeneratorParameters{Hash: "SHA512", Secret: []byte("s")}))
	// The smallest ClientHello there can be: one cipher suite, no extension.
	body := append([]byte{0xfe, 0xfd}, make([]byte, 32)...)
	body = append(body, 0, 0, 0, 2, 0xc0, 0x2b, 1, 0)
	message := append([]byte{1, 0, 0, byte(len(body)), 0, 0, 0, 0, 0, 0, 0, byte(len(body))}, body...)
	hello := append([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(len(message))}, message...)
	reply, verified, err := v.Verify(nil, hello, peer)
	require.NoError(t, err)
	assert.False(t, verified)
	assert.Empty(t, reply, "92 bytes for %d", len(hello))
	require.NoError(t, v.SetCookieGeneratorParameters(GeneratorParameters{Secret: []byte("s")}))
	reply, _, err = v.Verify(nil, hello, peer)
	require.NoError(t, err)
	assert.Len(t, reply, 60)
}

func TestConcurrentUse(t *testing.T) {
	v := newVerifier(t)
	sock := writerFunc(func(b []byte, _ netip.AddrPort) (int, error) { return len(b), nil })
	var wg sync.WaitGroup
	for worker := range 8 {
		client := newVisitor(t)
		wg.Add(1)
		go func() {
			defer wg.Done()
			me := netip.AddrPortFrom(peer.Addr(), uint16(1000+worker))
			first := client.hello(nil)
			reply, verified, err := v.Verify(nil, first, me)
			assert.NoError(t, err)
			assert.False(t, verified)
			second := client.hello(reply)
			for i := range 200 {
				_, verified, err = v.Verify(nil, second, me)
				assert.NoError(t, err)
				assert.True(t, verified)
				verified, err = v.VerifyClient(sock, first, me)
				assert.NoError(t, err)
				assert.False(t, verified)
				v.VerifiedHello()
				v.DTLSErrorString()
				if i%50 == 0 {
					// The same secret again: cookies stay valid while the keys change.
					assert.NoError(t, v.SetCookieGeneratorParameters(v.CookieGeneratorParameters()))
				}
			}
		}()
	}
	wg.Wait()
}

type writerFunc func([]byte, netip.AddrPort) (int, error)

func (f writerFunc) WriteToUDPAddrPort(b []byte, peer netip.AddrPort) (int, error) { return f(b, peer) }

// FuzzVerify: no crash, no error, no answer larger than the question, and nobody is
// verified without the cookie.
func FuzzVerify(f *testing.F) {
	v, client := newVerifier(f), newVisitor(f)
	first := client.hello(nil)
	reply, _, err := v.Verify(nil, first, netip.MustParseAddrPort("192.0.2.99:1"))
	require.NoError(f, err)
	f.Add(first)
	f.Add(client.hello(reply)) // a cookie for somebody else
	f.Fuzz(func(t *testing.T, datagram []byte) {
		reply, verified, err := v.Verify(nil, datagram, peer)
		if len(datagram) == 0 {
			require.ErrorIs(t, err, ErrInvalidInputParameters)
			return
		}
		require.NoError(t, err)
		require.False(t, verified)
		require.LessOrEqual(t, len(reply), len(datagram))
	})
}
