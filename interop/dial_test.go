//go:build interop

package interop

import (
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

const dialName = "our Dial"

// TestDialOpenSSL has our Dial speak to openssl s_server.
func TestDialOpenSSL(t *testing.T) {
	p := newPKI(t)
	for _, kind := range sServerKinds {
		for _, s := range append(scenarios, withALPN) {
			check(t, s.opensslName(kind.name), dialName, s.what, func(r *row) {
				c, server := s.dialOpenSSL(r, p, kind.flags...)
				converse(c, server)
				s.requireFits(c)
				c.shutdown(true)
				server.await(`^CONNECTION CLOSED$`)
				require.Zero(r, server.exit())
			})
		}
		check(t, sServerCloses.opensslName(kind.name), dialName, sServerCloses.what, func(r *row) {
			c, server := sServerCloses.dialOpenSSL(r, p, kind.flags...)
			converse(c, server)
			server.say("q")
			c.expectClose()
			require.Zero(r, server.exit())
		})
	}
}

// TestDialQt has our Dial speak to a server of Qt's QDtls.
func TestDialQt(t *testing.T) {
	p := newPKI(t)
	for _, s := range append(scenarios, withoutCookies...) {
		check(t, qtServerName, dialName, s.what, func(r *row) {
			c, server, us := s.dialQt(r, p)
			converseWithServer(c, server, us)
			s.requireFits(c)
			c.shutdown(false) // QDtls does not answer close_notify
			server.await(`^CLOSED peer=\S+$`)
			require.Zero(r, server.exit())
			server.never(qtErrors)
		})
	}
	check(t, qtServerName, dialName, "the server closes", func(r *row) {
		c, server, us := ecdsaOnly.dialQt(r, p, qtCloses...)
		converseWithServer(c, server, us)
		c.expectClose()
		require.Zero(r, server.exit())
		server.never(qtErrors)
	})
}

// dialOpenSSL has us dial an s_server, and checks what both say of the session.
func (s scenario) dialOpenSSL(r *row, p *pki, flags ...string) (*connection, *process) {
	r.Helper()
	server, addr := sServer(r, s.loopback(), append(s.sServerFlags(p), flags...)...)
	c := s.dial(r, newTap(r, addr, dtls.ClientMode), s.dialConfig(r, p))
	s.agreeWithSServer(c, server, p)
	return c, server
}

// dialQt has us dial the Qt server, which sees us at an address, and checks what both say
// of the session.
func (s scenario) dialQt(r *row, p *pki, flags ...string) (c *connection, server *process, us netip.AddrPort) {
	r.Helper()
	server, addr := qtServer(r, s.loopback(), append(s.qtServerFlags(p), flags...)...)
	f := newTap(r, addr, dtls.ClientMode)
	c = s.dial(r, f, s.dialConfig(r, p))
	s.agreeWithQtServer(c, server, f.peer(), p)
	return c, server, f.peer()
}

// dialConfig is clientConfig for Dial.
func (s scenario) dialConfig(r *row, p *pki) *dtls.Config {
	cfg := s.clientConfig(r, p)
	cfg.MTU = s.mtu
	return cfg
}

// dial has us dial the server behind a tap.
func (s scenario) dial(r *row, f *front, cfg *dtls.Config) *connection {
	r.Helper()
	c, err := s.dialed(r, f.addr(), cfg)
	require.NoError(r, err)
	require.Equal(r, f.addr().String(), c.RemoteAddr().String())
	return newConnection(r, dtls.ClientMode, c, f.tape.Load())
}

// dialed calls Dial: with the server's name, or with its address where that is of IPv6,
// for which not every machine has a name.
func (s scenario) dialed(r *row, server netip.AddrPort, cfg *dtls.Config) (*dtls.Conn, error) {
	network, host := "udp4", "localhost"
	if s.ipv6 {
		network, host = "udp6", server.Addr().String()
	}
	c, err := dtls.DialContext(r.ctx, network, net.JoinHostPort(host, strconv.Itoa(int(server.Port()))), cfg)
	if err == nil {
		r.Cleanup(func() { c.Close() })
	}
	return c, err
}
