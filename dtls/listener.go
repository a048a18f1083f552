package dtls

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ossldtls/ossldtls/internal/udpbatch"
	"github.com/ossldtls/ossldtls/openssl"
	"github.com/ossldtls/ossldtls/verifier"
)

// Listener is a server for any number of peers on one socket. It is a net.Listener
// whose Accept returns connections with the handshake behind them. All of its methods
// may be called concurrently.
//
// A peer costs nothing until it has proven its address by a cookie; then its handshake
// is made beside those of others, within [Limits] and [Config.HandshakeTimeout]. One that
// fails is a count in [Listener.Stats] and a line in [Config.Logger], never an error of
// Accept. A peer that comes back on the same address and port is taken back once its new
// handshake is complete: its old connection then ends with [ErrReplaced].
type Listener struct {
	config *Config
	inlets []*inlet
	verify *verifier.ClientVerifier // nil: cookies are not verified

	mu      sync.Mutex
	parting map[*Conn]struct{} // in no inlet any more, and about to end
	perAddr map[netip.Addr]int
	half    int // in their handshake, or not accepted yet
	open    int // complete
	ready   []*Conn
	closing bool          // nobody new
	empty   chan struct{} // closed when closing and no connection is left

	waiting chan struct{} // holds one token if ready may have something
	leaving chan struct{} // closed by Close and Shutdown
	done    chan struct{} // closed by Close
	closed  atomic.Bool
	handler atomic.Pointer[Handler]
	served  atomic.Bool
	counts  counts
	failure atomic.Pointer[error] // of the socket
}

var _ net.Listener = (*Listener)(nil)

// remote is a peer, and the address that it has sent to, since it may speak to two of
// the machine's from one port.
type remote struct {
	peer  netip.AddrPort
	local netip.Addr
}

// inlet is one of a listener's sockets with the connections that have come through it:
// all that a datagram passes on its way.
type inlet struct {
	listener *Listener
	sock     *udpbatch.Conn
	pump     pump
	work     workers

	mu    sync.Mutex // the listener's comes before; to change the maps takes both, to look into them either
	conns map[remote]*Conn
	heirs map[remote]*Conn // in their handshake, where conns has one that is complete
}

// Listen opens a socket, or as many as [Config.Sockets] says, and returns its [Listener].
// network is "udp", "udp4" or "udp6"; address is "host:port", where an empty host means all
// of the machine's addresses and port 0 a free one.
func Listen(network, address string, cfg *Config) (*Listener, error) {
	const op = "listen"
	switch network {
	case "udp", "udp4", "udp6":
	default:
		return nil, &net.OpError{Op: op, Net: network, Err: net.UnknownNetworkError(network)}
	}
	count := 1
	if cfg != nil {
		count = max(count, cfg.Sockets)
	}
	pcs, err := listenPackets(network, address, count)
	if err != nil {
		return nil, err
	}
	for _, pc := range pcs {
		// What arrives while the goroutine that reads is not running waits in here. The
		// system may grant less.
		_ = pc.(*net.UDPConn).SetReadBuffer(socketBuffer)
	}
	l, err := newListener(pcs, cfg)
	if err != nil {
		for _, pc := range pcs {
			_ = pc.Close()
		}
		return nil, err
	}
	return l, nil
}

const socketBuffer = 4 << 20

// NewListener returns a listener on a socket of the program's own, which is used for
// nothing else. Close closes it. Errors: those of [Config.Validate] for a server.
func NewListener(pc net.PacketConn, cfg *Config) (*Listener, error) {
	if pc == nil {
		return nil, &Error{Code: ErrInvalidInputParameters, Op: "listen", Text: "the socket is nil"}
	}
	return newListener([]net.PacketConn{pc}, cfg)
}

// newListener returns a listener on sockets, which stay open if it fails.
func newListener(pcs []net.PacketConn, cfg *Config) (*Listener, error) {
	const op = "listen"
	if cfg == nil {
		cfg = &zeroConfig
	}
	if _, err := cfg.context(ServerMode, conns); err != nil {
		return nil, &Error{Code: ErrTLSInitialization, Op: op, Err: err}
	}
	l := &Listener{
		config: cfg, parting: map[*Conn]struct{}{}, perAddr: map[netip.Addr]int{},
		waiting: make(chan struct{}, 1), leaving: make(chan struct{}), done: make(chan struct{}), empty: make(chan struct{}),
	}
	for _, pc := range pcs {
		_ = pc.SetDeadline(time.Time{}) // what the program has left
		sock, err := udpbatch.New(pc)
		if err != nil {
			return nil, &Error{Code: ErrInvalidInputParameters, Op: op, Err: err}
		}
		l.addInlet(sock)
	}
	if !cfg.DisableCookieVerification {
		var err error
		if l.verify, err = verifier.New(); err != nil {
			return nil, err
		}
	}
	for _, in := range l.inlets {
		in.work.start()
		in.pump.start()
	}
	return l, nil
}

func (l *Listener) addInlet(sock *udpbatch.Conn) {
	in := &inlet{listener: l, sock: sock, conns: map[remote]*Conn{}, heirs: map[remote]*Conn{}}
	in.pump = pump{sock: sock, handle: in.receive, passed: func(error) {}, failed: l.fail, work: &in.work}
	sock.OnRefusal(func() { logRefusal(l.config) })
	l.inlets = append(l.inlets, in)
}

