// Package openssl drives OpenSSL's DTLS over datagrams in memory.
//
// A [Ctx] is made by a [CtxBuilder] and then shared by every connection of a
// configuration. An [SSL] is one connection: each of its operations takes a
// datagram that has arrived, makes one call into C, and appends what OpenSSL wants
// to send to a [Datagrams]. There are no sockets, timers or goroutines here; the
// packages dtls and verifier build on this one and are what most programs use.
//
// Names are OpenSSL's own, in Go's spelling, and each says what it corresponds to.
package openssl

/*
#cgo CFLAGS: -std=gnu11
#cgo !openssl_static pkg-config: libssl libcrypto

#include "shim.h"
*/
import "C"

import (
	"sync"

	// States how the program links with OpenSSL, and the oldest version.
	_ "github.com/ossldtls/ossldtls"
)

// Version is an OpenSSL version number as OPENSSL_VERSION_NUMBER has it:
// 0x30000130 is 3.0.19, 0x1010117f is 1.1.1w.
type Version uint64

// Major returns the first part of the version, 3 for 3.0.19.
func (v Version) Major() int { return int(v >> 28) }

// Minor returns the second part of the version, 0 for 3.0.19.
func (v Version) Minor() int { return int(v>>20) & 0xff }

// CompileVersion returns the version and the text of the headers that the program
// was compiled with. Corresponds to OPENSSL_VERSION_NUMBER and OPENSSL_VERSION_TEXT.
func CompileVersion() (Version, string) {
	return Version(C.odtls_header_version()), C.GoString(C.odtls_header_version_text())
}

// RuntimeVersion returns the version and the text of the library that the program
// runs with. Corresponds to OpenSSL_version_num and OpenSSL_version.
func RuntimeVersion() (Version, string) {
	return Version(C.odtls_library_version()), C.GoString(C.odtls_library_version_text())
}

// setUp makes what all connections share, once.
var setUp = sync.OnceValue(func() error {
	if C.odtls_init() == 0 {
		return &Error{Op: "initialisation", Code: ErrorSSL}
	}
	return nil
})

// Diagnostics counts what the package holds in C. It is meant for tests and
// monitoring: when everything has been closed, all counts but Stale return to what
// they were before.
type Diagnostics struct {
	SSLs         int64 // connections not yet closed
	Ctxs         int64 // contexts not yet closed
	CookieKeys   int64 // not yet closed
	Certificates int64 // not yet closed, and not yet found by the garbage collector
	PrivateKeys  int64 // the same
	Sessions     int64 // not yet found by the garbage collector
	// StaleErrors counts operations that found an error in their thread's queue
	// which an operation before them should have taken out: 0 in a correct program.
	StaleErrors int64
	// QueuedError is the oldest code in the calling thread's error queue, 0 if it is empty.
	QueuedError uint64
}

// ReadDiagnostics returns the counts of this moment. It may be called concurrently.
func ReadDiagnostics() Diagnostics {
	d := C.odtls_diagnostics()
	return Diagnostics{
		SSLs:         int64(d.conns),
		Ctxs:         int64(d.ctxs),
		CookieKeys:   int64(d.cookies),
		Certificates: int64(d.certs),
		PrivateKeys:  int64(d.keys),
		Sessions:     int64(d.sessions),
		StaleErrors:  int64(d.stale),
		QueuedError:  uint64(d.queued),
	}
}
