//go:build interop

package interop

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
	"github.com/ossldtls/ossldtls/internal/certtest"
)

// pki is what the cases of a test prove themselves with, in memory for our side and
// in files for the peers. Every certificate is for localhost, 127.0.0.1 and ::1.
type pki struct {
	ca, stranger authority
	ecdsa, rsa   identity // of servers
	client       identity
	chain        identity // below two intermediate authorities, about 6 KB
	foreign      identity // of stranger
	expired      identity
}

type authority struct {
	*certtest.CA
	file string
}

// identity is a certificate with its chain and key.
type identity struct {
	tls.Certificate
	certFile, keyFile string // certFile: its own first
	chainFile         string // without its own
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	dir := t.TempDir()
	file := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, text, 0o600))
		return path
	}
	newAuthority := func(name string) authority {
		ca := certtest.NewCA(t, name)
		return authority{ca, file(name+".pem", ca.CertPEM())}
	}
	issue := func(ca *certtest.CA, name string, leaf certtest.Leaf) identity {
		leaf.Name = name
		cert := ca.Issue(t, leaf)
		certs, key := certtest.PEM(t, cert)
		above, _ := certtest.PEM(t, tls.Certificate{Certificate: cert.Certificate[1:], PrivateKey: cert.PrivateKey})
		return identity{cert, file(name+".crt", certs), file(name+".key", key), file(name+".chain", above)}
	}
	p := &pki{ca: newAuthority("ca"), stranger: newAuthority("stranger")}
	p.ecdsa = issue(p.ca.CA, "ecdsa", certtest.Leaf{})
	p.rsa = issue(p.ca.CA, "rsa", certtest.Leaf{RSA: true})
	p.client = issue(p.ca.CA, "client", certtest.Leaf{})
	p.foreign = issue(p.stranger.CA, "foreign", certtest.Leaf{})
	p.expired = issue(p.ca.CA, "expired", certtest.Leaf{Expired: true})
	below := p.ca.Intermediate(t, "one", 2000).Intermediate(t, "two", 2000)
	p.chain = issue(below, "chain", certtest.Leaf{Padding: 1000})
	return p
}

func (a authority) pool() *dtls.CertPool {
	pool := dtls.NewCertPool()
	pool.AddCert(a.Cert)
	return pool
}
