package dtls

import (
	"github.com/ossldtls/ossldtls/openssl"
)

// NoPeerCertificate is the code of the objection that the peer, which had to show a
// certificate, has shown none. Corresponds to QSslError::NoPeerCertificate.
const NoPeerCertificate = -1

// VerificationError is one objection to the peer's certificate. Corresponds to
// QSslError.
type VerificationError struct {
	// Code is OpenSSL's X509_V_ERR_… or [NoPeerCertificate].
	Code int
	// Text is OpenSSL's words for the code.
	Text string
	// Depth is the place in the chain: 0 for the peer's own certificate.
	Depth int
	// Certificate is the one in question; nil if there is none.
	Certificate *openssl.Certificate
}

// Error returns the objection in one line.
func (e VerificationError) Error() string {
	text := "dtls: peer verification: " + e.Text
	if e.Certificate != nil {
		text += ": certificate " + e.Certificate.Subject()
	}
	return text
}

func (e VerificationError) alert() openssl.Alert {
	if e.Code == NoPeerCertificate {
		return openssl.AlertHandshakeFailure
	}
	return openssl.VerifyErrorAlert(e.Code)
}

// covers reports whether ignoring e ignores the objection: the same code, and the
// same certificate unless e names none.
func (e VerificationError) covers(objection VerificationError) bool {
	return e.Code == objection.Code && (e.Certificate == nil || e.Certificate.Equal(objection.Certificate))
}

// PeerVerificationErrors returns what OpenSSL had against the peer's certificate,
// until the next handshake starts; nil if nothing. With [QueryPeer] there may be some
// although the handshake is complete. Corresponds to QDtls::peerVerificationErrors.
func (a *Association) PeerVerificationErrors() []VerificationError {
	return append([]VerificationError(nil), a.verifyErrors...)
}

// IgnoreVerificationErrors names the objections that do not count: the same code,
// and the same certificate unless that is nil. It may be called before the handshake,
// for what is known to come, or in PeerVerificationFailed before ResumeHandshake. Each
// call replaces what the one before has named, and the end of the session forgets it:
// what is ignored for one peer is not for the next. Corresponds to
// QDtls::ignoreVerificationErrors.
func (a *Association) IgnoreVerificationErrors(errs ...VerificationError) {
	a.ignore = append([]VerificationError(nil), errs...)
}

// objects reports whether the handshake has to stop for what is wrong with the peer's
// certificate.
func (a *Association) objects() bool {
	if a.checked {
		return false
	}
	if n := a.ssl.VerifyErrorCount(); n > len(a.verifyErrors) {
		a.verifyErrors = a.verifyErrors[:0]
		for _, e := range a.ssl.VerifyErrors() {
			a.verifyErrors = append(a.verifyErrors, VerificationError(e))
		}
	}
	done, policy := a.ssl.HandshakeDone(), a.config.policy(a.mode, packets)
	if policy.collect {
		a.checked = done
		return false
	}
	if policy.require && done && len(a.verifyErrors) == 0 && !a.ssl.PeerAuthenticated() {
		a.verifyErrors = []VerificationError{{Code: NoPeerCertificate, Text: "the peer has shown no certificate"}}
	}
	for _, objection := range a.verifyErrors {
		if !a.ignored(objection) {
			return true
		}
	}
	a.checked = done
	return false
}

func (a *Association) ignored(objection VerificationError) bool {
	for _, e := range a.ignore {
		if e.covers(objection) {
			return true
		}
	}
	return false
}

// firstObjection returns the first that is not ignored.
func (a *Association) firstObjection() VerificationError {
	for _, objection := range a.verifyErrors {
		if !a.ignored(objection) {
			return objection
		}
	}
	return VerificationError{Code: NoPeerCertificate, Text: "no objection"}
}
