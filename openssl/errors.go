package openssl

/*
#include "shim.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
)

// ErrorCode is an outcome of SSL_get_error.
type ErrorCode int

// The outcomes of SSL_get_error that reach a caller of this package. The package
// drives OpenSSL so that "want read" is no error: it means that the next datagram
// is needed.
const (
	ErrorNone         ErrorCode = 0 // SSL_ERROR_NONE
	ErrorSSL          ErrorCode = 1 // SSL_ERROR_SSL: fatal, the reason is in Stack
	ErrorWantRead     ErrorCode = 2 // SSL_ERROR_WANT_READ
	ErrorWantWrite    ErrorCode = 3 // SSL_ERROR_WANT_WRITE
	ErrorWantX509     ErrorCode = 4 // SSL_ERROR_WANT_X509_LOOKUP
	ErrorSyscall      ErrorCode = 5 // SSL_ERROR_SYSCALL: fatal without a reason from OpenSSL
	ErrorZeroReturn   ErrorCode = 6 // SSL_ERROR_ZERO_RETURN: the peer sent close_notify
	ErrorInvalidUsage ErrorCode = -1
)

// String returns OpenSSL's name of the code.
func (c ErrorCode) String() string {
	switch c {
	case ErrorNone:
		return "SSL_ERROR_NONE"
	case ErrorSSL:
		return "SSL_ERROR_SSL"
	case ErrorWantRead:
		return "SSL_ERROR_WANT_READ"
	case ErrorWantWrite:
		return "SSL_ERROR_WANT_WRITE"
	case ErrorWantX509:
		return "SSL_ERROR_WANT_X509_LOOKUP"
	case ErrorSyscall:
		return "SSL_ERROR_SYSCALL"
	case ErrorZeroReturn:
		return "SSL_ERROR_ZERO_RETURN"
	case ErrorInvalidUsage:
		return "invalid usage"
	}
	return fmt.Sprintf("SSL_ERROR(%d)", int(c))
}

// ErrZeroReturn is matched, with [errors.Is], by the error of a read after which the
// peer's close_notify was found. Corresponds to SSL_ERROR_ZERO_RETURN.
var ErrZeroReturn = errors.New("openssl: the peer closed the connection")

// ErrClosed is matched by the error of any operation on an [SSL], [Ctx],
// [CookieKey], [Certificate] or [PrivateKey] that has been closed.
var ErrClosed = errors.New("openssl: use of a closed object")

// StackEntry is one entry of OpenSSL's error queue. Corresponds to ERR_get_error_all.
type StackEntry struct {
	Code     uint64 // packed as OpenSSL has it
	Library  string // "SSL routines"; empty if OpenSSL has no name for it
	Reason   string // "no shared cipher"
	Function string // "tls_post_process_client_hello"
	File     string // of OpenSSL's source
	Line     int    // in File
	Data     string // additional text, often empty
}

// ReasonCode returns the reason without its library. Corresponds to ERR_GET_REASON.
func (e StackEntry) ReasonCode() int {
	if v, _ := CompileVersion(); v >= 0x30000000 {
		return int(e.Code & 0x7fffff)
	}
	return int(e.Code & 0xfff)
}

// String returns the entry in one line.
func (e StackEntry) String() string {
	text := e.Reason
	if text == "" {
		text = fmt.Sprintf("error %#x", e.Code)
	}
	if e.Library != "" {
		text += " (" + e.Library + ")"
	}
	if e.Data != "" {
		text += ": " + e.Data
	}
	return text
}

// Error is the failure of an OpenSSL operation, as data. It does not change after
// it has been returned.
type Error struct {
	Op    string       // what failed: "handshake", "load certificate"
	Code  ErrorCode    // the outcome
	Text  string       // what this package has to say about it; may be empty
	Stack []StackEntry // OpenSSL's error queue, oldest first; may be empty
	cause error        // for errors.Is; may be nil
}

// Error returns the operation and the cause in one line.
func (e *Error) Error() string {
	parts := make([]string, 0, len(e.Stack)+2)
	parts = append(parts, "openssl: "+e.Op)
	if e.Text != "" {
		parts = append(parts, e.Text)
	}
	for _, s := range e.Stack {
		parts = append(parts, s.String())
	}
	if e.Text == "" && len(e.Stack) == 0 {
		parts = append(parts, "failed ("+e.Code.String()+")")
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns [ErrZeroReturn], [ErrClosed], the error that a callback returned, or nil.
func (e *Error) Unwrap() error { return e.cause }

// takeErrs turns the queue that C has rendered into data and frees it.
func takeErrs(errs *C.odtls_errs) []StackEntry {
	if errs == nil {
		return nil
	}
	defer C.odtls_errs_free(errs)
	stack := make([]StackEntry, int(errs.n))
	for i := range stack {
		e := &errs.e[i]
		stack[i] = StackEntry{
			Code:     uint64(e.code),
			Library:  C.GoString(&e.lib[0]),
			Reason:   C.GoString(&e.reason[0]),
			Function: C.GoString(&e.fun[0]),
			File:     C.GoString(&e.file[0]),
			Line:     int(e.line),
			Data:     C.GoString(&e.data[0]),
		}
	}
	return stack
}

func statusError(op string, s C.odtls_status) error {
	if s.ok != 0 {
		return nil
	}
	return &Error{Op: op, Code: ErrorSSL, Stack: takeErrs(s.errs)}
}

func usageError(op, text string) error {
	return &Error{Op: op, Code: ErrorInvalidUsage, Text: text}
}

func closedError(op string) error {
	return &Error{Op: op, Code: ErrorInvalidUsage, Text: "already closed", cause: ErrClosed}
}
