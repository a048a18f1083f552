package openssl

/*
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"time"
	"unsafe"
)

// Session is what a client needs to resume a session with its server: the ticket and
// the secrets. It never changes and may be used concurrently. The garbage collector
// frees it. Corresponds to SSL_SESSION.
type Session struct {
	s       unsafe.Pointer
	ctx     uint64 // its number, so as not to keep it alive
	name    string // that the peer was verified for
	chain   int64  // when the certificates expire, in seconds since 1970
	expires time.Time
}

// ticketLifetime is for servers that give no hint, and the most that any gets:
// OpenSSL's own default for DTLS.
const ticketLifetime = 2 * time.Hour

// Session returns the session of a client whose handshake is complete, to be given to
// another connection's SetSession; nil if the server has given no new ticket with this
// handshake, or if there were objections to its certificate. Corresponds to
// SSL_get1_session.
func (s *SSL) Session() (*Session, error) {
	if s.c == nil {
		return nil, closedError("session")
	}
	r := C.odtls_session_take(s.c)
	runtime.KeepAlive(s)
	switch {
	case r.errs != nil:
		return nil, &Error{Op: "session", Code: ErrorSSL, Stack: takeErrs(r.errs)}
	case r.p == nil:
		return nil, nil
	}
	lifetime := ticketLifetime
	if hint := time.Duration(r.lifetime) * time.Second; hint > 0 {
		lifetime = min(hint, lifetime)
	}
	session := &Session{s: r.p, ctx: s.ctx.number, name: s.name, chain: int64(r.expires), expires: time.Now().Add(lifetime)}
	runtime.AddCleanup(session, func(p unsafe.Pointer) { C.odtls_session_free(p) }, r.p)
	return session, nil
}

// Expires returns the time after which the server will not resume the session. It may
// be refused before, and is not offered once a certificate of the server's has expired.
// Corresponds to SSL_SESSION_get_ticket_lifetime_hint.
func (s *Session) Expires() time.Time { return s.expires }

// SetSession makes a client offer to resume a session. Whether the server did is what
// SessionReused says; it is never an error that it did not. A session of another
// context, or of a connection with another name, is refused: its certificate was verified
// otherwise. To be called after SetPeerName, which is refused afterwards, and before the
// first operation. Corresponds to SSL_set_session.
func (s *SSL) SetSession(session *Session) error {
	const op = "set session"
	switch {
	case s.c == nil:
		return closedError(op)
	case s.server:
		return usageError(op, "a server cannot offer a session")
	case s.begun:
		return usageError(op, "the handshake has begun")
	case session == nil || session.ctx != s.ctx.number:
		return usageError(op, "not a session of this context")
	case session.name != s.name:
		return usageError(op, fmt.Sprintf("the session was made with a peer named %q, not %q", session.name, s.name))
	}
	s.named = true
	err := statusError(op, C.odtls_session_offer(s.c, session.s, C.int64_t(session.chain)))
	runtime.KeepAlive(session)
	runtime.KeepAlive(s)
	return err
}

// SessionReused reports whether the handshake has resumed a session. Corresponds to
// SSL_session_reused.
func (s *SSL) SessionReused() bool {
	if s.c == nil {
		return false
	}
	defer runtime.KeepAlive(s)
	return C.odtls_conn_resumed(s.c) != 0
}
