package dtls

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHandshakeTimeout(t *testing.T) {
	client, server := certConfigs(t)
	client.HandshakeTimeout = time.Nanosecond
	p := newPair(t, client, server)
	require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
	due, running := p.client.NextTimeout()
	require.True(t, running)
	assert.False(t, due.After(time.Now()), "the deadline is earlier than the retransmission")
	_, err := p.client.HandleTimeout(&p.fromClient)
	assertError(t, err, ErrTLSFatal)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	var timeout interface{ Timeout() bool }
	require.ErrorAs(t, err, &timeout)
	assert.True(t, timeout.Timeout())
	assert.Equal(t, HandshakeNotStarted, p.client.HandshakeState())

	// A datagram that comes too late does not help either.
	require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
	err = p.client.DoHandshake(&p.fromClient, []byte("late"))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestHandshakeTimeoutFunc(t *testing.T) {
	client, server := certConfigs(t)
	client.RetransmissionTimeout = MinRetransmissionTimeout
	p := newPair(t, client, server)
	due := make(chan struct{}, 1)
	p.client.SetHandshakeTimeoutFunc(func() {
		select {
		case due <- struct{}{}:
		default:
		}
	})
	require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
	<-due
	again, err := p.client.HandleTimeout(&p.fromClient)
	require.NoError(t, err)
	assert.True(t, again)
	p.client.SetHandshakeTimeoutFunc(nil)
}

// There is nothing to wait for before the handshake and, up to DTLS 1.2, after it.
func TestNextTimeout(t *testing.T) {
	p := newCertPair(t)
	_, running := p.client.NextTimeout()
	assert.False(t, running)
	before := time.Now()
	require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
	due, running := p.client.NextTimeout()
	assert.True(t, running)
	assert.True(t, due.After(before))
	clientErr, serverErr := p.carry()
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	for _, a := range []*Association{p.client, p.server} {
		_, running = a.NextTimeout()
		assert.False(t, running)
		again, err := a.HandleTimeout(&p.fromClient)
		require.NoError(t, err)
		assert.False(t, again)
	}
}
