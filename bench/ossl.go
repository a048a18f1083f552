package main

import (
	"crypto/tls"
	"net"
	"sync/atomic"

	"github.com/ossldtls/ossldtls/bench/report"
	"github.com/ossldtls/ossldtls/dtls"
)

// osslConfigs returns the Configs of both sides. Without resumption there are no tickets,
// which pion does not have. An Association's server asks for the client's certificate, as
// QDtls does, unless told otherwise; nobody else's does. So all do the same work.
func osslConfigs(ids *identities, k kind) (client, server *dtls.Config, err error) {
	client = &dtls.Config{CipherList: k.suite.openssl, ServerName: serverName, SessionTicketsDisabled: k.name != resumed.name}
	server = &dtls.Config{CipherList: k.suite.openssl, SessionTicketsDisabled: k.name != resumed.name, PeerVerifyMode: dtls.VerifyNone}
	switch k.name {
	case byPSK.name:
		client.PSK = func(ask *dtls.PSK) error {
			ask.Identity, ask.PreSharedKey = pskIdentity, psk
			return nil
		}
		server.PSK = func(ask *dtls.PSK) error {
			ask.PreSharedKey = psk
			return nil
		}
		return client, server, nil
	case byRSA.name:
		server.Certificates = []tls.Certificate{ids.rsa}
	default:
		server.Certificates = []tls.Certificate{ids.ecdsa}
	}
	if k.name == resumed.name {
		client.ClientSessionCache = dtls.NewLRUClientSessionCache(0)
	}
	client.RootCAs = dtls.NewCertPool()
	return client, server, client.RootCAs.AppendCertsFromPEM(ids.rootPEM())
}

// osslNetwork is this library on sockets: Listen with a goroutine for each connection, and
// Dial.
func osslNetwork(ids *identities, k kind) (*network, error) {
	return osslServing(ids, k, report.Ours, 1, func(l *dtls.Listener, h handler) { acceptAll(l, h) })
}

// osslServing is this library on so many sockets of the server, which serves as it is told.
func osslServing(ids *identities, k kind, name string, sockets int, serve func(l *dtls.Listener, h handler)) (*network, error) {
	client, server, err := osslConfigs(ids, k)
	if err != nil {
		return nil, err
	}
	server.Sockets = sockets
	return &network{
		name: name,
		listen: func(h handler) (string, func(), error) {
			l, err := dtls.Listen("udp4", "127.0.0.1:0", server)
			if err != nil {
				return "", nil, err
			}
			go serve(l, h)
			return l.Addr().String(), func() { _ = l.Close() }, nil
		},
		dial: func(addr string) (net.Conn, error) { return dtls.Dial("udp4", addr, client) },
	}, nil
}

// batchSize is how many datagrams a batch has.
const batchSize = 50

// osslBatch is osslNetwork for programs that have several datagrams at a time.
func osslBatch(ids *identities) (*network, error) {
	n, err := osslServing(ids, byECDSA, report.Ours+" batch", 1, func(l *dtls.Listener, h handler) {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go readBatches(c.(*dtls.Conn), h)
		}
	})
	if err != nil {
		return nil, err
	}
	n.batches = true
	return n, nil
}

func readBatches(c *dtls.Conn, h handler) {
	defer c.Close()
	bufs, sizes := make([][]byte, batchSize), make([]int, batchSize)
	for i := range bufs {
		bufs[i] = make([]byte, 2048)
	}
	answer := func(b []byte) { _, _ = c.Write(b) }
	for {
		n, err := c.ReadBatch(bufs, sizes)
		if err != nil {
			return
		}
		for i := range n {
			h(bufs[i][:sizes[i]], answer)
		}
	}
}

// osslSockets is osslNetwork with a socket of the listener for each of two cores.
func osslSockets(ids *identities) (*network, error) {
	return osslServing(ids, byECDSA, report.Ours+" 2 sockets", 2, func(l *dtls.Listener, h handler) { acceptAll(l, h) })
}

// osslServe is osslNetwork with the listener's Serve.
func osslServe(ids *identities, k kind) (*network, error) {
	var listener atomic.Pointer[dtls.Listener]
	n, err := osslServing(ids, k, report.Ours, 1, func(l *dtls.Listener, h handler) {
		listener.Store(l)
		_ = l.Serve(dtls.Handler{Datagram: func(c *dtls.Conn, datagram []byte) {
			h(datagram, func(answer []byte) { _, _ = c.Write(answer) })
		}})
	})
	if err != nil {
		return nil, err
	}
	n.counts = func() (cookies uint64, open int) {
		if l := listener.Load(); l != nil {
			stats := l.Stats()
			cookies, open = stats.CookiesSent, stats.Open+stats.HalfOpen
		}
		return cookies, open
	}
	return n, nil
}
