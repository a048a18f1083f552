package openssl

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"net/netip"
	"runtime"
	"runtime/cgo"
	"time"
	"unsafe"
)

// SSL is one DTLS connection over datagrams in memory. Its operations must not run
// concurrently. Corresponds to SSL.
//
// A datagram handed to an operation is borrowed until the operation returns. What
// OpenSSL wants to send is appended to the out parameter of every operation and has
// to be sent whether or not the operation failed.
type SSL struct {
	c       *C.odtls_conn
	cb      *callbacks // nil if there are none
	handle  cgo.Handle
	cleanup runtime.Cleanup
	server  bool

	done     bool
	epoch1   bool      // has records of this side
	deadline time.Time // of the retransmission timer; zero if it is stopped
	alertIn  int16
	alertOut int16
	nVerify  int
	keyLog   bool // lines wait in C
	hello    bool // the handshake pauses at the ClientHello
	ctx      *Ctx
	name     string   // of SetPeerName
	named    bool     // it must not change any more
	begun    bool     // an operation has been done
	peer     [18]byte // what Listen hands to C; here so that it is not allocated
}

// callbacks is what C's callbacks find through the handle. It is apart from the SSL
// so that the handle does not keep the SSL itself alive.
type callbacks struct {
	psk      PSKFunc
	err      error
	panicked any
}

type freeing struct {
	c      *C.odtls_conn
	handle cgo.Handle
}

func (f freeing) free() {
	C.odtls_conn_free(f.c)
	if f.handle != 0 {
		f.handle.Delete()
	}
}

// NewSSL returns a connection of a context. psk may be nil. The connection is to be
// closed. Corresponds to SSL_new.
func NewSSL(ctx *Ctx, psk PSKFunc) (*SSL, error) {
	if ctx == nil || ctx.c == nil {
		return nil, closedError("new connection")
	}
	s := &SSL{ctx: ctx, server: ctx.server, alertIn: -1, alertOut: -1}
	if psk != nil {
		s.cb = &callbacks{psk: psk}
		s.handle = cgo.NewHandle(s.cb)
	}
	r := C.odtls_conn_new(ctx.c, C.uintptr_t(s.handle))
	runtime.KeepAlive(ctx)
	if r.p == nil {
		if s.handle != 0 {
			s.handle.Delete()
		}
		return nil, &Error{Op: "new connection", Code: ErrorSSL, Stack: takeErrs(r.errs)}
	}
	s.c = (*C.odtls_conn)(r.p)
	s.cleanup = runtime.AddCleanup(s, freeing.free, freeing{s.c, s.handle})
	return s, nil
}

// Close frees the connection without sending anything. Corresponds to SSL_free.
func (s *SSL) Close() {
	if s.c == nil {
		return
	}
	s.cleanup.Stop()
	freeing{s.c, s.handle}.free()
	s.c = nil
	s.handle = 0
	s.deadline = time.Time{}
}

// SetMTU sets how large a UDP payload of the handshake may be, and the size that is
// used instead after two timeouts (0: none), both in bytes. The default is 1232, without a
// second size. Less than 256-overhead or more than 4096 is not possible and is
// corrected. overhead is what IP and UDP add, 28 or 48 bytes. To be called before the
// first operation. Corresponds to SSL_set_mtu.
func (s *SSL) SetMTU(mtu, fallback, overhead int) {
	if s.c != nil {
		C.odtls_conn_set_mtu(s.c, C.int(mtu), C.int(fallback), C.int(overhead))
		runtime.KeepAlive(s)
	}
}

// MinRetransmissionTimeout is the shortest interval of the retransmission timer.
// OpenSSL takes what is due within 15 ms for due now: with less, an operation would
// send its flight again until OpenSSL gives up.
const MinRetransmissionTimeout = 20 * time.Millisecond

// SetRetransmissionTimeout sets the first interval of the retransmission timer,
// which doubles up to 60 s: at least [MinRetransmissionTimeout], at most a minute.
// OpenSSL's own default is 1 s. Corresponds to DTLS_set_timer_cb.
func (s *SSL) SetRetransmissionTimeout(d time.Duration) {
	if s.c != nil {
		d = max(MinRetransmissionTimeout, min(d, time.Minute))
		C.odtls_conn_set_timer(s.c, C.uint(d.Microseconds()))
		runtime.KeepAlive(s)
	}
}

// SetPeerName sets the host name or IP address that the peer's certificate must be
// for. A client also sends a host name as the server name indication. It fails once an
// operation has been done or a session offered. Corresponds to
// X509_VERIFY_PARAM_set1_host, X509_VERIFY_PARAM_set1_ip and SSL_set_tlsext_host_name.
func (s *SSL) SetPeerName(name string) error {
	const op = "peer name"
	if s.c == nil {
		return closedError(op)
	}
	defer runtime.KeepAlive(s)
	if s.named || s.begun {
		return usageError(op, "the handshake has begun, or a session has been offered")
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		b := ip.Unmap().WithZone("").AsSlice()
		return s.setName(name, statusError(op, C.odtls_conn_set_name(s.c, nil, 0, bytePtr(b), C.size_t(len(b)))))
	}
	if hasZero([]byte(name)) || name == "" || len(name) > 255 {
		return usageError(op, "neither a host name nor an IP address")
	}
	h := C.CString(name)
	defer C.free(unsafe.Pointer(h))
	return s.setName(name, statusError(op, C.odtls_conn_set_name(s.c, h, boolInt(!s.server), nil, 0)))
}

