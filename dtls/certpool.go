package dtls

import (
	"crypto/x509"
	"errors"

	"github.com/ossldtls/ossldtls/openssl"
)

// CertPool is a set of CA certificates. It stands where crypto/tls has
// *x509.CertPool, whose certificates cannot be read out for OpenSSL. It must not be
// changed once a [Config] with it is in use.
type CertPool struct {
	ders   [][]byte
	system bool
}

// NewCertPool returns an empty pool.
func NewCertPool() *CertPool { return &CertPool{} }

// SystemCertPool returns a pool with the roots of the machine's OpenSSL, to which
// others may be added. Corresponds to SSL_CTX_set_default_verify_paths and
// QSslConfiguration::systemCaCertificates.
func SystemCertPool() *CertPool { return &CertPool{system: true} }

// AddCert adds a certificate. Corresponds to X509_STORE_add_cert.
func (p *CertPool) AddCert(cert *x509.Certificate) {
	if cert == nil {
		panic("dtls: nil Certificate in AddCert")
	}
	p.ders = append(p.ders, cert.Raw)
}

// AppendCertsFromDER adds one certificate that OpenSSL can read, in DER. Corresponds to
// d2i_X509.
func (p *CertPool) AppendCertsFromDER(der []byte) error {
	cert, err := openssl.LoadCertificateFromDER(der)
	if err != nil {
		return err
	}
	defer cert.Close()
	p.ders = append(p.ders, cert.MarshalDER())
	return nil
}

// AppendCertsFromPEM adds every certificate of a PEM text. It fails, and adds
// nothing, if there is none or if one of them cannot be read. Corresponds to
// PEM_read_bio_X509.
func (p *CertPool) AppendCertsFromPEM(pem []byte) error {
	certs, err := openssl.LoadCertificatesFromPEM(pem)
	if err != nil {
		return err
	}
	for _, cert := range certs {
		p.ders = append(p.ders, cert.MarshalDER())
		cert.Close()
	}
	return nil
}

// each calls f for every certificate; those added twice count once.
func (p *CertPool) each(f func(*openssl.Certificate) error) error {
	seen := make(map[string]bool, len(p.ders))
	for _, der := range p.ders {
		if seen[string(der)] {
			continue
		}
		seen[string(der)] = true
		cert, err := openssl.LoadCertificateFromDER(der)
		if err != nil {
			return err
		}
		err = f(cert)
		cert.Close()
		if err != nil {
			return err
		}
	}
	if len(p.ders) == 0 && !p.system {
		return errors.New("the pool holds no certificate")
	}
	return nil
}
