package dtls

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ossldtls/ossldtls/openssl"
)

// DTLS versions as the wire has them, for [Config] and [Association.SessionProtocol].
const (
	VersionDTLS10 = openssl.VersionDTLS10
	VersionDTLS12 = openssl.VersionDTLS12
)

// VersionName returns the name of a DTLS version: "DTLS 1.2".
func VersionName(version uint16) string {
	switch version {
	case VersionDTLS10:
		return "DTLS 1.0"
	case VersionDTLS12:
		return "DTLS 1.2"
	}
	return fmt.Sprintf("%#04x", version)
}

// DefaultCipherList is the cipher list of the zero [Config], in OpenSSL's syntax:
// forward secrecy and authenticated encryption. With [Config.PSK] set, the
// authenticated encryption suites with pre-shared keys follow it.
const DefaultCipherList = "ECDHE+AESGCM:ECDHE+CHACHA20"

const pskCipherList = "kECDHEPSK+CHACHA20:kDHEPSK+AESGCM:kDHEPSK+CHACHA20:kPSK+AESGCM:kPSK+CHACHA20"

// Defaults of the zero [Config].
const (
	DefaultHandshakeTimeout      = 30 * time.Second
	DefaultRetransmissionTimeout = time.Second // RFC 6347 §4.2.4.1
)

// MinRetransmissionTimeout is the shortest [Config.RetransmissionTimeout]: OpenSSL
// takes a timer with 15 ms left for one that is due, and would give a handshake up
// after sending its flight a dozen times at once.
const MinRetransmissionTimeout = openssl.MinRetransmissionTimeout

// VerifyMode says whether the peer has to show a certificate that OpenSSL accepts.
// Corresponds to QSslSocket::PeerVerifyMode.
type VerifyMode int

// Verify modes, with Qt's names and order of strictness, automatic first.
const (
	// AutoVerifyPeer, the zero value, means what [Config.InsecureSkipVerify] and
	// [Config.ClientAuth] say and, where they say nothing, VerifyPeer on a client and
	// QueryPeer on a server.
	AutoVerifyPeer VerifyMode = iota
	// VerifyNone asks for nothing and checks nothing.
	VerifyNone
	// QueryPeer asks for a certificate and goes on whatever comes; what OpenSSL has
	// against it is in [Association.PeerVerificationErrors].
	QueryPeer
	// VerifyPeer stops the handshake in [PeerVerificationFailed] if there is no
	// certificate or OpenSSL has something against it.
	VerifyPeer
)

// PSK is a question for a pre-shared key, which a [PSKFunc] answers.
type PSK = openssl.PSK

// PSKFunc answers a question for a pre-shared key.
type PSKFunc = openssl.PSKFunc

// ClientHelloInfo is what a client asks for, for [Config.GetConfigForClient].
// Corresponds to tls.ClientHelloInfo.
type ClientHelloInfo struct {
	ServerName      string   // by SNI; "" if it has not said
	SupportedProtos []string // by ALPN; nil if it has not said
	RemoteAddr      net.Addr // of the client
	LocalAddr       net.Addr // that it has sent to
}

