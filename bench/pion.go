package main

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/pion/dtls/v3"
)

// pionName is that contender's.
const pionName = "pion"

// pionOptions returns the options of both sides: pion's defaults, but for the suite.
func pionOptions(ids *identities, k kind) (client []dtls.ClientOption, server []dtls.ServerOption) {
	client = []dtls.ClientOption{dtls.WithCipherSuites(k.suite.pion), dtls.WithServerName(serverName)}
	server = []dtls.ServerOption{dtls.WithCipherSuites(k.suite.pion)}
	switch k.name {
	case byPSK.name:
		key := func([]byte) ([]byte, error) { return psk, nil }
		return append(client, dtls.WithPSK(key), dtls.WithPSKIdentityHint(pskIdentity)),
			append(server, dtls.WithPSK(key), dtls.WithPSKIdentityHint(pskIdentity))
	case byRSA.name:
		server = append(server, dtls.WithCertificates(ids.rsa))
	default:
		server = append(server, dtls.WithCertificates(ids.ecdsa))
	}
	if k.name == resumed.name {
		client = append(client, dtls.WithSessionStore(newPionSessions()))
		server = append(server, dtls.WithSessionStore(newPionSessions()))
	}
	return append(client, dtls.WithRootCAs(ids.rootPool())), server
}

// pionNetwork is pion on sockets. Its server's socket gets the buffer that the others have.
func pionNetwork(ids *identities, k kind) *network {
	client, server := pionOptions(ids, k)
	server = append(server, dtls.WithListenConfig(net.ListenConfig{Control: largeBuffer}))
	return &network{
		name: pionName,
		listen: func(h handler) (string, func(), error) {
			l, err := dtls.ListenWithOptions("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, server...)
			if err != nil {
				return "", nil, err
			}
			go acceptAll(l, h)
			return l.Addr().String(), func() { _ = l.Close() }, nil
		},
		dial: func(addr string) (net.Conn, error) {
			to, err := net.ResolveUDPAddr("udp4", addr)
			if err != nil {
				return nil, err
			}
			c, err := dtls.DialWithOptions("udp4", to, client...)
			if err != nil {
				return nil, err
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := c.HandshakeContext(ctx); err != nil {
				_ = c.Close()
				return nil, err
			}
			return c, nil
		},
	}
}

func largeBuffer(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) { setReadBuffer(fd, socketBuffer) })
}

// pionSessions keeps pion's sessions.
type pionSessions struct {
	mu   sync.Mutex
	kept map[string]dtls.Session
}

func newPionSessions() *pionSessions { return &pionSessions{kept: map[string]dtls.Session{}} }

func (s *pionSessions) Set(key []byte, session dtls.Session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[string(key)] = session
	return nil
}

func (s *pionSessions) Get(key []byte) (dtls.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[string(key)], nil
}

func (s *pionSessions) Del(key []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, string(key))
	return nil
}
