//go:build interop

package interop

import (
	"crypto/tls"
	"encoding/hex"
	"net/netip"

	"github.com/stretchr/testify/assert"

	"github.com/ossldtls/ossldtls/dtls"
)

// What both sides of the cases with pre-shared keys know.
const (
	pskIdentity = "device 17"
	pskHint     = "plant 4"
)

var pskKey = []byte("sixteen bytes ok")

func pskHex() string { return hex.EncodeToString(pskKey) }

// scenario is what a case has a client and a server do. Each runs against several
// peers, with us on either side.
type scenario struct {
	what     string
	suite    string // OpenSSL's name of the only cipher suite; "": the defaults of both
	insecure bool   // the suite needs security level 0
	dtls10   bool
	psk      bool
	rsa      bool
	chain    bool // both sides show a chain that needs fragments
	client   bool // the server requires the client's certificate
	mtu      int  // 0: the defaults of both
	ipv6     bool
	alpn     bool
	cookie   bool // the server verifies cookies
}

const (
	ecdsaAES128    = "ECDHE-ECDSA-AES128-GCM-SHA256"
	ecdsaAES128SHA = "ECDHE-ECDSA-AES128-SHA" // of a kind that DTLS 1.0 has
	pskAES128      = "PSK-AES128-GCM-SHA256"
)

// scenarios holds what every kind of peer can do.
var scenarios = []scenario{
	{what: "defaults", cookie: true},
	{what: "ecdsa AES128-GCM", suite: ecdsaAES128, cookie: true},
	{what: "ecdsa AES256-GCM", suite: "ECDHE-ECDSA-AES256-GCM-SHA384", cookie: true},
	{what: "ecdsa CHACHA20", suite: "ECDHE-ECDSA-CHACHA20-POLY1305", cookie: true},
	{what: "ecdsa AES128-CCM8", suite: "ECDHE-ECDSA-AES128-CCM8", insecure: true, cookie: true},
	{what: "rsa AES128-GCM", suite: "ECDHE-RSA-AES128-GCM-SHA256", rsa: true, cookie: true},
	{what: "psk AES128-GCM", suite: pskAES128, psk: true, cookie: true},
	{what: "psk CHACHA20", suite: "PSK-CHACHA20-POLY1305", psk: true, cookie: true},
	{what: "psk AES128-CCM8", suite: "PSK-AES128-CCM8", insecure: true, psk: true, cookie: true},
	{what: "ecdsa AES128-SHA, DTLS 1.0", suite: ecdsaAES128SHA, insecure: true, dtls10: true, cookie: true},
	{what: "client certificate", suite: ecdsaAES128, client: true, cookie: true},
	// With an MTU, because OpenSSL sees that of loopback and then needs no fragments.
	{what: "chains in fragments", suite: ecdsaAES128, client: true, chain: true, mtu: 1280, cookie: true},
	{what: "MTU 320", suite: ecdsaAES128, client: true, mtu: 320, cookie: true},
	{what: "IPv6", suite: ecdsaAES128, ipv6: true, cookie: true},
}

// withALPN is for the peers that have ALPN, which Qt's QDtls has not.
var withALPN = scenario{what: "ALPN", suite: ecdsaAES128, alpn: true, cookie: true}

// withoutCookies are the scenarios of servers that trust every address.
var withoutCookies = []scenario{
	{what: "no cookies, ecdsa", suite: ecdsaAES128},
	{what: "no cookies, psk", suite: pskAES128, psk: true},
}

// ALPN: the first choice of each side is one that the other lacks.
var (
	clientProtos = []string{"other", "coap"}
	serverProtos = []string{"absent", "coap"}
)

const agreedProto = "coap"

func (s scenario) loopback() netip.Addr {
	if s.ipv6 {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// headers is what IP and UDP add to a datagram, in bytes.
func (s scenario) headers() int {
	if s.ipv6 {
		return 48
	}
	return 28
}

func (s scenario) version() uint16 {
	if s.dtls10 {
		return dtls.VersionDTLS10
	}
	return dtls.VersionDTLS12
}

// versionName is OpenSSL's.
func (s scenario) versionName() string {
	if s.dtls10 {
		return "DTLSv1"
	}
	return "DTLSv1.2"
}

// cipherList is in OpenSSL's syntax; "" is the default.
func (s scenario) cipherList() string {
	if s.insecure {
		return s.suite + ":@SECLEVEL=0"
	}
	return s.suite
}

func (s scenario) serverIdentity(p *pki) identity {
	switch {
	case s.chain:
		return p.chain
	case s.rsa:
		return p.rsa
	}
	return p.ecdsa
}

func (s scenario) clientIdentity(p *pki) identity {
	if s.chain {
		return p.chain
	}
	return p.client
}

// config returns what our client and our server have in common.
func (s scenario) config() *dtls.Config {
	cfg := &dtls.Config{CipherList: s.cipherList(), DisableCookieVerification: !s.cookie}
	if s.dtls10 {
		cfg.MinVersion, cfg.MaxVersion = dtls.VersionDTLS10, dtls.VersionDTLS10
	}
	return cfg
}

func (s scenario) clientConfig(r *row, p *pki) *dtls.Config {
	cfg := s.config()
	cfg.RootCAs = p.ca.pool()
	if s.psk {
		cfg.PSK = func(psk *dtls.PSK) error {
			assert.Equal(r, pskHint, string(psk.IdentityHint))
			psk.Identity, psk.PreSharedKey = []byte(pskIdentity), pskKey
			return nil
		}
	}
	if s.client {
		cfg.Certificates = []tls.Certificate{s.clientIdentity(p).Certificate}
	}
	if s.alpn {
		cfg.NextProtos = clientProtos
	}
	return cfg
}

func (s scenario) serverConfig(r *row, p *pki) *dtls.Config {
	cfg := s.config()
	if s.psk {
		cfg.PSKIdentityHint = pskHint
		cfg.PSK = func(psk *dtls.PSK) error {
			assert.Equal(r, pskIdentity, string(psk.Identity))
			psk.PreSharedKey = pskKey
			return nil
		}
	} else {
		cfg.Certificates = []tls.Certificate{s.serverIdentity(p).Certificate}
	}
	if s.client {
		cfg.PeerVerifyMode, cfg.ClientCAs = dtls.VerifyPeer, p.ca.pool()
	}
	if s.alpn {
		cfg.NextProtos = serverProtos
	}
	return cfg
}
