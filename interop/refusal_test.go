//go:build interop

package interop

import (
	"crypto/tls"
	"os"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

// What the cases of disagreement are about.
var (
	ecdsaOnly = scenario{suite: ecdsaAES128, cookie: true}
	clientToo = scenario{suite: ecdsaAES128, client: true, cookie: true}
	pskOnly   = scenario{suite: pskAES128, psk: true, cookie: true}
)

// wrongKey answers with the right identity and another key.
func wrongKey(psk *dtls.PSK) error {
	psk.Identity, psk.PreSharedKey = []byte(pskIdentity), []byte("another sixteen!")
	return nil
}

// brief is how long a handshake may take that cannot succeed: DTLS drops what it
// cannot decrypt, so that a wrong key looks like a lossy network.
const brief = time.Second

// haveWrongKey changes a Config to have a key that the peer has not.
func haveWrongKey(cfg *dtls.Config) { cfg.PSK, cfg.HandshakeTimeout = wrongKey, brief }

// OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY and
// X509_V_ERR_HOSTNAME_MISMATCH.
const (
	hasExpired    = 10
	unknownIssuer = 20
	wrongName     = 62
)

// requireObjection checks that our side holds the handshake back because of the
// peer's certificate, and gives it up.
func requireObjection(e *endpoint, err error, code int) {
	r := e.r
	r.Helper()
	require.ErrorIs(r, err, dtls.ErrPeerVerification)
	require.Equal(r, dtls.PeerVerificationFailed, e.HandshakeState())
	objections := e.PeerVerificationErrors()
	require.NotEmpty(r, objections)
	require.Equal(r, code, objections[0].Code, "%v", objections)
	require.NoError(r, e.AbortHandshake(e.wire))
	require.Equal(r, dtls.HandshakeNotStarted, e.HandshakeState())
}

// requireAlert checks that our side has failed because of the peer's alert, which
// the error names in OpenSSL's words.
func requireAlert(e *endpoint, err error, name string) {
	r := e.r
	r.Helper()
	require.ErrorIs(r, err, dtls.ErrTLSFatal)
	require.ErrorContains(r, err, "alert "+name)
	require.Equal(r, dtls.HandshakeNotStarted, e.HandshakeState())
	require.Equal(r, dtls.ErrTLSFatal, e.DTLSError())
}

// requireTooLong checks that our side has given up a handshake that went nowhere.
func requireTooLong(r *row, err error) {
	r.Helper()
	require.ErrorIs(r, err, dtls.ErrTLSFatal)
	require.ErrorIs(r, err, os.ErrDeadlineExceeded)
}

// requireExpired checks that an association of ours has given up a handshake that went nowhere.
func requireExpired(e *endpoint, err error) {
	r := e.r
	r.Helper()
	requireTooLong(r, err)
	require.Equal(r, dtls.HandshakeNotStarted, e.HandshakeState())
}

// serverFails accepts a client and does what it can of the handshake.
func serverFails(l *listener) (*endpoint, error) {
	l.r.Helper()
	e, err := l.accept()
	if err == nil {
		err = e.handshake()
	}
	require.Error(l.r, err)
	require.False(l.r, e.IsConnectionEncrypted())
	return e, err
}

// clientFails does what it can of the handshake.
func clientFails(e *endpoint) error {
	e.r.Helper()
	err := e.handshake()
	require.Error(e.r, err)
	require.False(e.r, e.IsConnectionEncrypted())
	return err
}

// trusting changes a Config to trust one authority.
func trusting(cfg *dtls.Config, a authority) *dtls.Config {
	cfg.RootCAs = a.pool()
	return cfg
}

// showing changes a Config to show these certificates only.
func showing(cfg *dtls.Config, certs ...tls.Certificate) *dtls.Config {
	cfg.Certificates = certs
	return cfg
}
