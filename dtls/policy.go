package dtls

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/ossldtls/ossldtls/openssl"
)

// style says who looks at the peer's certificate. A context is made for one of them.
type style int

const (
	// packets: an Association, which stops at what OpenSSL objects to and asks its caller.
	packets style = iota
	// conns: a Conn, where OpenSSL itself ends the handshake.
	conns
)

// policy is what becomes of the peer's certificate. The zero value: nothing is asked for
// and nothing is checked.
type policy struct {
	ask     bool // a server asks for one
	require bool // there has to be one, or a pre-shared key
	verify  bool // OpenSSL checks it
	collect bool // the handshake goes on whatever OpenSSL finds
}

// policy resolves PeerVerifyMode, InsecureSkipVerify and ClientAuth, which checkPolicy has
// found in order.
func (c *Config) policy(mode Mode, s style) policy {
	server := mode == ServerMode
	switch c.PeerVerifyMode {
	case VerifyNone:
		return policy{}
	case QueryPeer:
		return policy{ask: server, verify: true, collect: true}
	case VerifyPeer:
		return policy{ask: server, require: true, verify: true}
	}
	if !server {
		return policy{require: !c.InsecureSkipVerify, verify: !c.InsecureSkipVerify}
	}
	switch c.ClientAuth {
	case tls.RequestClientCert:
		return policy{ask: true}
	case tls.RequireAnyClientCert:
		return policy{ask: true, require: true}
	case tls.VerifyClientCertIfGiven:
		return policy{ask: true, verify: true}
	case tls.RequireAndVerifyClientCert:
		return policy{ask: true, require: true, verify: true}
	}
	if s == packets {
		return policy{ask: true, verify: true, collect: true}
	}
	return policy{}
}

// verifyMode returns what OpenSSL has to do for the policy. Of an Association it leaves
// every decision to that.
func (p policy) verifyMode(s style) openssl.VerifyMode {
	switch {
	case p.verify && (p.collect || s == packets):
		return openssl.VerifyCollect
	case p.verify && p.require:
		return openssl.VerifyRequire
	case p.verify:
		return openssl.VerifyStrict
	case p.ask && p.require && s == conns:
		return openssl.VerifyRequireAny
	case p.ask:
		return openssl.VerifyRequest
	}
	return openssl.VerifyNone
}

func (c *Config) checkPolicy() error {
	switch {
	case c.PeerVerifyDepth < 0 || c.PeerVerifyMode < AutoVerifyPeer || c.PeerVerifyMode > VerifyPeer:
		return fmt.Errorf("Config.PeerVerifyMode %d, PeerVerifyDepth %d: out of range", c.PeerVerifyMode, c.PeerVerifyDepth)
	case c.ClientAuth < tls.NoClientCert || c.ClientAuth > tls.RequireAndVerifyClientCert:
		return fmt.Errorf("Config.ClientAuth: %d is out of range", int(c.ClientAuth))
	case c.PeerVerifyMode == AutoVerifyPeer:
		return nil
	case c.InsecureSkipVerify:
		return errors.New("Config.InsecureSkipVerify: Config.PeerVerifyMode is set too")
	case c.ClientAuth != tls.NoClientCert:
		return errors.New("Config.ClientAuth: Config.PeerVerifyMode is set too")
	}
	return nil
}

func (c *Config) setVerification(b *openssl.CtxBuilder, mode Mode, s style) error {
	if err := c.checkPolicy(); err != nil {
		return err
	}
	p := c.policy(mode, s)
	b.SetVerify(p.verifyMode(s), c.PeerVerifyDepth)
	if !p.verify && !p.ask {
		return nil
	}
	if err := c.setAuthorities(b, mode, p.verify); err != nil || !p.verify {
		return err
	}
	return c.setRevocationLists(b)
}

// setAuthorities adds what chains may end with, if they are checked; a server tells its
// clients of those that the Config names.
func (c *Config) setAuthorities(b *openssl.CtxBuilder, mode Mode, verify bool) error {
	pool, field := c.RootCAs, "Config.RootCAs"
	if mode == ServerMode {
		pool, field = c.ClientCAs, "Config.ClientCAs"
	}
	if verify && (pool == nil || pool.system) {
		if err := b.AddSystemRoots(); err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
	}
	if pool == nil {
		return nil
	}
	err := pool.each(func(cert *openssl.Certificate) error {
		if verify {
			if err := b.AddRoot(cert); err != nil {
				return err
			}
		}
		if mode == ClientMode {
			return nil
		}
		return b.AddClientCA(cert)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

func (c *Config) setRevocationLists(b *openssl.CtxBuilder) error {
	if c.RevocationLists != nil && len(c.RevocationLists) == 0 {
		return errors.New("Config.RevocationLists: it holds no list; nil is for no revocation check")
	}
	for i, list := range c.RevocationLists {
		if list == nil || len(list.Raw) == 0 {
			return fmt.Errorf("Config.RevocationLists[%d]: it has not been parsed", i)
		}
		if err := b.AddCRL(list.Raw); err != nil {
			return fmt.Errorf("Config.RevocationLists[%d]: %w", i, err)
		}
	}
	return nil
}
