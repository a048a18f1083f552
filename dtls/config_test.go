package dtls

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
	"github.com/ossldtls/ossldtls/openssl"
)

// signer stands for a key that Go can use and OpenSSL cannot.
type signer struct{}

func (signer) Public() crypto.PublicKey                                  { return nil }
func (signer) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, nil }

func withKey(cert tls.Certificate, key crypto.PrivateKey) tls.Certificate {
	cert.PrivateKey = key
	return cert
}

func serverWith(cert tls.Certificate, change func(*Config)) *Config {
	cfg := &Config{Certificates: []tls.Certificate{cert}}
	if change != nil {
		change(cfg)
	}
	return cfg
}

func TestConfigThatIsWrong(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	good, other, rsa := ca.Issue(t, certtest.Leaf{}), ca.Issue(t, certtest.Leaf{}), ca.Issue(t, certtest.Leaf{RSA: true})
	ed25519 := ca.Issue(t, certtest.Leaf{Ed25519: true})
	junkChain := tls.Certificate{Certificate: [][]byte{good.Certificate[0], []byte("junk")}, PrivateKey: good.PrivateKey}
	crl := ca.CRL(t, certtest.CRL{})
	psk := func(*PSK) error { return nil }
	for name, test := range map[string]struct {
		cfg  *Config
		text []string
	}{
		"server without anything":        {&Config{}, []string{"Config.Certificates", "Config.PSK"}},
		"key of another certificate":     {serverWith(withKey(good, other.PrivateKey), nil), []string{"Config.Certificates[0]", "is not the key of", "CN=localhost"}},
		"key of another kind":            {serverWith(withKey(good, rsa.PrivateKey), nil), []string{"2048 bits", "is not the key of"}},
		"no key":                         {serverWith(withKey(good, nil), nil), []string{"no private key"}},
		"nil key":                        {serverWith(withKey(good, (*openssl.PrivateKey)(nil)), nil), []string{"no private key"}},
		"a crypto.Signer":                {serverWith(withKey(good, signer{}), nil), []string{"dtls.signer", "*openssl.PrivateKey"}},
		"no certificate":                 {serverWith(tls.Certificate{PrivateKey: good.PrivateKey}, nil), []string{"Config.Certificates[0]", "no certificate"}},
		"junk in the chain":              {serverWith(junkChain, nil), []string{"certificate 1 of the chain"}},
		"Ed25519 on a server":            {serverWith(ed25519, nil), []string{"ED25519", "DTLS 1.2"}},
		"unknown cipher":                 {serverWith(good, func(c *Config) { c.CipherList = "ECDHE+AESGCM:NO-SUCH-CIPHER" }), []string{"Config.CipherList", `"NO-SUCH-CIPHER"`}},
		"no usable cipher":               {serverWith(good, func(c *Config) { c.MaxVersion, c.MinVersion = VersionDTLS10, VersionDTLS10 }), []string{"Config.CipherList", "build context"}},
		"PSK suites without PSK":         {serverWith(good, func(c *Config) { c.CipherList = "PSK-AES128-GCM-SHA256" }), []string{"Config.CipherList", "pre-shared keys"}},
		"unknown version":                {serverWith(good, func(c *Config) { c.MinVersion = tls.VersionTLS12 }), []string{"Config.MinVersion", "0x0303"}},
		"versions swapped":               {serverWith(good, func(c *Config) { c.MinVersion, c.MaxVersion = VersionDTLS12, VersionDTLS10 }), []string{"lowest version is above"}},
		"empty protocol":                 {serverWith(good, func(c *Config) { c.NextProtos = []string{""} }), []string{"Config.NextProtos"}},
		"long protocol":                  {serverWith(good, func(c *Config) { c.NextProtos = []string{strings.Repeat("x", 256)} }), []string{"Config.NextProtos", "256 bytes"}},
		"empty pool":                     {serverWith(good, func(c *Config) { c.ClientCAs = NewCertPool() }), []string{"Config.ClientCAs", "no certificate"}},
		"depth":                          {serverWith(good, func(c *Config) { c.PeerVerifyDepth = -1 }), []string{"PeerVerifyDepth"}},
		"mode":                           {serverWith(good, func(c *Config) { c.PeerVerifyMode = 9 }), []string{"PeerVerifyMode"}},
		"mode and ClientAuth":            {serverWith(good, func(c *Config) { c.PeerVerifyMode, c.ClientAuth = VerifyPeer, tls.RequestClientCert }), []string{"Config.PeerVerifyMode", "Config.ClientAuth"}},
		"mode and InsecureSkipVerify":    {serverWith(good, func(c *Config) { c.PeerVerifyMode, c.InsecureSkipVerify = VerifyNone, true }), []string{"Config.PeerVerifyMode", "Config.InsecureSkipVerify"}},
		"ClientAuth":                     {serverWith(good, func(c *Config) { c.ClientAuth = 5 }), []string{"Config.ClientAuth", "5"}},
		"negative ClientAuth":            {serverWith(good, func(c *Config) { c.ClientAuth = -1 }), []string{"Config.ClientAuth", "-1"}},
		"no revocation list":             {serverWith(good, func(c *Config) { c.RevocationLists = []*x509.RevocationList{} }), []string{"Config.RevocationLists", "no list"}},
		"nil revocation list":            {serverWith(good, func(c *Config) { c.RevocationLists = []*x509.RevocationList{crl, nil} }), []string{"Config.RevocationLists[1]", "parsed"}},
		"junk as revocation list":        {serverWith(good, func(c *Config) { c.RevocationLists = []*x509.RevocationList{{Raw: []byte("junk")}} }), []string{"Config.RevocationLists[0]", "not one certificate revocation list"}},
		"timer too short":                {serverWith(good, func(c *Config) { c.RetransmissionTimeout = time.Millisecond }), []string{"Config.RetransmissionTimeout", "20ms"}},
		"unknown SRTP profile":           {serverWith(good, func(c *Config) { c.SRTPProfiles = []string{"SRTP_NO_SUCH"} }), []string{"Config.SRTPProfiles", "SRTP_NO_SUCH"}},
		"two certificates of a kind":     {serverWith(good, func(c *Config) { c.Certificates = append(c.Certificates, other) }), []string{"Config.Certificates[1]", "not replacing certificate"}},
		"suites of another kind of key":  {serverWith(good, func(c *Config) { c.CipherList = "ECDHE-RSA-AES128-GCM-SHA256" }), []string{"Config.CipherList", "certificates"}},
		"suites that need a certificate": {&Config{PSK: psk, CipherList: "ECDHE-RSA-AES128-GCM-SHA256"}, []string{"Config.CipherList", "certificates"}},
		"hint without PSK":               {serverWith(good, func(c *Config) { c.PSKIdentityHint = "hint" }), []string{"Config.PSKIdentityHint", "Config.PSK"}},
		"server name":                    {serverWith(good, func(c *Config) { c.ServerName = "a\x00b" }), []string{"Config.ServerName"}},
		"zero byte in the hint":          {&Config{PSK: psk, PSKIdentityHint: "a\x00"}, []string{"Config.PSKIdentityHint"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.cfg.Validate(ServerMode)
			assertError(t, err, ErrTLSInitialization)
			for _, text := range test.text {
				assert.Contains(t, err.Error(), text)
			}
			assert.NotContains(t, err.Error(), "\n", "one line")
		})
	}
	require.NoError(t, serverWith(good, nil).Validate(ServerMode))
	require.NoError(t, (*Config)(nil).Validate(ClientMode))
}

