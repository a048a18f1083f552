package openssl

import (
	"bytes"
	"net/netip"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
)

func TestReadAndWrite(t *testing.T) {
	client, server := certPair(t, "ECDHE+AESGCM")
	for _, size := range []int{1, 2, 100, 1200, 5000, MaxPlaintext} {
		var wire, plain, out Datagrams
		payload := bytes.Repeat([]byte{byte(size)}, size)
		require.NoError(t, client.Write(payload, &wire))
		require.Equal(t, 1, wire.Len())
		require.NoError(t, server.Read(wire.At(0), &plain, &out))
		require.Equal(t, 1, plain.Len())
		assert.Equal(t, payload, plain.At(0))
		assert.Zero(t, out.Len())
	}
	cipher, ok := client.CurrentCipher()
	require.True(t, ok)
	assert.Equal(t, "ECDHE-ECDSA-AES256-GCM-SHA384", cipher.Name)
	assert.Contains(t, cipher.Description, "Au=ECDSA")
	assert.Equal(t, 256, cipher.Bits)
	assert.Equal(t, 1200-13-24, client.DataMTU(1200))
	assert.Equal(t, MaxPlaintext, client.DataMTU(65507))
	assert.Zero(t, client.DataMTU(20))
	assert.Equal(t, uint16(VersionDTLS12), client.Version())
}

// Operations append: several writes make one train of datagrams, ready to be sent at once.
func TestWritesAppend(t *testing.T) {
	client, server := certPair(t, "ECDHE+AESGCM")
	var wire, plain, out Datagrams
	for i := range 100 {
		require.NoError(t, client.Write([]byte{byte(i)}, &wire))
	}
	require.Equal(t, 100, wire.Len())
	for d := range wire.All() {
		require.NoError(t, server.Read(d, &plain, &out))
	}
	require.Equal(t, 100, plain.Len())
	for i := range 100 {
		assert.Equal(t, []byte{byte(i)}, plain.At(i))
	}
}

// However little room the caller gave, and although the datagram is larger than
// OpenSSL's buffer, no payload is cut, split or lost.
func TestReadGrowsAsNeeded(t *testing.T) {
	client, server := certPair(t, "ECDHE+AESGCM")
	sizes := []int{3000, 1, 16384, 700, 5000, 16000, 12}
	for _, room := range []int{0, 1, 699, 3000, 3001, 19384, 30000} {
		var plain, out Datagrams
		plain.Grow(room, 1)
		var datagram []byte
		for _, size := range sizes {
			var wire Datagrams
			require.NoError(t, client.Write(bytes.Repeat([]byte{byte(size)}, size), &wire))
			datagram = append(datagram, wire.At(0)...)
		}
		require.NoError(t, server.Read(datagram, &plain, &out))
		require.Equal(t, len(sizes), plain.Len(), "room %d", room)
		for i, size := range sizes {
			assert.Equal(t, bytes.Repeat([]byte{byte(size)}, size), plain.At(i))
		}
	}
}

// A flight that has no room in the caller's buffer waits in C and is fetched.
func TestLargeFlight(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	inner := ca.Intermediate(t, "intermediate", 20000)
	client := sslOf(t, ctxOf(t, false, withRoot(t, ca, VerifyStrict)), nil)
	server := sslOf(t, ctxOf(t, true, withCertificate(t, inner, certtest.Leaf{})), nil)
	clientErr, serverErr := shake(client, server)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	chain := client.PeerCertificateChain()
	require.Len(t, chain, 2)
	assert.Greater(t, len(chain[1].MarshalDER()), 20000)
	assert.Equal(t, "CN=intermediate", chain[1].Subject())
}

// A message that is too large to be assembled is an error with words although
// OpenSSL's queue may have none.
func TestMessageTooLarge(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	inner := ca.Intermediate(t, "intermediate", 60000)
	client := sslOf(t, ctxOf(t, false, withRoot(t, ca, VerifyStrict)), nil)
	server := sslOf(t, ctxOf(t, true, withCertificate(t, inner, certtest.Leaf{})), nil)
	clientErr, _ := shake(client, server)
	var e *Error
	require.ErrorAs(t, clientErr, &e)
	assert.True(t, e.Text != "" || len(e.Stack) > 0)
	assert.NotContains(t, clientErr.Error(), "SSL_ERROR", "words, not a code")
}