// Accept waits for a connection whose handshake is complete, and returns it, a *Conn.
// The only errors are net.ErrClosed, after Close or Shutdown, and the end of the socket.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		if c := l.next(true); c != nil {
			return c, nil
		}
		select {
		case <-l.waiting:
		case <-l.leaving:
			return nil, l.opError("accept", l.reason())
		}
	}
}

func (l *Listener) reason() error {
	if err := l.failure.Load(); err != nil {
		return *err
	}
	return net.ErrClosed
}

// next takes a connection that waits to be accepted: for Accept, or for a handler.
func (l *Listener) next(accept bool) *Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ready) == 0 {
		return nil
	}
	c := l.ready[0]
	c.taken.Store(accept)
	l.ready[0] = nil
	l.ready = l.ready[1:]
	l.release(c)
	if len(l.ready) > 0 {
		l.wake()
	}
	return c
}

func (l *Listener) wake() {
	select {
	case l.waiting <- struct{}{}:
	default:
	}
}

func (l *Listener) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "dtls", Addr: l.Addr(), Err: err}
}

// Addr returns the address of the socket.
func (l *Listener) Addr() net.Addr { return l.inlets[0].sock.LocalAddr() }

// SetCookieGeneratorParameters sets what cookies are made with from now on, for
// rotation and for several servers behind one address; see
// [verifier.ClientVerifier.SetCookieGeneratorParameters]. The default is a random secret
// of the process.
func (l *Listener) SetCookieGeneratorParameters(params GeneratorParameters) error {
	if l.verify == nil {
		return l.opError("set cookie generator parameters",
			&Error{Code: ErrInvalidOperation, Op: "set cookie generator parameters", Text: "Config.DisableCookieVerification is set"})
	}
	return l.verify.SetCookieGeneratorParameters(params)
}

// Close ends every connection, each with close_notify, and the listener with its
// socket. It does not wait for handlers of [Listener.Serve] that are under way; Shutdown
// does.
func (l *Listener) Close() error {
	if l.closed.Swap(true) {
		return l.opError("close", net.ErrClosed)
	}
	l.stop()
	return nil
}

func (l *Listener) stop() {
	l.hurry()
	l.refuseNew()
	close(l.done)
	for _, c := range l.all() {
		start := time.Now()
		_ = c.Close()
		if time.Since(start) < closeGrace/2 {
			l.hurry() // the socket takes what it gets: the others have their time too
		}
	}
	for _, in := range l.inlets {
		_ = in.sock.Close()
		in.pump.stop()
		in.work.stop()
	}
	if l.verify != nil {
		_ = l.verify.Close()
	}
}

// hurry keeps a socket that waits from delaying the end.
func (l *Listener) hurry() {
	for _, in := range l.inlets {
		_ = in.sock.SetWriteDeadline(time.Now().Add(closeGrace))
	}
}

// refuseNew lets nobody in any more and ends what has not been accepted.
func (l *Listener) refuseNew() {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return
	}
	l.closing = true
	close(l.leaving)
	var ends []*Conn
	for _, in := range l.inlets {
		for _, c := range in.conns {
			if !c.accepted {
				ends = append(ends, c)
			}
		}
		for _, c := range in.heirs {
			ends = append(ends, c)
		}
	}
	l.ready = nil
	l.leave()
	l.mu.Unlock()
	for _, c := range ends {
		_ = c.Close()
	}
}

// leave tells Shutdown when the last connection is gone. It is called with mu held.
func (l *Listener) leave() {
	if !l.closing || len(l.parting) > 0 {
		return
	}
	for _, in := range l.inlets {
		if len(in.conns)+len(in.heirs) > 0 {
			return
		}
	}
	select {
	case <-l.empty:
	default:
		close(l.empty)
	}
}

func (l *Listener) all() []*Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*Conn
	for _, in := range l.inlets {
		all = slices.AppendSeq(all, maps.Values(in.conns))
		all = slices.AppendSeq(all, maps.Values(in.heirs))
	}
	for c := range l.parting {
		all = append(all, c)
	}
	return all
}

// Shutdown lets nobody in any more, so that Accept and Serve return, waits until the
// connections that were accepted have ended or the context has, then does what Close does
// and waits for handlers under way: it must not be called by one of them. It returns the
// context's error if it has cut something short.
func (l *Listener) Shutdown(ctx context.Context) error {
	l.refuseNew()
	var err error
	select {
	case <-l.empty:
	case <-l.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if closeErr := l.Close(); closeErr != nil && !errors.Is(closeErr, net.ErrClosed) {
		return closeErr
	}
	gone := make(chan struct{})
	go func() {
		for _, in := range l.inlets {
			in.pump.running.Wait()
			in.work.wait()
		}
		close(gone)
	}()
	select {
	case <-gone:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// key returns the key that hellos are verified with; nil where they are not.
func (l *Listener) key() *openssl.CookieKey {
	if l.verify == nil {
		return nil
	}
	return l.verify.CookieKey()
}