func TestConfigIsBuiltOnce(t *testing.T) {
	client, server := certConfigs(t)
	for cfg, mode := range map[*Config]Mode{client: ClientMode, server: ServerMode, nil: ClientMode} {
		a, err := NewAssociation(mode, cfg)
		require.NoError(t, err)
		first := a.ctx
		require.NoError(t, a.Close())
		for range 3 {
			a, err := NewAssociation(mode, cfg)
			require.NoError(t, err)
			assert.Same(t, first, a.ctx)
			require.NoError(t, a.Close())
		}
	}
}

func TestSetDTLSConfiguration(t *testing.T) {
	_, server := certConfigs(t)
	a, err := NewAssociation(ServerMode, server)
	require.NoError(t, err)
	defer a.Close()
	assertError(t, a.SetDTLSConfiguration(&Config{}), ErrTLSInitialization)
	assert.Same(t, server, a.DTLSConfiguration(), "the old one stays")
	_, psk := pskConfigs()
	require.NoError(t, a.SetDTLSConfiguration(psk))
	assert.Same(t, psk, a.DTLSConfiguration())
}

// A field that Clone forgets is a setting that silently does not count.
func TestCloneCopiesEveryField(t *testing.T) {
	cfg := &Config{}
	v := reflect.ValueOf(cfg).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if !f.CanSet() {
			continue
		}
		switch f.Interface().(type) {
		case string:
			f.SetString("x")
		case bool:
			f.SetBool(true)
		case uint16:
			f.SetUint(7)
		case int, VerifyMode, time.Duration, tls.ClientAuthType:
			f.SetInt(7)
		case []*x509.RevocationList:
			f.Set(reflect.ValueOf([]*x509.RevocationList{{}}))
		case []string:
			f.Set(reflect.ValueOf([]string{"x"}))
		case nil: // an interface
			switch v.Type().Field(i).Name {
			case "KeyLogWriter":
				f.Set(reflect.ValueOf(io.Discard))
			case "ClientSessionCache":
				f.Set(reflect.ValueOf(nothing{}))
			default:
				t.Fatalf("interface %s is one that this test does not know", v.Type().Field(i).Name)
			}
		case []tls.Certificate:
			f.Set(reflect.ValueOf([]tls.Certificate{{}}))
		case *CertPool:
			f.Set(reflect.ValueOf(NewCertPool()))
		case PSKFunc:
			f.Set(reflect.ValueOf(PSKFunc(func(*PSK) error { return nil })))
		case func(ConnectionState) error:
			cfg.VerifyConnection = func(ConnectionState) error { return nil }
		case func(*ClientHelloInfo) (*Config, error):
			cfg.GetConfigForClient = func(*ClientHelloInfo) (*Config, error) { return nil, nil }
		case func(net.Addr) error:
			cfg.OnConnectionAttempt = func(net.Addr) error { return nil }
		case Limits:
			cfg.Limits.HalfOpen = 7
		case *slog.Logger:
			cfg.Logger = slog.New(slog.DiscardHandler)
		default:
			t.Fatalf("field %s has a type that this test does not know", v.Type().Field(i).Name)
		}
	}
	clone := reflect.ValueOf(cfg.Clone()).Elem()
	for i := range v.NumField() {
		if field := v.Type().Field(i); field.IsExported() {
			assert.False(t, clone.Field(i).IsZero(), field.Name)
		}
	}
	assert.Nil(t, (*Config)(nil).Clone())
}

