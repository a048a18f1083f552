package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The name that the certificates are for, and the pre-shared key of all.
const serverName = "localhost"

var (
	pskIdentity = []byte("bench")
	psk         = []byte("0123456789abcdef")
)

// identities are the certificates of a run: a root, and below it a server of each kind.
type identities struct {
	root       *x509.Certificate
	ecdsa, rsa tls.Certificate
	dir        string // with root.pem, ecdsa.pem and rsa.pem, each with its key, for the C program
}

func newIdentities(dir string) (*identities, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate("bench root")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, rootKey.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	ids := &identities{dir: dir}
	if ids.root, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	if err := ids.write("root", der, nil); err != nil {
		return nil, err
	}
	ecdsaKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if ids.ecdsa, err = ids.issue("ecdsa", ecdsaKey, rootKey); err != nil {
		return nil, err
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	ids.rsa, err = ids.issue("rsa", rsaKey, rootKey)
	return ids, err
}

// loadIdentities reads what newIdentities has written, in another process.
func loadIdentities(dir string) (*identities, error) {
	ids := &identities{dir: dir}
	text, err := os.ReadFile(filepath.Join(dir, "root.pem"))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no root in " + dir)
	}
	if ids.root, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, err
	}
	for name, cert := range map[string]*tls.Certificate{"ecdsa": &ids.ecdsa, "rsa": &ids.rsa} {
		path := filepath.Join(dir, name+".pem")
		if *cert, err = tls.LoadX509KeyPair(path, path); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

func certificate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

func (ids *identities) issue(name string, key crypto.Signer, rootKey *ecdsa.PrivateKey) (tls.Certificate, error) {
	template := certificate(serverName)
	template.DNSNames, template.IPAddresses = []string{serverName}, []net.IP{net.IPv4(127, 0, 0, 1)}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, ids.root, key.Public(), rootKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, ids.write(name, der, key)
}

func (ids *identities) write(name string, der []byte, key crypto.Signer) error {
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if key != nil {
		keyDER, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return fmt.Errorf("key of %s: %w", name, err)
		}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
	}
	return os.WriteFile(filepath.Join(ids.dir, name+".pem"), text, 0o600)
}

func (ids *identities) rootPool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ids.root)
	return pool
}

func (ids *identities) rootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ids.root.Raw})
}
