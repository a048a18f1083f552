package main

import (
	"crypto/x509"

	"github.com/ossldtls/ossldtls/openssl"
)

// sslPair returns the two ends of a connection of package openssl, with the ECDSA
// certificate.
func sslPair(ids *identities, s suite, ctxs *[2]*openssl.Ctx) (client, server *openssl.SSL, err error) {
	for i := range ctxs {
		b, err := openssl.NewCtx(i == 1)
		if err != nil {
			return nil, nil, err
		}
		if err := b.SetCipherList(s.openssl); err != nil {
			b.Discard()
			return nil, nil, err
		}
		if i == 1 {
			if err := useECDSA(b, ids); err != nil {
				b.Discard()
				return nil, nil, err
			}
		}
		if ctxs[i], err = b.Build(); err != nil {
			return nil, nil, err
		}
	}
	if client, err = openssl.NewSSL(ctxs[0], nil); err != nil {
		return nil, nil, err
	}
	server, err = openssl.NewSSL(ctxs[1], nil)
	return client, server, err
}

func useECDSA(b *openssl.CtxBuilder, ids *identities) error {
	cert, err := openssl.LoadCertificateFromDER(ids.ecdsa.Certificate[0])
	if err != nil {
		return err
	}
	defer cert.Close()
	der, err := x509.MarshalPKCS8PrivateKey(ids.ecdsa.PrivateKey)
	if err != nil {
		return err
	}
	key, err := openssl.LoadPrivateKeyFromDER(der)
	if err != nil {
		return err
	}
	defer key.Close()
	return b.UseCertificate(cert, key)
}
