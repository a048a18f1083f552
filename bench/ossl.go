package main

import (
	"crypto/tls"
	"net"

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
	client, server, err := osslConfigs(ids, k)
	if err != nil {
		return nil, err
	}
	return &network{
		name: report.Ours,
		listen: func(h handler) (string, func(), error) {
			l, err := dtls.Listen("udp4", "127.0.0.1:0", server)
			if err != nil {
				return "", nil, err
			}
			go acceptAll(l, h)
			return l.Addr().String(), func() { _ = l.Close() }, nil
		},
		dial: func(addr string) (net.Conn, error) { return dtls.Dial("udp4", addr, client) },
	}, nil
}

// batchSize is how many datagrams a batch has.
const batchSize = 50

// osslBatch is the same for programs that have several datagrams at a time.
func osslBatch(ids *identities) (*network, error) {
	n, err := osslNetwork(ids, byECDSA)
	if err != nil {
		return nil, err
	}
	_, server, err := osslConfigs(ids, byECDSA)
	if err != nil {
		return nil, err
	}
	n.name, n.batches = report.Ours+" batch", true
	n.listen = func(h handler) (string, func(), error) {
		l, err := dtls.Listen("udp4", "127.0.0.1:0", server)
		if err != nil {
			return "", nil, err
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go readBatches(c.(*dtls.Conn), h)
			}
		}()
		return l.Addr().String(), func() { _ = l.Close() }, nil
	}
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

// osslSockets is this library's listener with a socket for each of two cores.
func osslSockets(ids *identities) (*network, error) {
	n, err := osslNetwork(ids, byECDSA)
	if err != nil {
		return nil, err
	}
	_, server, err := osslConfigs(ids, byECDSA)
	if err != nil {
		return nil, err
	}
	server.Sockets = 2
	n.name = report.Ours + " 2 sockets"
	n.listen = func(h handler) (string, func(), error) {
		l, err := dtls.Listen("udp4", "127.0.0.1:0", server)
		if err != nil {
			return "", nil, err
		}
		go acceptAll(l, h)
		return l.Addr().String(), func() { _ = l.Close() }, nil
	}
	return n, nil
}

// osslServe is osslNetwork with the listener's Serve.
func osslServe(ids *identities, k kind) (*network, error) {
	n, err := osslNetwork(ids, k)
	if err != nil {
		return nil, err
	}
	_, server, err := osslConfigs(ids, k)
	if err != nil {
		return nil, err
	}
	n.listen = func(h handler) (string, func(), error) {
		l, err := dtls.Listen("udp4", "127.0.0.1:0", server)
		if err != nil {
			return "", nil, err
		}
		n.counts = func() (uint64, int) {
			stats := l.Stats()
			return stats.CookiesSent, stats.Open + stats.HalfOpen
		}
		go func() {
			_ = l.Serve(dtls.Handler{Datagram: func(c *dtls.Conn, datagram []byte) {
				h(datagram, func(answer []byte) { _, _ = c.Write(answer) })
			}})
		}()
		return l.Addr().String(), func() { _ = l.Close() }, nil
	}
	return n, nil
}
