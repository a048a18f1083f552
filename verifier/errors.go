package verifier

import (
	"errors"
	"fmt"
	"os"

	"github.com/ossldtls/ossldtls/openssl"
)

// ErrorCode says what kind of failure an [Error] is. It is itself an error, so that
// errors.Is(err, ErrInvalidOperation) works. Corresponds to QDtlsError.
type ErrorCode int

// The nine codes of QDtlsError.
const (
	NoError                   ErrorCode = iota // QDtlsError::NoError
	ErrInvalidInputParameters                  // QDtlsError::InvalidInputParameters
	ErrInvalidOperation                        // QDtlsError::InvalidOperation: not in this state
	ErrUnderlyingSocket                        // QDtlsError::UnderlyingSocketError
	ErrRemoteClosedConnection                  // QDtlsError::RemoteClosedConnectionError: close_notify
	ErrPeerVerification                        // QDtlsError::PeerVerificationError
	ErrTLSInitialization                       // QDtlsError::TlsInitializationError
	ErrTLSFatal                                // QDtlsError::TlsFatalError: the association has ended
	ErrTLSNonFatal                             // QDtlsError::TlsNonFatalError
)

var codeTexts = [...]string{
	NoError:                   "no error",
	ErrInvalidInputParameters: "invalid input parameters",
	ErrInvalidOperation:       "invalid operation",
	ErrUnderlyingSocket:       "underlying socket error",
	ErrRemoteClosedConnection: "the peer closed the connection",
	ErrPeerVerification:       "peer verification failed",
	ErrTLSInitialization:      "TLS initialization failed",
	ErrTLSFatal:               "fatal TLS error",
	ErrTLSNonFatal:            "non-fatal TLS error",
}

// Error returns the code in words.
func (c ErrorCode) Error() string {
	if c < 0 || int(c) >= len(codeTexts) {
		return fmt.Sprintf("DTLS error %d", int(c))
	}
	return codeTexts[c]
}

// String returns the code in words.
func (c ErrorCode) String() string { return c.Error() }

// Error is the failure of an operation of this package or of package dtls. It does
// not change after it has been returned.
type Error struct {
	Code ErrorCode // the kind of failure
	Op   string    // what failed: "verify client", "handshake"
	Text string    // what was wrong, in words; may be empty
	Err  error     // the cause: an *openssl.Error, the socket's error, or nil
}

// Error returns the operation and the cause in one line.
func (e *Error) Error() string {
	text := "dtls: " + e.Op + ": " + e.Code.Error()
	if e.Text != "" {
		text += ": " + e.Text
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the error's code.
func (e *Error) Is(target error) bool {
	code, ok := target.(ErrorCode)
	return ok && code == e.Code
}

// Timeout reports whether a deadline was the cause.
func (e *Error) Timeout() bool { return errors.Is(e.Err, os.ErrDeadlineExceeded) }

// Stack returns the entries of OpenSSL's error queue, oldest first, or nil if
// OpenSSL was not the cause.
func (e *Error) Stack() []openssl.StackEntry {
	var oe *openssl.Error
	if errors.As(e.Err, &oe) {
		return oe.Stack
	}
	return nil
}