func TestAlertsAndShutdown(t *testing.T) {
	client, server := certPair(t, "ECDHE+AESGCM")
	_, _, ok := server.AlertReceived()
	assert.False(t, ok)
	var wire, plain, out Datagrams
	require.NoError(t, client.Shutdown(&wire))
	require.NoError(t, client.Shutdown(&wire))
	require.Equal(t, 1, wire.Len(), "once")
	alert, fatal, ok := client.AlertSent()
	require.True(t, ok)
	assert.Equal(t, AlertCloseNotify, alert)
	assert.False(t, fatal)
	err := server.Read(wire.At(0), &plain, &out)
	require.ErrorIs(t, err, ErrZeroReturn)
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, ErrorZeroReturn, e.Code)
	alert, fatal, ok = server.AlertReceived()
	require.True(t, ok)
	assert.Equal(t, "close_notify", alert.String())
	assert.False(t, fatal)
	assert.Equal(t, "alert(200)", Alert(200).String())
}

func TestErrorsAreData(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	client := sslOf(t, ctxOf(t, false, withCiphers("ECDHE-RSA-AES128-GCM-SHA256")), nil)
	server := sslOf(t, ctxOf(t, true, withCertificate(t, ca, certtest.Leaf{})), nil)
	clientErr, serverErr := shake(client, server)
	var e *Error
	require.ErrorAs(t, serverErr, &e)
	assert.Equal(t, "handshake", e.Op)
	assert.Equal(t, ErrorSSL, e.Code)
	require.NotEmpty(t, e.Stack)
	entry := e.Stack[0]
	assert.Equal(t, "no shared cipher", entry.Reason)
	assert.Equal(t, "SSL routines", entry.Library)
	assert.Equal(t, 193, entry.ReasonCode()) // SSL_R_NO_SHARED_CIPHER
	assert.NotEmpty(t, entry.Function)
	assert.NotEmpty(t, entry.File)
	assert.NotZero(t, entry.Line)
	assert.Equal(t, "openssl: handshake: no shared cipher (SSL routines)", serverErr.Error())
	require.ErrorAs(t, clientErr, &e)
	assert.Contains(t, clientErr.Error(), "handshake failure")
	alert, fatal, ok := client.AlertReceived()
	assert.True(t, ok)
	assert.True(t, fatal)
	assert.Equal(t, AlertHandshakeFailure, alert)
	assert.Contains(t, StackEntry{Code: 0x42, Library: "lib", Data: "more"}.String(), "0x42 (lib): more")
}

func TestWriteRefuses(t *testing.T) {
	client, _ := certPair(t, "ECDHE+AESGCM")
	var out Datagrams
	assert.ErrorContains(t, client.Write(nil, &out), "empty")
	assert.ErrorContains(t, client.Write(make([]byte, MaxPlaintext+1), &out), "16384")
	fresh := sslOf(t, ctxOf(t, false), nil)
	assert.ErrorContains(t, fresh.Write([]byte("x"), &out), "not complete")
	assert.Zero(t, out.Len())
}

func TestClosedSSL(t *testing.T) {
	s := sslOf(t, ctxOf(t, true), func(*PSK) error { return nil })
	key, err := NewCookieKey("SHA256", []byte("s"), nil)
	require.NoError(t, err)
	s.Close()
	s.Close()
	var out, plain Datagrams
	peer := netip.MustParseAddrPort("192.0.2.1:1")
	for name, err := range map[string]error{
		"handshake": second(s.DoHandshake(nil, &out)),
		"timeout":   second(s.HandleTimeout(&out)),
		"listen":    second(s.Listen(key, peer, []byte("x"), &out)),
		"read":      s.Read(nil, &plain, &out),
		"write":     s.Write([]byte("x"), &out),
		"shutdown":  s.Shutdown(&out),
		"abort":     s.Abort(AlertUserCanceled, false, &out),
		"name":      s.SetPeerName("localhost"),
	} {
		assert.ErrorIs(t, err, ErrClosed, name)
	}
	s.SetMTU(1, 1, 28)
	s.SetRetransmissionTimeout(1)
	_, ok := s.CurrentCipher()
	assert.False(t, ok)
	assert.Zero(t, s.Version())
	assert.Zero(t, s.DataMTU(1200))
	assert.Nil(t, s.PeerCertificateChain())
	assert.Empty(t, s.ALPNSelected())
	assert.Empty(t, s.ServerName())
	assert.Nil(t, s.PSKIdentity())
	assert.Nil(t, s.VerifyErrors())
	assert.False(t, s.PeerAuthenticated())
	key.Close()
	key.Close()
	assert.ErrorIs(t, second(key.Cookie(nil, peer)), ErrClosed)
}

