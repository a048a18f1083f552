package dtls

import (
	"context"
	"net"
	"net/netip"

	"github.com/ossldtls/ossldtls/internal/udpbatch"
)

// Dial connects to a server and makes the handshake. network is "udp", "udp4" or
// "udp6"; address is "host:port". The server's certificate has to be for
// [Config.ServerName] or, if that is empty, for the host of the address. It is
// [DialContext] with a context that never ends: [Config.HandshakeTimeout] still counts.
func Dial(network, address string, cfg *Config) (*Conn, error) {
	return DialContext(context.Background(), network, address, cfg)
}

// DialContext is [Dial] within a context, which bounds the look-up of the host and the
// handshake; the connection itself is not bound by it. The socket sends to this server
// alone and hears nobody else.
func DialContext(ctx context.Context, network, address string, cfg *Config) (*Conn, error) {
	const op = "dial"
	switch network {
	case "udp", "udp4", "udp6":
	default:
		return nil, &net.OpError{Op: op, Net: network, Err: net.UnknownNetworkError(network)}
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &net.OpError{Op: op, Net: network, Err: err}
	}
	var dialer net.Dialer
	pc, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c, err := overDialed(pc.(*net.UDPConn), host, cfg)
	if err != nil {
		_ = pc.Close()
		return nil, err
	}
	if err := c.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func overDialed(pc *net.UDPConn, host string, cfg *Config) (*Conn, error) {
	sock, err := udpbatch.New(pc)
	if err != nil {
		return nil, err
	}
	peer, err := sock.Register(pc.RemoteAddr())
	if err != nil {
		return nil, err
	}
	c, err := newOver(ClientMode, sock, peer, cfg)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err != nil {
		c.name = host // not an address: that of the peer is the same, and resolved
	}
	return c, nil
}