// Config holds the settings of associations and connections. The zero value, and nil,
// are those of a client that trusts the machine's CA certificates. A Config must not be
// changed once it is in use, may be used by any number of associations and connections
// concurrently, and is turned into an OpenSSL context once for each kind and side. Its
// functions are called in the middle of a handshake, concurrently for several, and must not
// use that association or connection. Corresponds to QSslConfiguration.
type Config struct {
	// Certificates are the local certificates, at most one for each kind of key, each
	// with its chain (the issuer second, without the root). The private key is an
	// *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey or *openssl.PrivateKey; any
	// other crypto.Signer is refused. A server needs one, or PSK.
	Certificates []tls.Certificate

	// RootCAs are the CA certificates that a client trusts; nil means the machine's.
	RootCAs *CertPool

	// ClientCAs are the CA certificates that a server trusts and tells clients of; nil
	// means the machine's.
	ClientCAs *CertPool

	// PeerVerifyMode says whether the peer's certificate is checked, with Qt's modes for either
	// side. InsecureSkipVerify and ClientAuth say the same with crypto/tls's, and are refused
	// beside another mode than AutoVerifyPeer.
	PeerVerifyMode VerifyMode

	// InsecureSkipVerify makes a client take any certificate of the server's, for any name:
	// whoever is on the path can then read and change everything.
	InsecureSkipVerify bool

	// ClientAuth says whether a server asks for the client's certificate, has to get one, and
	// checks it; a pre-shared key stands for one. NoClientCert, the zero value, leaves it to
	// PeerVerifyMode.
	ClientAuth tls.ClientAuthType

	// RevocationLists (CRLs) say which certificates do not count any more. Where a peer's
	// chain is checked, each of its certificates but the trusted one at the end is looked up
	// in its issuer's list, and it is an objection if there is none, or none that is current.
	// nil means that nothing is looked up.
	RevocationLists []*x509.RevocationList

	// PeerVerifyDepth is how many intermediate certificates there may be; 0 means
	// OpenSSL's own limit, 100.
	PeerVerifyDepth int

	// ServerName is the host name or IP address that a client checks the certificate
	// for and, if it is a name, sends as the server name indication. The name given to
	// [Association.SetPeer] goes before it. If both are empty, the certificate has to be
	// for the peer's IP address.
	ServerName string

	// NextProtos are the application protocols (ALPN), the preferred one first. A server
	// with NextProtos refuses clients that offer only others.
	NextProtos []string

	// MinVersion is the lowest version; 0 means DTLS 1.2. MinVersion alone is "that
	// version or later".
	MinVersion uint16

	// MaxVersion is the highest version; 0 means the highest that is supported, DTLS 1.2.
	MaxVersion uint16

	// CipherList holds the cipher suites in the order of preference, in OpenSSL's syntax
	// ("man openssl-ciphers"); a server's order decides. Empty means [DefaultCipherList].
	CipherList string

	// SRTPProfiles are the SRTP protection profiles (use_srtp, RFC 5764), the preferred
	// one first, with OpenSSL's names: "SRTP_AEAD_AES_128_GCM", "SRTP_AES128_CM_SHA1_80" …
	SRTPProfiles []string

	// KeyLogWriter gets the secrets of every session, in the format of NSS that Wireshark
	// reads, one Write for the lines of an operation. Whoever has them can read the
	// traffic. Writes of several associations may be concurrent; errors do not count.
	KeyLogWriter io.Writer

	// PSK is asked for the pre-shared key in a handshake that needs one, which a resumed
	// session does not: see SessionTicketsDisabled. Setting it adds
	// the cipher suites with pre-shared keys to the default CipherList.
	PSK PSKFunc

	// PSKIdentityHint is what a server tells clients so that they can choose an
	// identity. It must not hold a zero byte.
	PSKIdentityHint string

	// SessionTicketsDisabled keeps a server from giving session tickets (RFC 5077) and a
	// client from asking for them. The keys of the tickets are the Config's own, random,
	// and live as long as it: whoever gets at them can read what was sent in the sessions.
	// A session lasts for two hours at most. One that is resumed asks for no certificate
	// and no PSK again: who must be able to lock a peer out sooner sets this.
	SessionTicketsDisabled bool

	// ClientSessionCache keeps the sessions that a client can resume, with fewer messages
	// and no certificate sent again; nil means that none are resumed. A session is resumed
	// only with the same Config and for the same name.
	ClientSessionCache ClientSessionCache

	// DisableCookieVerification makes a server take a first ClientHello without a
	// cookie, and keep state for clients that have proven nothing.
	DisableCookieVerification bool

	// HandshakeTimeout limits the whole handshake; 0 means [DefaultHandshakeTimeout],
	// less than 0 means no limit but OpenSSL's, about 8 minutes.
	HandshakeTimeout time.Duration

	// RetransmissionTimeout is the first interval after which a flight is sent again. It
	// doubles up to 60 s. 0 means [DefaultRetransmissionTimeout]; less than
	// [MinRetransmissionTimeout] is refused.
	RetransmissionTimeout time.Duration

	// MTU is the path MTU, in bytes, that the handshake's datagrams of a [Conn] are made
	// for, headers of IP and UDP included; 0 means [DefaultMTUHint]. See
	// [Association.SetMTUHint].
	MTU int

	// VerifyConnection has the last word about a peer of a [Conn], after OpenSSL's and
	// before this side's Finished goes out. An error ends the handshake with the alert
	// bad_certificate. It is called for resumed sessions too.
	VerifyConnection func(ConnectionState) error

	// GetConfigForClient chooses the Config for a client of a [Listener] or [Server] by
	// what it asks for, once its address is proven. nil and no error mean this one; an
	// error ends the handshake with the alert internal_error. The same Config should be
	// returned for the same question, since each is turned into an OpenSSL context. Of it,
	// what is about sockets, addresses and time does not count: Limits,
	// OnConnectionAttempt, Logger, IdleTimeout, HandshakeTimeout, DisableCookieVerification.
	GetConfigForClient func(*ClientHelloInfo) (*Config, error)

	// OnConnectionAttempt is asked by a [Listener] for every ClientHello, before anything is
	// answered: an error drops it silently. It is called on a goroutine that reads a socket,
	// which may be that of a Read, so that it has to be quick; with several [Config.Sockets]
	// also concurrently.
	OnConnectionAttempt func(peer net.Addr) error

	// IdleTimeout is how long a connection of a [Listener] may go without anything
	// authentic from its peer; 0 means [DefaultIdleTimeout], less than 0 means for ever.
	// Nothing else tells a peer that has silently gone.
	IdleTimeout time.Duration

	// Sockets is how many sockets [Listen] opens on its address, so that as many of the
	// machine's cores read datagrams; 0 means one. The system chooses the socket of a peer,
	// which its connection stays with (SO_REUSEPORT). Systems other than Linux have one.
	// Another program of the same user could share such an address.
	Sockets int

	// Limits bound what peers can make a [Listener] hold.
	Limits Limits

	// Logger gets the events of a [Listener], at Debug, since peers decide how many there
	// are; nil means none.
	Logger *slog.Logger

	mu    sync.Mutex
	built [2][2]*openssl.Ctx // by Mode and style
}

