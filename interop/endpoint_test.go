//go:build interop

package interop

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

// endpoint is our side: an association driven with a socket.
type endpoint struct {
	*dtls.Association
	r    *row
	wire *wire
	got  [][]byte // payloads that receive has not returned yet

	strangers int // datagrams that had crossed the socket before a server's association was made
}

// connect returns our client, which has not started.
func connect(r *row, server netip.AddrPort, cfg *dtls.Config) *endpoint {
	r.Helper()
	e := newEndpoint(r, newWire(r, server.Addr()), dtls.ClientMode, cfg)
	require.NoError(r, e.SetPeer(server, "localhost"))
	return e
}

func newEndpoint(r *row, w *wire, mode dtls.Mode, cfg *dtls.Config) *endpoint {
	r.Helper()
	before, _ := w.crossed()
	a, err := dtls.NewAssociation(mode, cfg)
	require.NoError(r, err)
	r.Cleanup(func() { a.Close() })
	return &endpoint{Association: a, r: r, wire: w, strangers: len(before)}
}

// handshake goes on, or starts as a client, until the handshake is complete or has
// failed.
func (e *endpoint) handshake() error {
	if e.Mode() == dtls.ClientMode && e.HandshakeState() == dtls.HandshakeNotStarted {
		if err := e.DoHandshake(e.wire, nil); err != nil {
			return err
		}
	}
	for e.HandshakeState() == dtls.HandshakeInProgress {
		datagram, err := e.read()
		if err != nil {
			return err
		}
		if err := e.DoHandshake(e.wire, datagram); err != nil {
			return err
		}
	}
	return nil
}

// read returns the peer's next datagram and looks after the timer meanwhile.
func (e *endpoint) read() ([]byte, error) {
	end, _ := e.r.ctx.Deadline()
	for {
		deadline := end
		if due, running := e.NextTimeout(); running && due.Before(end) {
			deadline = due
		}
		datagram, peer, err := e.wire.read(deadline)
		switch {
		case err == nil && peer == netip.AddrPortFrom(e.PeerAddress(), e.PeerPort()):
			return datagram, nil
		case err == nil:
			continue
		case !errors.Is(err, os.ErrDeadlineExceeded) || !time.Now().Before(end):
			return nil, err
		}
		if _, err := e.HandleTimeout(e.wire); err != nil {
			return nil, err
		}
	}
}

// receive returns the next payload from the peer.
func (e *endpoint) receive() ([]byte, error) {
	payloads, err := e.DecryptDatagram(e.wire, nil) // what came with the handshake's end
	for {
		for _, payload := range payloads {
			e.got = append(e.got, bytes.Clone(payload))
		}
		if len(e.got) > 0 {
			payload := e.got[0]
			e.got = e.got[1:]
			return payload, nil
		}
		if err != nil {
			return nil, err
		}
		datagram, err2 := e.read()
		if err2 != nil {
			return nil, err2
		}
		payloads, err = e.DecryptDatagram(e.wire, datagram)
	}
}

func (e *endpoint) expect(payload string) {
	e.r.Helper()
	got, err := e.receive()
	require.NoError(e.r, err)
	require.Equal(e.r, payload, string(got))
}

func (e *endpoint) send(payload string) {
	e.r.Helper()
	n, err := e.WriteDatagramEncrypted(e.wire, []byte(payload))
	require.NoError(e.r, err)
	require.Equal(e.r, len(payload), n)
}

func (e *endpoint) fill() int { return min(e.MaxDatagramSize(), large) }

// large is the size of a large payload.
const large = 1100

func (e *endpoint) test() *row      { return e.r }
func (e *endpoint) mode() dtls.Mode { return e.Mode() }
func (e *endpoint) record() *tape   { return e.wire.tape }

func (e *endpoint) state() dtls.ConnectionState {
	state := dtls.ConnectionState{
		Version: e.SessionProtocol(), HandshakeComplete: e.IsConnectionEncrypted(), DidResume: e.SessionResumed(),
		Cipher: e.SessionCipher(), NegotiatedProtocol: e.NegotiatedProtocol(), PSKIdentity: e.PSKIdentity(),
		VerificationErrors: e.PeerVerificationErrors(),
	}
	for _, cert := range e.PeerCertificateChain() {
		state.RawPeerCertificates = append(state.RawPeerCertificates, cert.MarshalDER())
	}
	return state
}

// expectClose receives the peer's close_notify, which is answered by ours.
func (e *endpoint) expectClose() {
	e.r.Helper()
	_, err := e.receive()
	require.ErrorIs(e.r, err, dtls.ErrRemoteClosedConnection)
	require.ErrorIs(e.r, err, io.EOF)
	require.False(e.r, e.IsConnectionEncrypted())
	crossings, _ := e.wire.crossed()
	last := crossings[len(crossings)-1]
	require.True(e.r, last.out && encryptedAlert(last.datagram), "close_notify is answered by close_notify")
}

// shutdown sends close_notify; answered says whether the peer answers it.
func (e *endpoint) shutdown(answered bool) {
	e.r.Helper()
	require.NoError(e.r, e.Shutdown(e.wire))
	require.Equal(e.r, dtls.HandshakeNotStarted, e.HandshakeState())
	for answered {
		datagram, err := e.read()
		require.NoError(e.r, err, "waiting for the peer's close_notify")
		answered = !encryptedAlert(datagram)
	}
}
