package dtls

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ossldtls/ossldtls/internal/udpbatch"
	"github.com/ossldtls/ossldtls/openssl"
	"github.com/ossldtls/ossldtls/verifier"
)

// Conn is a DTLS connection with one peer. It is a net.Conn that keeps the boundaries
// of datagrams: each Write is a datagram, and each Read returns one. All of its methods
// may be called concurrently.
//
// The handshake is made by the first Read, Write or Handshake; the connections that
// [Dial] and [Listener.Accept] return have it behind them. Errors are *net.OpError around
// what has happened: an [*Error] with its code, in it an [*AlertError] or a
// [VerificationError] where there was one; os.ErrDeadlineExceeded, with Timeout true;
// net.ErrClosed after Close. The peer's close_notify is a bare io.EOF.
//
// As on any path for datagrams, some may be lost, also here: a queue of
// [Limits.ReceiveQueue] bytes that is full drops what arrives, and
// [Conn.DatagramsDropped] counts it. None is delivered twice.
type Conn struct {
	base     *Config // that it was made with
	config   *Config // the same, or what GetConfigForClient has chosen
	mode     Mode
	sock     *udpbatch.Conn
	peer     netip.AddrPort
	local    netip.Addr               // what the peer has asked, on a wildcard socket
	name     string                   // of the host that was dialed; "" if it was an address
	listener *Listener                // nil: the socket is the connection's own
	verify   *verifier.ClientVerifier // of a server whose socket is its own

	out outbox     // its lock before mu
	mu  sync.Mutex // the SSL and all that follows

	ssl       *openssl.SSL // nil before the handshake, and after the end
	phase     phase
	busy      bool               // a function of the program's is called: the SSL must be left alone
	asked     bool               // VerifyConnection
	chosen    bool               // GetConfigForClient
	opened    bool               // the handler knows of it
	told      bool               // and of its end
	heard     bool               // something authentic, in this round
	quiet     int8               // rounds of the idle timer without anything from the peer
	key       *openssl.CookieKey // that the hello was verified with
	err       error              // of the end
	resumer   resumer
	timer     *time.Timer // of the handshake
	deadline  time.Time   // of the whole handshake; zero: none
	hellos    [][]byte    // until GetConfigForClient has answered
	helloSize int
	late      error // the socket's last error, that nobody has been told yet
	state     sessionState
	pending   *openssl.Datagrams // decrypted and not read yet
	next      int                // of pending
	idle      *time.Timer

	pump     *pump        // that reads the socket
	waiting  atomic.Int32 // Reads that wait to be called
	in       queue
	readable chan struct{} // holds one token if there may be something to read
	shaken   chan struct{} // closed when the handshake is over, for better or worse
	ended    chan struct{} // closed at the end
	begun    atomic.Bool   // the handshake, or the wait for it
	stock    atomic.Bool   // pending is not nil
	open     atomic.Bool   // the handshake is complete and the end has not come
	closed   atomic.Bool   // Close was called
	dropped  atomic.Uint64

	readDeadline, writeDeadline deadline

	inListener
}

var _ net.Conn = (*Conn)(nil)

type phase uint8

const (
	phaseNew     phase = iota // a client that has not begun, a server without a verified hello
	phaseShaking              // waits for datagrams and the timer
	phaseOpen
	phaseEnded
)

func newConn(mode Mode, cfg *Config, sock *udpbatch.Conn, peer netip.AddrPort, local netip.Addr) *Conn {
	c := &Conn{
		base: cfg, config: cfg, mode: mode, sock: sock, peer: peer, local: local,
		readable: make(chan struct{}, 1), shaken: make(chan struct{}), ended: make(chan struct{}),
	}
	c.in.limit = handshakeQueue
	c.readDeadline.reader = c
	return c
}

// kick makes a Read that has the socket look at everything again.
func (c *Conn) kick() { c.pump.kick(c) }

// Client returns the client's side of a connection over a socket of the program's own
// that is used for nothing else, with the peer at the other end. The handshake is still
// to be made. The server's certificate has to be for [Config.ServerName] or, if that is
// empty, for the peer's address. Close closes the socket. Errors: those of
// [Config.Validate], and [ErrInvalidInputParameters] for a peer that is no IP address with
// a port.
func Client(pc net.PacketConn, peer net.Addr, cfg *Config) (*Conn, error) {
	return over(ClientMode, pc, peer, cfg)
}