// Clone returns a copy that may be changed.
func (c *Config) Clone() *Config {
	if c == nil {
		return nil
	}
	return &Config{
		Certificates:              c.Certificates,
		RootCAs:                   c.RootCAs,
		ClientCAs:                 c.ClientCAs,
		PeerVerifyMode:            c.PeerVerifyMode,
		InsecureSkipVerify:        c.InsecureSkipVerify,
		ClientAuth:                c.ClientAuth,
		RevocationLists:           c.RevocationLists,
		PeerVerifyDepth:           c.PeerVerifyDepth,
		ServerName:                c.ServerName,
		NextProtos:                c.NextProtos,
		MinVersion:                c.MinVersion,
		MaxVersion:                c.MaxVersion,
		CipherList:                c.CipherList,
		SRTPProfiles:              c.SRTPProfiles,
		KeyLogWriter:              c.KeyLogWriter,
		PSK:                       c.PSK,
		PSKIdentityHint:           c.PSKIdentityHint,
		SessionTicketsDisabled:    c.SessionTicketsDisabled,
		ClientSessionCache:        c.ClientSessionCache,
		DisableCookieVerification: c.DisableCookieVerification,
		HandshakeTimeout:          c.HandshakeTimeout,
		RetransmissionTimeout:     c.RetransmissionTimeout,
		MTU:                       c.MTU,
		VerifyConnection:          c.VerifyConnection,
		GetConfigForClient:        c.GetConfigForClient,
		OnConnectionAttempt:       c.OnConnectionAttempt,
		IdleTimeout:               c.IdleTimeout,
		Sockets:                   c.Sockets,
		Limits:                    c.Limits,
		Logger:                    c.Logger,
	}
}

// Validate returns what NewAssociation would object to, without making one: an
// [ErrTLSInitialization] that names the field. The Config is in use from then on.
func (c *Config) Validate(mode Mode) error {
	a, err := NewAssociation(mode, c)
	if err != nil {
		return err
	}
	return a.Close()
}

// context returns the shared OpenSSL context for the mode and the style, and says what
// is wrong with the Config at the first call.
func (c *Config) context(mode Mode, s style) (*openssl.Ctx, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx := c.built[mode][s]; ctx != nil {
		return ctx, nil
	}
	b, err := openssl.NewCtx(mode == ServerMode)
	if err != nil {
		return nil, err
	}
	for _, step := range []func(*openssl.CtxBuilder, Mode, style) error{
		c.setVersions, c.setCiphers, c.setCertificates, c.setVerification, c.setExtras,
	} {
		if err := step(b, mode, s); err != nil {
			b.Discard()
			return nil, err
		}
	}
	ctx, err := b.Build()
	if err != nil {
		return nil, fmt.Errorf("Config.CipherList: %w", err)
	}
	c.built[mode][s] = ctx
	return ctx, nil
}

func (c *Config) setVersions(b *openssl.CtxBuilder, _ Mode, _ style) error {
	lowest, highest := c.MinVersion, c.MaxVersion
	if lowest == 0 {
		lowest = VersionDTLS12
	}
	if highest == 0 {
		highest = VersionDTLS12
	}
	if err := b.SetVersions(lowest, highest); err != nil {
		return fmt.Errorf("Config.MinVersion, MaxVersion: %w", err)
	}
	return nil
}

func (c *Config) setCiphers(b *openssl.CtxBuilder, _ Mode, _ style) error {
	list := c.CipherList
	if list == "" {
		list = DefaultCipherList
		if c.PSK != nil {
			list += ":" + pskCipherList
		}
	}
	if err := b.SetCipherList(list); err != nil {
		return fmt.Errorf("Config.CipherList: %w", err)
	}
	return nil
}

