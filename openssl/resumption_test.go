package openssl

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
)

func TestSessionThatCannotBeSet(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	tickets := (*CtxBuilder).EnableSessionTickets
	clientCtx := ctxOf(t, false, tickets, withRoot(t, ca, VerifyStrict))
	serverCtx := ctxOf(t, true, tickets, withCertificate(t, ca, certtest.Leaf{}))
	named := func(ctx *Ctx, name string) *SSL {
		s := sslOf(t, ctx, nil)
		if name != "" {
			require.NoError(t, s.SetPeerName(name))
		}
		return s
	}
	client, server := named(clientCtx, "localhost"), sslOf(t, serverCtx, nil)
	session, err := client.Session()
	require.NoError(t, err)
	assert.Nil(t, session, "before the handshake")
	assert.False(t, client.SessionReused())
	require.NoError(t, errors.Join(shake(client, server)))
	session, err = client.Session()
	require.NoError(t, err)
	require.NotNil(t, session)
	none, err := server.Session()
	require.NoError(t, err)
	assert.Nil(t, none, "a server's is in the ticket")

	require.NoError(t, named(clientCtx, "localhost").SetSession(session))
	assert.ErrorContains(t, named(clientCtx, "example.org").SetSession(session), `"localhost", not "example.org"`)
	assert.ErrorContains(t, named(clientCtx, "").SetSession(session), `"localhost", not ""`)
	assert.ErrorContains(t, named(clientCtx, "localhost").SetSession(nil), "not a session of this context")
	assert.ErrorContains(t, server.SetSession(session), "a server cannot")
	otherCtx := ctxOf(t, false, tickets, withRoot(t, ca, VerifyStrict))
	assert.ErrorContains(t, named(otherCtx, "localhost").SetSession(session), "not a session of this context")

	again := named(clientCtx, "localhost")
	require.NoError(t, again.SetSession(session))
	assert.Error(t, again.SetPeerName("example.org"), "the session is not for it")
	assert.Error(t, client.SetPeerName("example.org"), "after the handshake")
	assert.ErrorContains(t, client.SetSession(session), "has begun")
	refused := named(clientCtx, "localhost")
	require.Error(t, refused.SetPeerName("example\x00.org"))
	require.NoError(t, refused.SetSession(session), "a name that was refused is not the name")
	require.NoError(t, errors.Join(shake(again, sslOf(t, serverCtx, nil))))
	assert.True(t, again.SessionReused())
	same, err := again.Session()
	require.NoError(t, err)
	assert.Nil(t, same, "no new ticket, and so no longer life")

	// What OpenSSL objects to and the caller overlooks is not for another connection.
	distrustful := ctxOf(t, false, tickets, withRoot(t, certtest.NewCA(t, "other"), VerifyCollect))
	overlooked := named(distrustful, "localhost")
	require.NoError(t, errors.Join(shake(overlooked, sslOf(t, serverCtx, nil))))
	assert.NotZero(t, overlooked.VerifyErrorCount())
	none, err = overlooked.Session()
	require.NoError(t, err)
	assert.Nil(t, none)

	client.Close()
	_, err = client.Session()
	assert.ErrorIs(t, err, ErrClosed)
	assert.ErrorIs(t, client.SetSession(session), ErrClosed)
	assert.False(t, client.SessionReused())
}
