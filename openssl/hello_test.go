package openssl

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
)

// Both sides know which name the client has asked for, in every kind of handshake.
func TestServerName(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	tickets := (*CtxBuilder).EnableSessionTickets
	long := strings.Repeat("long.", 50) + "names"
	clientCtx := ctxOf(t, false, tickets, withRoot(t, ca, VerifyNone))
	serverCtx := ctxOf(t, true, tickets, withCertificate(t, ca, certtest.Leaf{}))
	for name, want := range map[string]string{
		"localhost": "localhost", "Example.ORG": "Example.ORG", "192.0.2.7": "", "2001:db8::7": "", "": "", long: long,
	} {
		client, server := sslOf(t, clientCtx, nil), sslOf(t, serverCtx, nil)
		assert.Empty(t, client.ServerName())
		if name != "" {
			require.NoError(t, client.SetPeerName(name))
		}
		assert.Equal(t, want, client.ServerName(), "before the handshake")
		assert.Empty(t, server.ServerName())
		require.NoError(t, errors.Join(shake(client, server)))
		assert.Equal(t, want, client.ServerName())
		assert.Equal(t, want, server.ServerName())

		session, err := client.Session()
		require.NoError(t, err)
		client, server = sslOf(t, clientCtx, nil), sslOf(t, serverCtx, nil)
		if name != "" {
			require.NoError(t, client.SetPeerName(name))
		}
		require.NoError(t, client.SetSession(session))
		require.NoError(t, errors.Join(shake(client, server)))
		assert.True(t, server.SessionReused(), name)
		assert.Equal(t, want, client.ServerName(), "resumed")
		assert.Equal(t, want, server.ServerName(), "resumed")
	}
}

// RFC 6066 §3: a server must not resume a session under a different name. That a client does
// not offer it is what SetSession sees to; here is one that does.
func TestSessionIsNotResumedUnderAnotherName(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	tickets := (*CtxBuilder).EnableSessionTickets
	clientCtx := ctxOf(t, false, tickets, withRoot(t, ca, VerifyNone))
	serverCtx := ctxOf(t, true, tickets, withCertificate(t, ca, certtest.Leaf{}))
	shakeAs := func(name string, session *Session) (client, server *SSL) {
		client, server = sslOf(t, clientCtx, nil), sslOf(t, serverCtx, nil)
		if name != "" {
			require.NoError(t, client.SetPeerName(name))
		}
		if session != nil {
			client.name = session.name
			require.NoError(t, client.SetSession(session))
		}
		require.NoError(t, errors.Join(shake(client, server)))
		return client, server
	}
	names := []string{"localhost", "localhose", "localhost.", "example.org", ""}
	for _, first := range names {
		client, _ := shakeAs(first, nil)
		session, err := client.Session()
		require.NoError(t, err)
		for _, then := range names {
			_, server := shakeAs(then, session)
			assert.Equal(t, first == then, server.SessionReused(), "%q, then %q", first, then)
			assert.Equal(t, then, server.ServerName())
		}
	}
}