func TestListenRefuses(t *testing.T) {
	key, err := NewCookieKey("SHA256", []byte("s"), nil)
	require.NoError(t, err)
	defer key.Close()
	var out Datagrams
	peer := netip.MustParseAddrPort("192.0.2.1:1")
	assert.ErrorContains(t, second(sslOf(t, ctxOf(t, false), nil).Listen(key, peer, []byte("x"), &out)), "client")
	assert.ErrorIs(t, second(sslOf(t, ctxOf(t, true), nil).Listen(nil, peer, []byte("x"), &out)), ErrClosed)
	assert.ErrorContains(t, second(NewCookieKey("SHA256", nil, nil)), "empty secret")
	assert.ErrorContains(t, second(NewCookieKey("nonsense", []byte("s"), nil)), `"nonsense"`)
}

// A strict context ends the handshake by itself, with the right alert.
func TestStrictVerification(t *testing.T) {
	ca, other := certtest.NewCA(t, "root"), certtest.NewCA(t, "other")
	for name, test := range map[string]struct {
		peer, alert string
		root        *certtest.CA
	}{
		"good":              {peer: "localhost", root: ca},
		"unknown authority": {peer: "localhost", root: other, alert: "unknown ca"},
		"other name":        {peer: "example.org", root: ca, alert: "bad certificate"},
	} {
		client := sslOf(t, ctxOf(t, false, withRoot(t, test.root, VerifyStrict)), nil)
		require.NoError(t, client.SetPeerName(test.peer))
		server := sslOf(t, ctxOf(t, true, withCertificate(t, ca, certtest.Leaf{})), nil)
		clientErr, serverErr := shake(client, server)
		if test.alert == "" {
			require.NoError(t, clientErr, name)
			continue
		}
		assert.ErrorContains(t, clientErr, "certificate verify failed", name)
		assert.ErrorContains(t, serverErr, test.alert, name)
		assert.NotEmpty(t, client.VerifyErrors(), name)
	}
	client := sslOf(t, ctxOf(t, false, withRoot(t, ca, VerifyStrict)), nil)
	server := sslOf(t, ctxOf(t, true, withCertificate(t, ca, certtest.Leaf{}), withRoot(t, ca, VerifyRequire)), nil)
	clientErr, serverErr := shake(client, server)
	assert.ErrorContains(t, serverErr, "peer did not return a certificate")
	assert.ErrorContains(t, clientErr, "alert")
	assert.Error(t, client.SetPeerName("a\x00b"))
	assert.Error(t, client.SetPeerName(""))
}

// Every pending record of a forged or repeated kind leaves nothing in the error queue.
func TestErrorQueueStaysEmpty(t *testing.T) {
	client, server := certPair(t, "ECDHE+AESGCM")
	var wire, plain, out Datagrams
	require.NoError(t, client.Write([]byte("good"), &wire))
	forged := bytes.Clone(wire.At(0))
	forged[len(forged)-1] ^= 1
	forged[10]++ // another sequence number, or it would be a repeat
	require.NoError(t, server.Read(append(forged, wire.At(0)...), &plain, &out))
	require.Equal(t, 1, plain.Len())
	assert.Equal(t, "good", string(plain.At(0)))
	require.NoError(t, server.Read(wire.At(0), &plain, &out))
	assert.Equal(t, 1, plain.Len(), "a repeat")
	assert.Zero(t, ReadDiagnostics().StaleErrors)
}

// Whatever comes of a hello leaves nothing there either.
func TestErrorQueueStaysEmptyWhileListening(t *testing.T) {
	runtime.LockOSThread() // the queue is the thread's
	defer runtime.UnlockOSThread()
	key, err := NewCookieKey("SHA256", []byte("secret"), nil)
	require.NoError(t, err)
	defer key.Close()
	client, server := sslOf(t, ctxOf(t, false), nil), sslOf(t, ctxOf(t, true), nil)
	var up, down Datagrams
	listen := func(what string, hello []byte, verified bool, answers int) {
		down.Reset()
		got, err := server.Listen(key, clientAddr, hello, &down)
		require.NoError(t, err, what)
		assert.Equal(t, verified, got, what)
		assert.Equal(t, answers, down.Len(), what)
		assert.Zero(t, ReadDiagnostics().QueuedError, what)
	}
	_, err = client.DoHandshake(nil, &up)
	require.NoError(t, err)
	listen("without a cookie", up.At(0), false, 1)
	up.Reset()
	_, err = client.DoHandshake(down.At(0), &up)
	require.NoError(t, err)
	listen("with its cookie", up.At(0), true, 0)

	const headers, left = 13 + 12, 40 // of the body, which is cut off in the middle
	cut := bytes.Clone(up.At(0)[:headers+left])
	cut[11], cut[12] = 0, 12+left
	copy(cut[14:], []byte{0, 0, left})
	copy(cut[22:], []byte{0, 0, left})
	listen("cut off", cut, false, 0)
	assert.Zero(t, ReadDiagnostics().StaleErrors)
}