// setName takes note of the name unless it was refused.
func (s *SSL) setName(name string, err error) error {
	if err == nil {
		s.name = name
	}
	return err
}

// DoHandshake goes on with the handshake: with the datagram that has arrived, or
// with none to begin it as a client. It reports whether the handshake is complete; if
// it is not and there is no error, it waits for the next datagram, for
// [SSL.HandleTimeout], or for a decision about [SSL.ClientHello]. Corresponds to SSL_do_handshake.
func (s *SSL) DoHandshake(datagram []byte, out *Datagrams) (done bool, err error) {
	if s.c == nil {
		return false, closedError("handshake")
	}
	s.begun = true
	out.room(4096, 8)
	r := C.odtls_handshake(s.c, bytePtr(datagram), C.size_t(len(datagram)), out.sink())
	err = s.finish("handshake", &r, out)
	return s.done && err == nil, err
}

// HandleTimeout sends the last flight again if the retransmission timer is due, and
// reports whether it was. Corresponds to DTLSv1_handle_timeout.
func (s *SSL) HandleTimeout(out *Datagrams) (due bool, err error) {
	if s.c == nil {
		return false, closedError("handle timeout")
	}
	before := out.Len()
	out.room(4096, 8)
	r := C.odtls_timeout(s.c, out.sink())
	err = s.finish("handle timeout", &r, out)
	return out.Len() > before, err
}

// Read decrypts a datagram and appends the payload of each of its records of
// application data to plain. Without a datagram it appends what is left from before:
// what came in one datagram with the end of the handshake. If the peer has closed,
// the error matches [ErrZeroReturn], after what came before. Corresponds to SSL_read.
func (s *SSL) Read(datagram []byte, plain, out *Datagrams) error {
	return s.ReadTrain(datagram, len(datagram), plain, out)
}

// ReadTrain is [SSL.Read] for several datagrams that lie back to back in train: size bytes
// each, of which the last may have fewer. It is one call of C for all of them. An error ends
// it: what comes after that datagram is lost.
func (s *SSL) ReadTrain(train []byte, size int, plain, out *Datagrams) error {
	const op = "read"
	switch {
	case s.c == nil:
		return closedError(op)
	case size <= 0 && len(train) > 0:
		return usageError(op, "datagrams of no bytes")
	}
	plain.room(len(train), 4+len(train)/max(size, 1))
	in := train
	for partial := false; ; {
		n := plain.Len()
		r := C.odtls_read(s.c, bytePtr(in), C.size_t(len(in)), C.size_t(size), plain.sink(), out.sink())
		plain.filled(r.in_used, r.n_in)
		if partial && r.n_in > 0 {
			// The rest of the payload that the round before had no room for.
			plain.ends = append(plain.ends[:n-1], plain.ends[n:]...)
		}
		if err := s.finish(op, &r, out); err != nil {
			return err
		}
		train = train[r.in_taken:]
		partial = r.flags&C.ODTLS_PARTIAL != 0
		switch {
		case r.flags&C.ODTLS_MORE_IN != 0:
			plain.Grow(max(int(r.more_bytes), 2048), 16)
			in = nil
		case len(train) == 0:
			return nil
		default:
			in = train
		}
	}
}

// MaxPlaintext is the largest payload of one record, in bytes: RFC 6347 §4.1.
const MaxPlaintext = 16384

// Write encrypts a payload of 1 to [MaxPlaintext] bytes into one datagram. Whether
// that fits the path is not checked, see [SSL.DataMTU]. Corresponds to SSL_write.
func (s *SSL) Write(payload []byte, out *Datagrams) error {
	const op = "write"
	switch {
	case s.c == nil:
		return closedError(op)
	case !s.done:
		return usageError(op, "the handshake is not complete")
	case len(payload) == 0:
		return usageError(op, "OpenSSL cannot send an empty datagram")
	case len(payload) > MaxPlaintext:
		return usageError(op, "the payload is longer than the 16384 bytes of a record")
	}
	out.room(len(payload)+maxOverhead, 1)
	r := C.odtls_write(s.c, bytePtr(payload), C.size_t(len(payload)), out.sink())
	return s.finish(op, &r, out)
}

// maxOverhead is the most that a record adds to its payload: header 13, explicit IV
// 16, MAC 48, padding 256 and some.
const maxOverhead = 384

// Shutdown sends close_notify, once: later calls, and calls in mid-handshake or
// after a fatal error, do nothing. Corresponds to SSL_shutdown.
func (s *SSL) Shutdown(out *Datagrams) error {
	if s.c == nil {
		return closedError("shutdown")
	}
	out.room(maxOverhead, 1)
	r := C.odtls_shutdown(s.c, out.sink())
	return s.finish("shutdown", &r, out)
}

