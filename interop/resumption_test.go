//go:build interop

package interop

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

// resumptions are the scenarios of a client that comes back with a ticket.
var resumptions = []scenario{
	{what: "resumed, ecdsa", suite: ecdsaAES128, cookie: true},
	{what: "resumed, psk", suite: pskAES128, psk: true, cookie: true},
	{what: "resumed, client certificate", suite: ecdsaAES128, client: true, cookie: true},
}

// TestClientOpenSSLResumption has our client come back to openssl s_server.
func TestClientOpenSSLResumption(t *testing.T) {
	p := newPKI(t)
	for _, kind := range sServerKinds {
		for _, s := range resumptions {
			check(t, kind.name, "our client", s.what, func(r *row) {
				server, addr := sServer(r, s.loopback(), slices.Concat(s.sServerFlags(p), kind.flags, []string{"-naccept", "2"})...)
				cfg := s.clientConfig(r, p)
				cfg.ClientSessionCache = dtls.NewLRUClientSessionCache(0)
				first := connect(r, addr, cfg)
				s.handshakeWithSServer(first, server, p)
				requireResumed(first, false)
				converse(first, server)
				server.never(`^Reused session-id$`)
				first.shutdown(true)

				server.forget()
				// On the same socket, because with -listen that of s_server stays connected to it.
				second := newEndpoint(r, first.wire.again(r), dtls.ClientMode, cfg)
				require.NoError(r, second.SetPeer(addr, "localhost"))
				s.handshakeWithSServer(second, server, p)
				requireResumed(second, true)
				server.await(`^Reused session-id$`)
				converse(second, server)
				second.shutdown(true)
				require.Zero(r, server.exit())
			})
		}
	}
}

// TestServerOpenSSLResumption has openssl s_client come back to our server.
func TestServerOpenSSLResumption(t *testing.T) {
	p := newPKI(t)
	for _, s := range resumptions {
		check(t, sClientName, "our server", s.what, func(r *row) {
			cfg, file := s.serverConfig(r, p), filepath.Join(r.TempDir(), "session")
			visit := func(resumed bool, word, flag string) {
				r.Helper()
				// The ticket is the Config's: it does not matter that the port is another.
				e, client := s.serverToOpenSSL(r, p, cfg, flag, file)
				requireResumed(e, resumed)
				client.await(`^` + word + `, .*, Cipher is ` + s.suite + `$`)
				converse(e, client)
				client.say("Q")
				e.expectClose()
				require.Zero(r, client.exit())
			}
			visit(false, "New", "-sess_out")
			visit(true, "Reused", "-sess_in")
		})
	}
}

// TestDialOpenSSLResumption has our Dial come back to openssl s_server.
func TestDialOpenSSLResumption(t *testing.T) {
	p := newPKI(t)
	for _, kind := range sServerKinds {
		for _, s := range resumptions {
			check(t, kind.name, dialName, s.what, func(r *row) {
				server, addr := sServer(r, s.loopback(), slices.Concat(s.sServerFlags(p), kind.flags, []string{"-naccept", "2"})...)
				cfg := s.dialConfig(r, p)
				cfg.ClientSessionCache = dtls.NewLRUClientSessionCache(0)
				// Of one address, because with -listen the socket of s_server stays connected to it.
				f := newTap(r, addr, dtls.ClientMode)
				visit := func(resumed bool) {
					r.Helper()
					c := s.dial(r, f, cfg)
					s.agreeWithSServer(c, server, p)
					requireResumed(c, resumed)
					converse(c, server)
					c.shutdown(true)
				}
				visit(false)
				server.never(`^Reused session-id$`)
				server.forget()
				f.rewind(r)
				visit(true)
				server.await(`^Reused session-id$`)
				require.Zero(r, server.exit())
			})
		}
	}
}

// TestListenOpenSSLResumption has openssl s_client come back to our Listen.
func TestListenOpenSSLResumption(t *testing.T) {
	p := newPKI(t)
	for _, s := range resumptions {
		check(t, sClientName, listenName, s.what, func(r *row) {
			l, file := open(r, s.loopback(), s.listenConfig(r, p)), filepath.Join(r.TempDir(), "session")
			visit := func(resumed bool, word, flag string) {
				r.Helper()
				c, client := s.acceptSClient(l, p, flag, file)
				requireResumed(c, resumed)
				client.await(`^` + word + `, .*, Cipher is ` + s.suite + `$`)
				converse(c, client)
				client.say("Q")
				c.expectClose()
				require.Zero(r, client.exit())
			}
			visit(false, "New", "-sess_out")
			visit(true, "Reused", "-sess_in")
		})
	}
}

// requireResumed checks that our side says whether the handshake has resumed a
// session, and that the wire says the same: only a full one has a ServerHelloDone.
func requireResumed(e side, resumed bool) {
	r := e.test()
	r.Helper()
	require.Equal(r, resumed, e.state().DidResume)
	require.Equal(r, !resumed, e.record().handshake(e.mode() == dtls.ServerMode, serverHelloDone) > 0, "a ServerHelloDone")
}
