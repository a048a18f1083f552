package dtls

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestHandshakeWithPSK(t *testing.T) {
	client, server := pskConfigs()
	var hint string
	var identityLimit, keyLimit int
	answer := client.PSK
	client.PSK = func(psk *PSK) error {
		hint = string(psk.IdentityHint)
		identityLimit, keyLimit = psk.MaximumIdentityLength, psk.MaximumPreSharedKeyLength
		return answer(psk)
	}
	p := newPair(t, client, server).mustShake()
	assert.Equal(t, "the hint", hint)
	assert.GreaterOrEqual(t, identityLimit, 127)
	assert.GreaterOrEqual(t, keyLimit, 256)
	assert.Equal(t, "device 7", string(p.server.PSKIdentity()))
	assert.Equal(t, "device 7", string(p.client.PSKIdentity()))
	assert.Contains(t, p.client.SessionCipher().Name, "PSK")
	p.echo("hello")
}

// With a pre-shared key nobody needs a certificate, however strict the other side is.
func TestPSKNeedsNoCertificate(t *testing.T) {
	client, server := pskConfigs()
	client.PeerVerifyMode, server.PeerVerifyMode = VerifyPeer, VerifyPeer
	p := newPair(t, client, server).mustShake()
	assert.Empty(t, p.client.PeerVerificationErrors())
	p.echo("hello")
}

func TestPSKThatFails(t *testing.T) {
	with := func(identity string, key []byte) PSKFunc {
		return func(psk *PSK) error {
			psk.Identity, psk.PreSharedKey = []byte(identity), key
			return nil
		}
	}
	good := with("device 7", []byte{1, 2, 3})
	cause := errors.New("the key store is locked")
	fails := func(*PSK) error { return cause }
	long := make([]byte, 600)
	for i := range long {
		long[i] = 'x'
	}
	for name, test := range map[string]struct {
		client PSKFunc
		server PSKFunc
		cause  error
		text   string
	}{
		"the client's callback fails": {client: fails, server: good, cause: cause, text: "locked"},
		"the client has no key":       {client: with("device 7", nil), server: good, text: "psk identity not found"},
		"identity too long":           {client: with(string(long), []byte{1}), server: good, text: "MaximumIdentityLength"},
		"key too long":                {client: with("device 7", long), server: good, text: "MaximumPreSharedKeyLength"},
		"zero byte in the identity":   {client: with("a\x00b", []byte{1}), server: good, text: "zero byte"},
		"the server knows nobody":     {client: good, server: with("", nil), text: "psk identity not found"},
		"the server's callback fails": {client: good, server: fails, cause: cause, text: "locked"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, &Config{PSK: test.client}, &Config{PSK: test.server})
			clientErr, serverErr := p.shake()
			err := errors.Join(clientErr, serverErr)
			assertError(t, err, ErrTLSFatal)
			assert.Contains(t, err.Error(), test.text)
			if test.cause != nil {
				assert.ErrorIs(t, err, test.cause)
			}
		})
	}
}

func TestPanicInPSKCallbackReachesTheCaller(t *testing.T) {
	_, server := pskConfigs()
	p := newPair(t, &Config{PSK: func(*PSK) error { panic("boom") }}, server)
	assert.PanicsWithValue(t, "boom", func() { _, _ = p.shake() })
	assert.Equal(t, HandshakeNotStarted, p.client.HandshakeState())
	assert.NotEmpty(t, p.fromClient.Take(), "OpenSSL's alert is sent")
}

// Every word of the default list for pre-shared keys, and every suite of each.
func TestEveryDefaultPSKSuite(t *testing.T) {
	for _, list := range strings.Split(pskCipherList, ":") {
		client, server := pskConfigs()
		client.CipherList, server.CipherList = list, list
		p := newPair(t, client, server).mustShake()
		assert.Contains(t, p.client.SessionCipher().Name, "PSK", list)
		p.echo("hello")
	}
}
