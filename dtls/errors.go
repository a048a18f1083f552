package dtls

import (
	"github.com/ossldtls/ossldtls/verifier"
)

// Error is the failure of an operation: its code, the operation, and the cause with
// OpenSSL's error stack. It is the same type in package verifier, which describes
// its fields.
type Error = verifier.Error

// ErrorCode says what kind of failure an [Error] is, and is itself an error for
// errors.Is. Corresponds to QDtlsError.
type ErrorCode = verifier.ErrorCode

// The nine codes of QDtlsError.
const (
	// NoError: the last operation did not fail.
	NoError = verifier.NoError
	// ErrInvalidInputParameters: a parameter is missing or makes no sense; nothing was done.
	ErrInvalidInputParameters = verifier.ErrInvalidInputParameters
	// ErrInvalidOperation: the operation is not possible in this state; nothing was done.
	ErrInvalidOperation = verifier.ErrInvalidOperation
	// ErrUnderlyingSocket: the operation was done, but the socket refused a datagram. The
	// association is as if the network had lost it.
	ErrUnderlyingSocket = verifier.ErrUnderlyingSocket
	// ErrRemoteClosedConnection: the peer sent close_notify; the association has ended.
	ErrRemoteClosedConnection = verifier.ErrRemoteClosedConnection
	// ErrPeerVerification: the handshake waits for a decision about the peer's certificate.
	ErrPeerVerification = verifier.ErrPeerVerification
	// ErrTLSInitialization: OpenSSL could not be set up, or the Config is wrong.
	ErrTLSInitialization = verifier.ErrTLSInitialization
	// ErrTLSFatal: the association has ended.
	ErrTLSFatal = verifier.ErrTLSFatal
	// ErrTLSNonFatal: the operation failed and the association goes on.
	ErrTLSNonFatal = verifier.ErrTLSNonFatal
)
