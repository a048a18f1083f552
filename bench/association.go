package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ossldtls/ossldtls/dtls"
	"github.com/ossldtls/ossldtls/openssl"
	"github.com/ossldtls/ossldtls/verifier"
)

var (
	clientAddr = netip.MustParseAddrPort("127.0.0.1:40000")
	serverAddr = netip.MustParseAddrPort("127.0.0.1:4433")
)

// wire holds what one side has sent.
type wire struct{ openssl.Datagrams }

func (w *wire) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	w.Append(b)
	return len(b), nil
}

// pair is both ends of an association of this library, in memory.
type pair struct {
	clientCfg, serverCfg *dtls.Config
	verify               *verifier.ClientVerifier
	client, server       *dtls.Association
	up, down, moving     wire
	clientTime           time.Duration // in the handshake's operations
	serverTime           time.Duration
}

func newPair(ids *identities, k kind) (*pair, error) {
	p := &pair{}
	var err error
	if p.clientCfg, p.serverCfg, err = osslConfigs(ids, k); err != nil {
		return nil, err
	}
	p.verify, err = verifier.New()
	return p, err
}

func (p *pair) close() {
	p.drop()
	_ = p.verify.Close()
}

func (p *pair) drop() {
	if p.client != nil {
		_ = p.client.Close()
	}
	if p.server != nil {
		_ = p.server.Close()
	}
	p.client, p.server = nil, nil
}

// shake makes new associations and their handshake, cookie and all.
func (p *pair) shake() error {
	p.drop()
	p.up.Reset()
	p.down.Reset()
	start := time.Now()
	err := p.begin()
	p.clientTime += time.Since(start)
	for err == nil && (p.up.Len() > 0 || p.down.Len() > 0) {
		start = time.Now()
		p.swap(&p.up)
		for d := range p.moving.All() {
			err = errors.Join(err, p.toServer(d))
		}
		middle := time.Now()
		p.serverTime += middle.Sub(start)
		p.swap(&p.down)
		for d := range p.moving.All() {
			err = errors.Join(err, p.client.DoHandshake(&p.up, d))
		}
		p.clientTime += time.Since(middle)
	}
	if err == nil && !(p.client.IsConnectionEncrypted() && p.server != nil && p.server.IsConnectionEncrypted()) {
		return errors.New("the handshake is not complete")
	}
	return err
}

// swap moves what has been sent to p.moving.
func (p *pair) swap(from *wire) {
	p.moving.Reset()
	p.moving, *from = *from, p.moving
}

func (p *pair) begin() (err error) {
	if p.client, err = dtls.NewAssociation(dtls.ClientMode, p.clientCfg); err != nil {
		return err
	}
	if err := p.client.SetPeer(serverAddr, serverName); err != nil {
		return err
	}
	return p.client.DoHandshake(&p.up, nil)
}

func (p *pair) toServer(d []byte) error {
	if p.server != nil {
		return p.server.DoHandshake(&p.down, d)
	}
	verified, err := p.verify.VerifyClient(&p.down, d, clientAddr)
	if err != nil || !verified {
		return err
	}
	if p.server, err = dtls.NewAssociation(dtls.ServerMode, p.serverCfg); err != nil {
		return err
	}
	if err := p.server.SetPeer(clientAddr, ""); err != nil {
		return err
	}
	return p.server.DoHandshake(&p.down, d)
}

// checkSuite makes sure that everybody uses the suite that was asked for.
func (p *pair) checkSuite(k kind) error {
	if name := p.client.SessionCipher().StandardName; name != k.suite.pion.String() {
		return fmt.Errorf("the suite is %s instead of %s", name, k.suite.pion)
	}
	return nil
}
