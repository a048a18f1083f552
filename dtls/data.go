package dtls

import (
	"errors"
	"io"

	"github.com/ossldtls/ossldtls/openssl"
)

// MaxPayload is the largest application datagram, in bytes: RFC 6347 §4.1.
const MaxPayload = openssl.MaxPlaintext

// WriteDatagramEncrypted encrypts a datagram of 1 to [MaxPayload] bytes, sends it as
// one, and returns the number of its bytes. Errors: [ErrInvalidOperation] unless the
// association is encrypted; [ErrInvalidInputParameters] for a nil sock, an empty
// datagram or one that is too long; [ErrUnderlyingSocket] if it could not be sent,
// [ErrTLSFatal] if it could not be encrypted, and 0 bytes. Corresponds to
// QDtls::writeDatagramEncrypted.
func (a *Association) WriteDatagramEncrypted(sock DatagramWriter, datagram []byte) (int, error) {
	const op = "write datagram"
	if err := a.begin(op, HandshakeComplete); err != nil {
		return 0, err
	}
	switch {
	case sock == nil:
		return 0, a.fail(ErrInvalidInputParameters, op, "the socket is nil", nil)
	case len(datagram) == 0:
		return 0, a.fail(ErrInvalidInputParameters, op, "OpenSSL cannot send an empty datagram", nil)
	case len(datagram) > MaxPayload:
		return 0, a.fail(ErrInvalidInputParameters, op, "the datagram is longer than 16384 bytes", nil)
	}
	err := a.ssl.Write(datagram, a.out)
	sent := a.flush(sock)
	if err != nil {
		a.reset()
		return 0, a.fail(ErrTLSFatal, op, "", err)
	}
	if sent != nil {
		return 0, a.fail(ErrUnderlyingSocket, op, "", sent)
	}
	return len(datagram), nil
}

// DecryptDatagram decrypts what arrived from the peer and returns the payload of
// each of its records of application data: usually one; none for a datagram that is
// forged, repeated or part of a handshake. The slices are valid until the next
// DecryptDatagram, DoHandshake or Close. sock is needed because OpenSSL may answer, a
// repeated handshake message for example. Without a datagram it returns what came
// with the end of the handshake.
//
// Errors: [ErrInvalidOperation] unless the association is encrypted;
// [ErrInvalidInputParameters] if sock is nil; [ErrRemoteClosedConnection], which
// io.EOF matches, after what came before the peer's close_notify; [ErrTLSFatal];
// [ErrUnderlyingSocket] beside the payloads, if an answer could not be sent. After a
// close or a fatal error the association is in HandshakeNotStarted and can be started
// anew. Corresponds to QDtls::decryptDatagram.
func (a *Association) DecryptDatagram(sock DatagramWriter, datagram []byte) ([][]byte, error) {
	const op = "decrypt datagram"
	if err := a.begin(op, HandshakeComplete); err != nil {
		return nil, err
	}
	if sock == nil {
		return nil, a.fail(ErrInvalidInputParameters, op, "the socket is nil", nil)
	}
	a.plain.Reset()
	err := a.ssl.Read(datagram, &a.plain, a.out)
	closed := errors.Is(err, openssl.ErrZeroReturn)
	if closed {
		_ = a.ssl.Shutdown(a.out) // RFC 5246 §7.2.1: answered by a close_notify
	}
	sent := a.flush(sock)
	a.payload = a.payload[:0]
	for payload := range a.plain.All() {
		a.payload = append(a.payload, payload)
	}
	switch {
	case closed:
		a.reset()
		return a.payload, a.fail(ErrRemoteClosedConnection, op, "", io.EOF)
	case err != nil:
		a.reset()
		return a.payload, a.fail(ErrTLSFatal, op, "", err)
	case sent != nil:
		return a.payload, a.fail(ErrUnderlyingSocket, op, "", sent)
	}
	return a.payload, nil
}
