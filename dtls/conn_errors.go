package dtls

import (
	"errors"
	"fmt"
	"io"

	"github.com/ossldtls/ossldtls/openssl"
)

// Error returns both lengths.
func (e *ShortBufferError) Error() string {
	return fmt.Sprintf("dtls: a datagram of %d bytes does not fit a buffer of %d", e.Length, e.Buffer)
}

// Is reports whether target is io.ErrShortBuffer.
func (e *ShortBufferError) Is(target error) bool { return target == io.ErrShortBuffer }

// Alert is an alert's number, RFC 5246 §7.2.
type Alert = openssl.Alert

// AlertError says that a connection has ended by a fatal alert.
type AlertError struct {
	Number   Alert // which
	Received bool  // from the peer; otherwise it was sent to it
	Err      error // the cause; an *openssl.Error unless this side's program was
}

// Error returns the alert's name, number and direction, and the cause.
func (e *AlertError) Error() string {
	direction := "sent"
	if e.Received {
		direction = "received"
	}
	text := fmt.Sprintf("alert %v (%d) %s", e.Number, uint8(e.Number), direction)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *AlertError) Unwrap() error { return e.Err }

// Reasons for which a connection ends without an error of OpenSSL's.
var (
	// ErrIdle: nothing authentic came from the peer for [Config.IdleTimeout].
	ErrIdle = errors.New("dtls: nothing was heard from the peer for too long")
	// ErrReplaced: the peer has come back on the same address and port, and made a new
	// connection: RFC 6347 §4.2.8.
	ErrReplaced = errors.New("dtls: the peer has started anew")
)

// objected is a verification error with what else is known of the failure.
type objected struct {
	VerificationError
	cause error
}

func (e *objected) Error() string { return e.VerificationError.Error() + ": " + e.cause.Error() }

func (e *objected) Unwrap() []error { return []error{e.VerificationError, e.cause} }

// failure returns the error for a failed operation of OpenSSL's. It is called with mu
// held, before the SSL is freed.
func (c *Conn) failure(op string, err error) error {
	code := ErrTLSFatal
	if alert, fatal, ok := c.ssl.AlertReceived(); ok && fatal {
		err = &AlertError{Number: alert, Received: true, Err: err}
	} else if alert, fatal, ok := c.ssl.AlertSent(); ok && fatal {
		err = &AlertError{Number: alert, Err: err}
	}
	if objections := c.ssl.VerifyErrors(); op == "handshake" && len(objections) > 0 && c.refusesObjections() {
		code = ErrPeerVerification
		err = &objected{VerificationError(objections[len(objections)-1]), err}
	}
	return &Error{Code: code, Op: op, Err: err}
}

// refusesObjections reports whether OpenSSL ends a handshake for what it has against the
// peer's certificate.
func (c *Conn) refusesObjections() bool {
	p := c.config.policy(c.mode, conns)
	return p.verify && !p.collect
}

// refusal is a failure that is not OpenSSL's word but the program's.
func refusal(code ErrorCode, alert Alert, err error) error {
	return &Error{Code: code, Op: "handshake", Err: &AlertError{Number: alert, Err: err}}
}