func (c *Config) setCertificates(b *openssl.CtxBuilder, mode Mode, s style) error {
	if mode == ServerMode && len(c.Certificates) == 0 && c.PSK == nil && !c.choosesConfig(s) {
		return errors.New("Config.Certificates: a server needs a certificate, or Config.PSK")
	}
	for i, cert := range c.Certificates {
		if err := useCertificate(b, cert); err != nil {
			return fmt.Errorf("Config.Certificates[%d]: %w", i, err)
		}
	}
	return nil
}

func useCertificate(b *openssl.CtxBuilder, cert tls.Certificate) error {
	if len(cert.Certificate) == 0 {
		return errors.New("no certificate in it")
	}
	key, mine, err := privateKey(cert.PrivateKey)
	if err != nil {
		return err
	}
	if mine {
		defer key.Close()
	}
	chain := make([]*openssl.Certificate, len(cert.Certificate))
	for i, der := range cert.Certificate {
		if chain[i], err = openssl.LoadCertificateFromDER(der); err != nil {
			return fmt.Errorf("certificate %d of the chain: %w", i, err)
		}
		defer chain[i].Close()
	}
	return b.UseCertificate(chain[0], key, chain[1:]...)
}

// privateKey returns the key as OpenSSL has it, and whether it was made here.
func privateKey(key any) (_ *openssl.PrivateKey, mine bool, err error) {
	switch k := key.(type) {
	case *openssl.PrivateKey:
		if k == nil {
			return nil, false, errors.New("no private key")
		}
		return k, false, nil
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			return nil, false, fmt.Errorf("private key: %w", err)
		}
		loaded, err := openssl.LoadPrivateKeyFromDER(der)
		clear(der)
		return loaded, true, err
	case nil:
		return nil, false, errors.New("no private key")
	}
	return nil, false, fmt.Errorf("OpenSSL cannot use a private key of type %T: give it as *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey or *openssl.PrivateKey", key)
}

func (c *Config) setExtras(b *openssl.CtxBuilder, mode Mode, s style) error {
	if d := c.RetransmissionTimeout; d != 0 && d < MinRetransmissionTimeout {
		return fmt.Errorf("Config.RetransmissionTimeout: %v is less than %v", d, MinRetransmissionTimeout)
	}
	if c.MTU < 0 || c.Sockets < 0 || !c.Limits.valid() {
		return errors.New("Config.MTU, Sockets, Limits: less than 0")
	}
	if mode == ServerMode && c.choosesConfig(s) {
		if err := b.PauseAtClientHello(); err != nil {
			return err
		}
	}
	if len(c.NextProtos) > 0 {
		if err := b.SetALPNProtos(c.NextProtos); err != nil {
			return fmt.Errorf("Config.NextProtos: %w", err)
		}
	}
	if len(c.SRTPProfiles) > 0 {
		if err := b.SetSRTPProfiles(c.SRTPProfiles); err != nil {
			return fmt.Errorf("Config.SRTPProfiles: %w", err)
		}
	}
	if c.ticketsEnabled(mode) {
		if err := b.EnableSessionTickets(); err != nil {
			return err
		}
	}
	if c.KeyLogWriter != nil {
		if err := b.EnableKeyLog(); err != nil {
			return err
		}
	}
	if c.PSKIdentityHint != "" && c.PSK == nil && mode == ServerMode {
		return errors.New("Config.PSKIdentityHint: Config.PSK is missing")
	}
	if strings.Contains(c.ServerName, "\x00") || len(c.ServerName) > 255 {
		return fmt.Errorf("Config.ServerName: %q is neither a host name nor an IP address", c.ServerName)
	}
	if c.PSK != nil {
		if err := b.UsePSK(c.PSKIdentityHint); err != nil {
			return fmt.Errorf("Config.PSKIdentityHint: %w", err)
		}
	}
	return nil
}

// choosesConfig reports whether GetConfigForClient is asked, which an Association does not.
func (c *Config) choosesConfig(s style) bool { return s == conns && c.GetConfigForClient != nil }

// maxTicketCertificate is the size, in bytes, of a client's certificate above which it
// asks for no tickets: the certificate is in the ticket, and the ticket in the next
// ClientHello, which has to be one handshake message of at most 32 KB.
const maxTicketCertificate = 16 << 10

func (c *Config) ticketsEnabled(mode Mode) bool {
	if c.SessionTicketsDisabled || mode == ClientMode && c.ClientSessionCache == nil {
		return false
	}
	return mode == ServerMode || !slices.ContainsFunc(c.Certificates, func(cert tls.Certificate) bool {
		return len(cert.Certificate) > 0 && len(cert.Certificate[0]) > maxTicketCertificate
	})
}

func (c *Config) handshakeTimeout() time.Duration {
	if c.HandshakeTimeout == 0 {
		return DefaultHandshakeTimeout
	}
	return c.HandshakeTimeout
}