// Listen answers a ClientHello without a valid cookie by a HelloVerifyRequest and
// keeps nothing of it, and reports true when the datagram starts with a ClientHello
// that holds peer's valid cookie. The connection then holds that ClientHello:
// [SSL.DoHandshake] without a datagram goes on with it, another Listen forgets it, but is
// refused while the handshake pauses ([SSL.ClientHello]).
//
// Anything else in the datagram is dropped: false and no error. What it appends to
// out is never larger than the datagram. Only for servers. Corresponds to
// DTLSv1_listen.
func (s *SSL) Listen(key *CookieKey, peer netip.AddrPort, datagram []byte, out *Datagrams) (verified bool, err error) {
	const op = "listen"
	switch {
	case s.c == nil:
		return false, closedError(op)
	case key == nil || key.k == nil:
		return false, closedError("cookie key")
	case !s.server:
		return false, usageError(op, "a client cannot listen")
	case s.hello: // SSL_clear, and so DTLSv1_listen, would not free what OpenSSL knows of the hello
		return false, usageError(op, "the handshake pauses at a ClientHello")
	}
	s.begun = true
	n := putCookiePeer(&s.peer, peer)
	out.room(512, 1)
	r := C.odtls_listen(s.c, key.k, bytePtr(s.peer[:]), C.size_t(n), bytePtr(datagram), C.size_t(len(datagram)), out.sink())
	runtime.KeepAlive(key)
	s.done = false
	err = s.finish(op, &r, out)
	return r.ret > 0 && err == nil, err
}

// Abort gives the handshake up and makes the fatal alert for it. Where OpenSSL has
// already switched to epoch 1, the alert is OpenSSL's own "unexpected message". With
// plain set the alert is sent in epoch 0 all the same: for a caller that has held
// back the datagrams of epoch 1. Nothing else can be done with the connection
// afterwards but to close it.
func (s *SSL) Abort(alert Alert, plain bool, out *Datagrams) error {
	if s.c == nil {
		return closedError("abort")
	}
	out.room(maxOverhead, 1)
	r := C.odtls_abort(s.c, C.int(alert), boolInt(plain), out.sink())
	return s.finish("abort", &r, out)
}

// finish takes over the result of an operation: what is to be sent, the timer,
// alerts, and the error if it is one.
func (s *SSL) finish(op string, r *C.odtls_result, out *Datagrams) error {
	out.filled(r.out_used, r.n_out)
	if r.flags&(C.ODTLS_MORE_OUT) != 0 {
		out.Grow(int(r.more_bytes), int(r.more_count))
		more := C.odtls_take(s.c, out.sink())
		out.filled(more.out_used, more.n_out)
	}
	s.done = r.flags&(C.ODTLS_DONE) != 0
	s.epoch1 = r.flags&C.ODTLS_PROTECTED != 0
	s.alertIn, s.alertOut = int16(r.alert_in), int16(r.alert_out)
	s.nVerify = int(r.n_verify)
	s.keyLog = r.flags&C.ODTLS_KEYLOG != 0
	s.hello = r.flags&C.ODTLS_HELLO != 0
	if r.timeout_us >= 0 {
		s.deadline = time.Now().Add(time.Duration(r.timeout_us) * time.Microsecond)
	} else if !s.deadline.IsZero() {
		s.deadline = time.Time{}
	}
	code := ErrorCode(r.err)
	if code == ErrorNone || code == ErrorWantRead {
		runtime.KeepAlive(s)
		return nil
	}
	return s.failure(op, code, r)
}

func (s *SSL) failure(op string, code ErrorCode, r *C.odtls_result) error {
	e := &Error{Op: op, Code: code, Stack: takeErrs(r.errs)}
	runtime.KeepAlive(s)
	if s.cb != nil {
		if p := s.cb.panicked; p != nil {
			s.cb.panicked = nil
			panic(p)
		}
		e.cause = s.cb.err
	}
	switch {
	case e.cause != nil:
		e.Text = e.cause.Error()
	case code == ErrorZeroReturn:
		e.Text, e.cause = "the peer closed the connection", ErrZeroReturn
	case code == ErrorSyscall && len(e.Stack) == 0:
		e.Text = "OpenSSL gave up without a reason: handshake fragments that disagree about their message, or a message too large"
	}
	return e
}

// Timeout returns when the retransmission timer is due, and false if it is stopped.
// Corresponds to DTLSv1_get_timeout.
func (s *SSL) Timeout() (time.Time, bool) { return s.deadline, !s.deadline.IsZero() }

// HandshakeDone reports whether the handshake is complete. Corresponds to
// SSL_is_init_finished.
func (s *SSL) HandshakeDone() bool { return s.done }

// Protected reports whether this side has made its first encrypted record, its Finished: on
// a client when it has the server's certificate, on a server that resumes a session when
// it has the ClientHello, on any other at the end of the handshake. Who wants to look at
// the peer before it believes that all is well holds back what that operation has appended
// to out, and can still tell the peer why by [SSL.Abort] with plain set.
func (s *SSL) Protected() bool { return s.epoch1 }

// Server reports whether this is the server's end.
func (s *SSL) Server() bool { return s.server }