// Server returns the server's side of a connection with one peer over a socket of the
// program's own, which is used for nothing else; [NewListener] is for any number of
// peers. It waits for the peer's ClientHello. Close closes the socket. Errors: as for
// [Client].
func Server(pc net.PacketConn, peer net.Addr, cfg *Config) (*Conn, error) {
	return over(ServerMode, pc, peer, cfg)
}

func over(mode Mode, pc net.PacketConn, peer net.Addr, cfg *Config) (*Conn, error) {
	const op = "new connection"
	if pc == nil {
		return nil, &Error{Code: ErrInvalidInputParameters, Op: op, Text: "the socket is nil"}
	}
	addr, err := udpbatch.AddrPort(peer)
	if err != nil {
		return nil, &Error{Code: ErrInvalidInputParameters, Op: op, Err: err}
	}
	if other, ok := udpbatch.Remote(pc); ok && other != addr {
		return nil, &Error{Code: ErrInvalidInputParameters, Op: op, Text: "the socket is connected to another peer, " + other.String()}
	}
	if err := usable(mode, cfg); err != nil { // before anything is asked of the socket
		return nil, err
	}
	_ = pc.SetDeadline(time.Time{}) // what the program has left; the connection's own are others
	sock, err := udpbatch.New(pc)
	if err != nil {
		return nil, &Error{Code: ErrInvalidInputParameters, Op: op, Err: err}
	}
	if addr, err = sock.Register(peer); err != nil {
		return nil, &Error{Code: ErrInvalidInputParameters, Op: op, Err: err}
	}
	return newOver(mode, sock, addr, cfg)
}

// usable says what is wrong with a Config.
func usable(mode Mode, cfg *Config) error {
	if cfg == nil {
		cfg = &zeroConfig
	}
	if _, err := cfg.context(mode, conns); err != nil {
		return &Error{Code: ErrTLSInitialization, Op: "new connection", Err: err}
	}
	return nil
}

func newOver(mode Mode, sock *udpbatch.Conn, peer netip.AddrPort, cfg *Config) (*Conn, error) {
	if cfg == nil {
		cfg = &zeroConfig
	}
	if err := usable(mode, cfg); err != nil {
		return nil, err
	}
	c := newConn(mode, cfg, sock, peer, netip.Addr{})
	sock.OnRefusal(func() { logRefusal(cfg) })
	c.pump = &pump{sock: sock, handle: c.receive, passed: c.passed, failed: c.socketFailed}
	if mode == ServerMode && !cfg.DisableCookieVerification {
		verify, err := verifier.New()
		if err != nil {
			return nil, err
		}
		c.verify = verify
	}
	return c, nil
}

// handshakeQueue is how many bytes of memory datagrams of a connection have before its
// handshake is complete: there may be many that never get so far. What a client sends in a
// train right after its last flight has room beside that.
const handshakeQueue = 128 << 10

// reserve is what messages of the handshake and alerts have when the queue is full.
const reserve = 64 << 10

// Handshake makes the handshake, unless it has been made; see [Conn.HandshakeContext].
// Corresponds to SSL_do_handshake.
func (c *Conn) Handshake() error { return c.HandshakeContext(context.Background()) }

// HandshakeContext makes the handshake, unless it has been made, and waits for its end.
// It gives up at the latest after [Config.HandshakeTimeout]. If the context ends before,
// the connection has failed and the error is the context's; if a deadline of the
// connection passes, the error is a time-out, and the handshake goes on in the
// background.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	return c.handshake(ctx, "handshake", &c.readDeadline, &c.writeDeadline)
}

func (c *Conn) handshake(ctx context.Context, op string, first, second *deadline) error {
	if c.open.Load() {
		return nil
	}
	if c.closed.Load() {
		return c.opError(op, net.ErrClosed)
	}
	if first.expired() || second.expired() {
		return c.opError(op, os.ErrDeadlineExceeded)
	}
	if err := ctx.Err(); err != nil {
		return c.opError(op, err)
	}
	c.begin()
	select {
	case <-c.shaken:
	case <-ctx.Done():
		c.giveUp(ctx.Err())
		<-c.shaken
		if !c.completed() {
			return c.opError(op, ctx.Err())
		}
	case <-first.wait():
		return c.opError(op, os.ErrDeadlineExceeded)
	case <-second.wait():
		return c.opError(op, os.ErrDeadlineExceeded)
	}
	if c.completed() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending(op)
}