func TestCertPool(t *testing.T) {
	ca, other := certtest.NewCA(t, "root"), certtest.NewCA(t, "other")
	pool := NewCertPool()
	require.NoError(t, pool.AppendCertsFromPEM(append(ca.CertPEM(), other.CertPEM()...)))
	require.NoError(t, pool.AppendCertsFromPEM(ca.CertPEM()), "added twice")
	require.NoError(t, pool.AppendCertsFromDER(ca.Cert.Raw))
	require.Error(t, pool.AppendCertsFromPEM([]byte("nothing")))
	require.Error(t, pool.AppendCertsFromPEM([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")))
	require.Error(t, pool.AppendCertsFromDER([]byte("nothing")))
	assert.Panics(t, func() { pool.AddCert(nil) })

	server := &Config{PeerVerifyMode: VerifyNone}
	server.Certificates = append(server.Certificates, other.Issue(t, certtest.Leaf{}))
	newPair(t, &Config{RootCAs: pool}, server).mustShake()

	system := SystemCertPool()
	require.NoError(t, system.AppendCertsFromPEM(other.CertPEM()))
	newPair(t, &Config{RootCAs: system}, server).mustShake()

	p := newPair(t, nil, server)
	clientErr, _ := p.shake()
	assertError(t, clientErr, ErrPeerVerification)
}

func TestOpenSSLPrivateKey(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	cert := ca.Issue(t, certtest.Leaf{RSA: true})
	_, keyPEM := certtest.PEM(t, cert)
	key, err := openssl.LoadPrivateKeyFromPEM(keyPEM)
	require.NoError(t, err)
	defer key.Close()
	cfg := &Config{PeerVerifyMode: VerifyNone, Certificates: []tls.Certificate{withKey(cert, key)}}
	p := newPair(t, &Config{RootCAs: poolOf(ca)}, cfg).mustShake()
	assert.Equal(t, "ECDHE-RSA-AES256-GCM-SHA384", p.client.SessionCipher().Name)
}

func TestVersionName(t *testing.T) {
	assert.Equal(t, "DTLS 1.2", VersionName(VersionDTLS12))
	assert.Equal(t, "DTLS 1.0", VersionName(VersionDTLS10))
	assert.Equal(t, "0x0303", VersionName(tls.VersionTLS12))
}
