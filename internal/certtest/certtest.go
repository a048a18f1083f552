// Package certtest makes certificates for tests: authorities, leaves, chains long
// enough to need fragments, and leaves with something wrong on purpose.
package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// CA is an authority, a root or an intermediate.
type CA struct {
	Cert  *x509.Certificate
	key   crypto.Signer
	chain [][]byte // from this one up, without the root
}

// Leaf says what a certificate is to be. The zero value is a valid ECDSA P-256
// certificate for localhost, 127.0.0.1 and ::1.
type Leaf struct {
	Name    string // common name; "localhost" if empty
	Names   []string
	IPs     []net.IP
	RSA     bool
	Ed25519 bool
	Expired bool
	Future  bool          // not valid yet
	Valid   time.Duration // from now on; 0: a day
	Padding int           // bytes of an extension that only makes the certificate larger
	Usages  []x509.ExtKeyUsage
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err)
	}
	return n
}

func newKey(t testing.TB, leaf Leaf) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch {
	case leaf.RSA:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case leaf.Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	require.NoError(t, err)
	return key
}

// NewCA returns a new root.
func NewCA(t testing.TB, name string) *CA {
	t.Helper()
	return newCA(t, name, nil, caValid)
}

// Intermediate returns an authority below ca, whose certificate is padding bytes
// larger than it need be.
func (ca *CA) Intermediate(t testing.TB, name string, padding int) *CA {
	t.Helper()
	return newCA(t, name, ca, caValid, pad(padding)...)
}

// ShortLived returns an authority below ca that is valid for some time from now on.
func (ca *CA) ShortLived(t testing.TB, name string, valid time.Duration) *CA {
	t.Helper()
	return newCA(t, name, ca, valid)
}

const caValid = 24 * time.Hour

// IntermediateWithCriticalExtension returns an authority below ca that OpenSSL objects
// to: it does not know an extension that claims to be critical.
func (ca *CA) IntermediateWithCriticalExtension(t testing.TB, name string) *CA {
	t.Helper()
	extension := pad(1)
	extension[0].Critical = true
	return newCA(t, name, ca, caValid, extension...)
}

// Impostor returns an authority below ca that is none: its certificate is a leaf.
func (ca *CA) Impostor(t testing.TB, name string) *CA {
	t.Helper()
	leaf := ca.Issue(t, Leaf{Name: name})
	return &CA{Cert: leaf.Leaf, key: leaf.PrivateKey.(crypto.Signer), chain: leaf.Certificate}
}

func newCA(t testing.TB, name string, parent *CA, valid time.Duration, extra ...pkix.Extension) *CA {
	t.Helper()
	key := newKey(t, Leaf{})
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(valid),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtraExtensions:       extra,
	}
	signer, issuer := key, template
	if parent != nil {
		signer, issuer = parent.key, parent.Cert
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	ca := &CA{Cert: cert, key: key}
	if parent != nil {
		ca.chain = append([][]byte{der}, parent.chain...)
	}
	return ca
}

func pad(n int) []pkix.Extension {
	if n == 0 {
		return nil
	}
	// An extension of no meaning, below the arc that is meant for examples.
	return []pkix.Extension{{Id: []int{2, 999, 1}, Value: make([]byte, n)}}
}

// Issue returns a certificate with its chain (without the root) and its key.
func (ca *CA) Issue(t testing.TB, leaf Leaf) tls.Certificate {
	t.Helper()
	key := newKey(t, leaf)
	if leaf.Name == "" {
		leaf.Name = "localhost"
	}
	if leaf.Names == nil && leaf.IPs == nil {
		leaf.Names = []string{"localhost"}
		leaf.IPs = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	template := &x509.Certificate{
		SerialNumber:    serial(),
		Subject:         pkix.Name{CommonName: leaf.Name},
		NotBefore:       time.Now().Add(-time.Hour),
		NotAfter:        time.Now().Add(24 * time.Hour),
		DNSNames:        leaf.Names,
		IPAddresses:     leaf.IPs,
		KeyUsage:        x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:     leaf.Usages,
		ExtraExtensions: pad(leaf.Padding),
	}
	if leaf.Usages == nil {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	if leaf.Expired {
		template.NotBefore, template.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	}
	if leaf.Future {
		template.NotBefore = time.Now().Add(12 * time.Hour)
	}
	if leaf.Valid > 0 {
		template.NotAfter = time.Now().Add(leaf.Valid)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Cert, key.Public(), ca.key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: append([][]byte{der}, ca.chain...), PrivateKey: key, Leaf: parsed}
}

// CRL says what a revocation list is to be. The zero value is a valid one that revokes nothing.
type CRL struct {
	Revoked []*x509.Certificate
	Expired bool
	Signer  *CA // whose signature is under it; nil: the authority's own
}

// CRL returns a revocation list of the authority.
func (ca *CA) CRL(t testing.TB, crl CRL) *x509.RevocationList {
	t.Helper()
	template := &x509.RevocationList{
		Number:     serial(),
		ThisUpdate: time.Now().Add(-time.Hour),
		NextUpdate: time.Now().Add(24 * time.Hour),
	}
	if crl.Expired {
		template.ThisUpdate, template.NextUpdate = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	}
	for _, cert := range crl.Revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: template.ThisUpdate})
	}
	key := ca.key
	if crl.Signer != nil {
		key = crl.Signer.key
	}
	issuer := *ca.Cert
	issuer.PublicKey = key.Public() // CreateRevocationList checks what it has signed
	der, err := x509.CreateRevocationList(rand.Reader, template, &issuer, key)
	require.NoError(t, err)
	list, err := x509.ParseRevocationList(der)
	require.NoError(t, err)
	return list
}

// PEM returns the certificates, its own first, and the PKCS #8 key.
func PEM(t testing.TB, cert tls.Certificate) (certs, key []byte) {
	t.Helper()
	for _, der := range cert.Certificate {
		certs = append(certs, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	require.NoError(t, err)
	return certs, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// CertPEM returns the authority's own certificate.
func (ca *CA) CertPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Cert.Raw})
}