// completed reports whether the handshake has come to its end, whatever came then.
func (c *Conn) completed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.complete
}

// ending returns the error of an operation after the end. It is called with mu held.
func (c *Conn) ending(op string) error {
	switch {
	case c.closed.Load():
		return c.opError(op, net.ErrClosed)
	case c.err == io.EOF && op == "write":
		return c.opError(op, &Error{Code: ErrRemoteClosedConnection, Op: op, Err: syscall.EPIPE})
	case c.err == io.EOF && op == "read":
		return io.EOF
	}
	return c.opError(op, c.err)
}

func (c *Conn) opError(op string, err error) error {
	var already *net.OpError
	if errors.As(err, &already) {
		err = already.Err
	}
	return &net.OpError{Op: op, Net: "dtls", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// Close ends the connection: it tells the peer, by close_notify or in mid-handshake by
// an alert, and frees everything. What has arrived and was not read is lost. A socket that
// is the connection's own is closed. Reads and writes under way fail with net.ErrClosed,
// and so does a second Close. An [ErrUnderlyingSocket] says that the last datagrams may not have
// been sent; the connection is closed all the same. Corresponds to SSL_shutdown and SSL_free.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.opError("close", net.ErrClosed)
	}
	defer c.hurry()()
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	late := c.empty() // what was written goes first
	c.mu.Lock()
	defer c.mu.Unlock()
	c.farewell()
	c.end(net.ErrClosed)
	if c.pending != nil {
		c.next = c.pending.Len()
		c.letGo()
	}
	c.in.close()
	if late != nil {
		return c.opError("close", &Error{Code: ErrUnderlyingSocket, Op: "close", Err: late})
	}
	return nil
}

// farewell tells the peer that the connection ends. It is called with mu held.
func (c *Conn) farewell() {
	if c.busy {
		return
	}
	out := takeDatagrams(&outgoing)
	defer outgoing.Put(out)
	switch c.phase {
	case phaseOpen:
		_ = c.ssl.Shutdown(out)
	case phaseShaking:
		_ = c.ssl.Abort(openssl.AlertUserCanceled, false, out)
	}
	_ = c.send(out)
}

// LocalAddr returns the address of this side, a *net.UDPAddr on a UDP socket: the one
// that the peer has sent to, where the socket is bound to all of the machine's.
func (c *Conn) LocalAddr() net.Addr {
	addr := c.sock.LocalAddr()
	if udp, ok := addr.(*net.UDPAddr); ok && c.local.IsValid() {
		return net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.local, uint16(udp.Port)))
	}
	return addr
}

// RemoteAddr returns the peer's address, a *net.UDPAddr.
func (c *Conn) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.peer) }

// SetDeadline sets both deadlines. Each also bounds a handshake that Read, Write or
// Handshake waits for. Zero means none.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets the time at which Read, also one under way, fails with a time-out.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(&c.readDeadline, t)
}

// SetWriteDeadline sets the time from which on Write fails with a time-out. A Write that
// has been handed to the socket is not interrupted: sockets for datagrams do not wait for
// the peer.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(&c.writeDeadline, t)
}

func (c *Conn) setDeadline(d *deadline, t time.Time) error {
	if c.closed.Load() {
		return c.opError("set deadline", net.ErrClosed)
	}
	d.set(t)
	select {
	case <-c.ended:
		d.stop()
	default:
	}
	return nil
}

// MaxDatagramSize returns how many bytes of application data fit a packet of
// [Config.MTU], exactly, but never more than [MaxPayload]; 0 unless the handshake is
// complete. Write takes more, for paths that carry or fragment it. Corresponds to
// DTLS_get_data_mtu.
func (c *Conn) MaxDatagramSize() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != phaseOpen {
		return 0
	}
	return c.ssl.DataMTU(c.config.mtu() - ipUDPHeaders(c.peer.Addr()))
}

// DatagramsDropped returns how many datagrams were dropped because the queue was full,
// which happens when Read is not called often enough.
func (c *Conn) DatagramsDropped() uint64 { return c.dropped.Load() }

// ShortBufferError says that a datagram was longer than the buffer for it.
// io.ErrShortBuffer matches it.
type ShortBufferError struct {
	Length int // of the datagram, in bytes
	Buffer int // of the buffer, in bytes
}
