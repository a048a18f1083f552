// Server answers every message of its DTLS clients, all of them over one UDP socket.
//
//	go run ./examples/server
//	go run ./examples/server -cert cert.pem -key key.pem
//
// It is one loop on one goroutine: wait for a datagram or for the earliest timer, hand
// it to whom it concerns, look at what has become of the association. A datagram from
// a peer that is known belongs to that peer's association. Any other goes to the
// verifier, which answers a ClientHello without a cookie and forgets it; only when the
// ClientHello comes back with the cookie does the server keep anything for the peer.
//
// It prints four kinds of lines, each with the peer's address: info, warning, error,
// and message for what a client has sent, as it came and decrypted. Ctrl-C closes every
// connection and ends the server.
//
// A client may start anew from an address and port that it has used before, without
// having closed its connection: after a crash, for one. The new association then lives
// beside the old one and replaces it only when its handshake is complete, so that a
// ClientHello that somebody else has sent changes nothing: RFC 6347 §4.2.8.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ossldtls/ossldtls/dtls"
	"github.com/ossldtls/ossldtls/openssl"
	"github.com/ossldtls/ossldtls/verifier"
)

// What the example client uses too, if it is not told anything else.
const (
	demoKey      = "6f73736c64746c732d64656d6f2d6b65"
	demoIdentity = "ossldtls-demo"
)

func main() {
	log := newLogger(os.Stdout)
	opts, err := parseFlags(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintf(os.Stderr, "server: %v\n", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, opts, log); err != nil {
		log.error("server", "%v", err)
		os.Exit(1)
	}
}

// options is what the command line says.
type options struct {
	listen *net.UDPAddr
	config *dtls.Config
	idle   time.Duration
	max    int
	how    string // how peers prove who they are, in words
	demo   bool   // the key is the one that everybody knows
}

// parseFlags returns what the command line says, or what is wrong with it.
func parseFlags(args []string, usage io.Writer) (*options, error) {
	opts := &options{config: &dtls.Config{PeerVerifyMode: dtls.VerifyNone}}
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // main prints errors, and only -h prints everything
	listen := flags.String("listen", "127.0.0.1:22334", "`address` to listen on; port 0 takes any that is free")
	key := flags.String("psk", demoKey, "pre-shared key, in `hex`; with -cert none is accepted unless given")
	identity := flags.String("identity", demoIdentity, "the identity that clients of the pre-shared key must give; empty: any")
	hint := flags.String("hint", "", "identity hint that tells clients which key is wanted")
	certFile := flags.String("cert", "", "PEM `file` with the certificate and its chain")
	keyFile := flags.String("key", "", "PEM `file` with the certificate's private key")
	caFile := flags.String("ca", "", "PEM `file` with the CA certificates of clients, which then have to show one")
	flags.StringVar(&opts.config.CipherList, "ciphers", "", "cipher `list` in OpenSSL's syntax; empty: forward secrecy and AEAD")
	flags.DurationVar(&opts.idle, "idle", 5*time.Minute, "close connections that are silent for so long; 0: never")
	flags.IntVar(&opts.max, "max", 100, "largest `number` of connections at a time")
	flags.DurationVar(&opts.config.HandshakeTimeout, "handshake-timeout", dtls.DefaultHandshakeTimeout, "give up a handshake that takes longer")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(usage)
			flags.Usage()
		}
		return nil, err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	withCert, withPSK := given["cert"] || given["key"], given["psk"] || !given["cert"] && !given["key"]

	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case withCert && (*certFile == "" || *keyFile == ""):
		return nil, errors.New("-cert and -key belong together")
	case given["ca"] && !withCert:
		return nil, errors.New("-ca asks clients for a certificate, for which the server needs one too: -cert and -key")
	case !withPSK && (given["identity"] || given["hint"]):
		return nil, errors.New("-identity and -hint belong to -psk, which is off with -cert unless given")
	case opts.idle < 0:
		return nil, errors.New("-idle must not be negative")
	case opts.max < 1:
		return nil, errors.New("-max must be at least 1")
	case opts.config.HandshakeTimeout <= 0:
		return nil, errors.New("-handshake-timeout must be more than 0")
	}
	var err error
	if opts.listen, err = net.ResolveUDPAddr("udp", *listen); err != nil {
		return nil, fmt.Errorf("-listen: %w", err)
	}
	if withCert {
		cert, err := tls.LoadX509KeyPair(*certFile, *keyFile)
		if err != nil {
			return nil, fmt.Errorf("-cert, -key: %w", err)
		}
		opts.config.Certificates = []tls.Certificate{cert}
		opts.how = "certificate"
	}
	if withPSK {
		secret, err := hex.DecodeString(*key)
		if err != nil || len(secret) == 0 {
			return nil, errors.New("-psk: the key is to be an even number of hexadecimal digits, at least two")
		}
		opts.config.PSK = answerPSK(*identity, secret)
		opts.config.PSKIdentityHint = *hint
		opts.demo = *key == demoKey
		if withCert {
			opts.how += " or "
		}
		opts.how += "pre-shared key"
	}
	if given["ca"] {
		pem, err := os.ReadFile(*caFile)
		if err != nil {
			return nil, fmt.Errorf("-ca: %w", err)
		}
		opts.config.ClientCAs = dtls.NewCertPool()
		if err := opts.config.ClientCAs.AppendCertsFromPEM(pem); err != nil {
			return nil, fmt.Errorf("-ca: %s: %w", *caFile, err)
		}
		opts.config.PeerVerifyMode = dtls.VerifyPeer
		opts.how += ", and from clients a certificate"
	}
	// Whatever OpenSSL does not like about the rest, it says now and not to the first client.
	if err := opts.config.Validate(dtls.ServerMode); err != nil {
		return nil, err
	}
	return opts, nil
}

// answerPSK returns the callback that OpenSSL asks for the key of a client.
func answerPSK(identity string, secret []byte) dtls.PSKFunc {
	return func(psk *dtls.PSK) error {
		if identity != "" && string(psk.Identity) != identity {
			// This ends the handshake, whose error then says why.
			return fmt.Errorf("no pre-shared key for identity %q", psk.Identity)
		}
		psk.PreSharedKey = secret
		return nil
	}
}

// server is one UDP socket and the associations of the peers behind it.
type server struct {
	opts     *options
	log      *logger
	sock     *net.UDPConn
	verifier *verifier.ClientVerifier
	peers    map[netip.AddrPort]*connection
	reply    []byte // of the verifier, used again for every answer
}

// connection is what the server keeps of one peer.
type connection struct {
	*dtls.Association
	peer      netip.AddrPort
	encrypted bool
	heard     time.Time // when the last message came
	due       time.Time // when the timer is to be looked at; zero: never

	hello    []byte      // that it has started with
	returner *connection // the peer, starting anew; nil unless it does
	replaces *connection // the other way round
}

// run serves until the context ends, and then closes every connection.
func run(ctx context.Context, opts *options, log *logger) error {
	v, err := verifier.New()
	if err != nil {
		return err
	}
	defer v.Close()
	sock, err := net.ListenUDP("udp", opts.listen)
	if err != nil {
		return err
	}
	defer sock.Close()
	s := &server{opts: opts, log: log, sock: sock, verifier: v, peers: make(map[netip.AddrPort]*connection)}

	_, version := openssl.RuntimeVersion()
	log.info("server", "listening on %v, proof by %s, %s", sock.LocalAddr(), opts.how, version)
	if opts.demo {
		log.warning("server", "the pre-shared key is the one of the examples, which everybody knows")
	}
	// The end of the context ends the read that serve is in.
	stop := context.AfterFunc(ctx, func() { _ = sock.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err = s.serve(ctx)
	s.shutdown()
	return err
}

// serve waits for datagrams and timers until the context ends or the socket fails.
func (s *server) serve(ctx context.Context) error {
	const maxFailures = 10 // one after the other: a single one may be an ICMP message
	buf := make([]byte, 1<<16)
	for failures := 0; ; {
		if err := s.sock.SetReadDeadline(s.runTimers()); err != nil {
			return err
		}
		// Asked after the deadline has been set: it may have replaced the one of run.
		if ctx.Err() != nil {
			return nil
		}
		n, peer, err := s.sock.ReadFromUDPAddrPort(buf)
		switch {
		case err == nil:
			failures = 0
			s.receive(peer, buf[:n])
		case errors.Is(err, os.ErrDeadlineExceeded):
		default:
			if failures++; failures == maxFailures {
				return err
			}
			s.log.warning("server", "%v", err)
		}
	}
}

// runTimers does what is due and returns when the next timer is, zero if there is none.
func (s *server) runTimers() (next time.Time) {
	now := time.Now()
	for _, known := range s.peers {
		for _, c := range []*connection{known, known.returner} {
			if c != nil && !c.due.IsZero() && !c.due.After(now) {
				s.timeout(c, now)
			}
		}
	}
	// Any of them may have ended just now.
	for _, known := range s.peers {
		for _, c := range []*connection{known, known.returner} {
			if c != nil && !c.due.IsZero() && (next.IsZero() || c.due.Before(next)) {
				next = c.due
			}
		}
	}
	return next
}

// timeout sends the last flight again, gives a slow handshake up, or closes an idle
// connection.
func (s *server) timeout(c *connection, now time.Time) {
	if c.encrypted && s.opts.idle > 0 && now.Sub(c.heard) >= s.opts.idle {
		s.log.info(addr(c.peer), "closing: silent for %v", s.opts.idle)
		err := c.Shutdown(s.sock)
		s.settle(c, err)
		return
	}
	again, err := c.HandleTimeout(s.sock)
	if again && err == nil {
		s.log.info(addr(c.peer), "no answer: the last flight is sent again")
	}
	s.settle(c, err)
}

// receive hands a datagram to the association of its peer, or to the verifier.
func (s *server) receive(peer netip.AddrPort, datagram []byte) {
	c, known := s.peers[peer]
	switch {
	case !known:
		s.newcomer(peer, datagram, nil)
	case c.encrypted && c.returner != nil:
		s.either(c, datagram)
	case c.encrypted && startsHandshake(datagram) && !bytes.Equal(datagram, c.hello):
		s.newcomer(peer, datagram, c)
	case c.encrypted:
		s.decrypt(c, datagram)
	default:
		err := c.DoHandshake(s.sock, datagram)
		s.settle(c, err)
	}
}

// startsHandshake reports whether the datagram begins with a ClientHello in epoch 0.
// RFC 6347 §4.1 and §4.2.2.
func startsHandshake(datagram []byte) bool {
	return len(datagram) > 13 && datagram[0] == 22 && datagram[3] == 0 && datagram[4] == 0 && datagram[13] == 1
}

// either hands a datagram to an association and to the one that is about to replace it:
// each drops what is not its own.
func (s *server) either(c *connection, datagram []byte) {
	returner := c.returner
	err := returner.DoHandshake(s.sock, datagram)
	s.settle(returner, err)
	if s.peers[c.peer] == c && !startsHandshake(datagram) {
		s.decrypt(c, datagram)
	}
}

// newcomer answers a peer that has proven nothing, and makes an association for one
// that has returned its cookie. known is the association that the peer has already, or
// nil.
func (s *server) newcomer(peer netip.AddrPort, datagram []byte, known *connection) {
	reply, verified, err := s.verifier.Verify(s.reply[:0], datagram, peer)
	s.reply = reply
	switch {
	case err != nil:
		s.log.warning(addr(peer), "dropped %d bytes: %v", len(datagram), err)
	case len(reply) > 0:
		// A HelloVerifyRequest. RFC 6347 §4.2.1.
		if _, err := s.sock.WriteToUDPAddrPort(reply, peer); err != nil {
			s.log.warning(addr(peer), "ClientHello without cookie: %v", err)
			return
		}
		s.log.info(addr(peer), "ClientHello without cookie: answered and forgotten")
	case !verified:
		s.log.info(addr(peer), "dropped %d bytes: no ClientHello", len(datagram))
	case known == nil && len(s.peers) >= s.opts.max:
		s.log.warning(addr(peer), "cookie accepted, but there are %d connections already: dropped", len(s.peers))
	default:
		s.log.info(addr(peer), "cookie accepted: the handshake starts")
		s.accept(peer, datagram, known)
	}
}

// accept starts the handshake with the verified hello.
func (s *server) accept(peer netip.AddrPort, hello []byte, known *connection) {
	association, err := dtls.NewAssociation(dtls.ServerMode, s.opts.config)
	if err != nil {
		s.log.error(addr(peer), "%v", err)
		return
	}
	c := &connection{Association: association, peer: peer, hello: bytes.Clone(hello), replaces: known}
	if known != nil {
		known.returner = c
	} else {
		s.peers[peer] = c
	}
	if err := c.SetPeer(peer, ""); err != nil {
		s.settle(c, err)
		return
	}
	err = c.DoHandshake(s.sock, hello)
	s.settle(c, err)
}

// decrypt shows what a client says, and answers it.
func (s *server) decrypt(c *connection, datagram []byte) {
	payloads, err := c.DecryptDatagram(s.sock, datagram)
	for _, payload := range payloads {
		c.heard = time.Now()
		s.log.message(addr(c.peer), datagram, payload)
	}
	// The answers may end the association, so settle looks at each of them.
	s.settle(c, err)
	for range payloads {
		if s.peers[c.peer] != c {
			return
		}
		_, err := c.WriteDatagramEncrypted(s.sock, fmt.Appendf(nil, "to %s: ACK", addr(c.peer)))
		s.settle(c, err)
	}
}

// settle ends an operation on an association: its state, and not the error alone, says
// whether it goes on. An empty datagram, for one, is an error that changes nothing.
func (s *server) settle(c *connection, err error) {
	switch c.HandshakeState() {
	case dtls.HandshakeNotStarted:
		switch {
		case errors.Is(err, dtls.ErrRemoteClosedConnection):
			s.log.info(addr(c.peer), "closed by the client")
		case err != nil:
			s.log.error(addr(c.peer), "%v", err)
		}
		s.forget(c)
		return
	case dtls.PeerVerificationFailed:
		for _, objection := range c.PeerVerificationErrors() {
			s.log.error(addr(c.peer), "%v", objection)
		}
		if err := c.AbortHandshake(s.sock); err != nil {
			s.log.warning(addr(c.peer), "%v", err)
		}
		s.forget(c)
		return
	}
	if err != nil {
		s.log.warning(addr(c.peer), "%v", err)
	}
	first := c.IsConnectionEncrypted() && !c.encrypted
	if first {
		if old := c.replaces; old != nil {
			s.log.info(addr(c.peer), "the client has started anew: its old connection is forgotten")
			c.replaces, old.returner = nil, nil
			s.forget(old)
			s.peers[c.peer] = c
		}
		c.encrypted, c.heard = true, time.Now()
		s.log.info(addr(c.peer), "handshake complete: %s, %s%s",
			dtls.VersionName(c.SessionProtocol()), c.SessionCipher().Name, who(c.Association))
	}
	c.due = c.nextDue(s.opts.idle)
	if first {
		s.decrypt(c, nil) // a message may have come with the end of the handshake
	}
}

// nextDue returns when something is to be done even if no datagram comes.
func (c *connection) nextDue(idle time.Duration) time.Time {
	due, running := c.NextTimeout()
	if !running {
		due = time.Time{}
	}
	if limit := c.heard.Add(idle); c.encrypted && idle > 0 && (!running || limit.Before(due)) {
		due = limit
	}
	return due
}

// who says in words who the peer has proven to be.
func who(a *dtls.Association) string {
	if identity := a.PSKIdentity(); identity != nil {
		return fmt.Sprintf(", identity %q", identity)
	}
	if cert := a.PeerCertificate(); cert != nil {
		return fmt.Sprintf(", certificate %q", cert.Subject())
	}
	return ""
}

func (s *server) forget(c *connection) {
	if c.replaces != nil {
		c.replaces.returner = nil
	} else {
		delete(s.peers, c.peer)
	}
	_ = c.Close() // never fails
	if c.returner != nil {
		// Its old connection is gone: it is a peer like any other.
		c.returner.replaces = nil
		s.peers[c.peer] = c.returner
	}
}

// shutdown tells every peer that the server ends.
func (s *server) shutdown() {
	s.log.info("server", "stopping: %d connections to close", len(s.peers))
	for _, c := range s.peers {
		if c.returner != nil {
			s.forget(c.returner)
		}
		end := c.AbortHandshake
		if c.encrypted {
			end = c.Shutdown
		}
		if err := end(s.sock); err != nil {
			s.log.warning(addr(c.peer), "%v", err)
		} else {
			s.log.info(addr(c.peer), "closed")
		}
		s.forget(c)
	}
	s.log.info("server", "stopped")
}

// addr shows an IPv4 address as such, also if it comes from a socket for both families.
func addr(peer netip.AddrPort) string {
	return netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port()).String()
}

// logger prints lines of four kinds, with colours if they go to a terminal and NO_COLOR
// does not forbid it.
type logger struct {
	out    io.Writer
	colour bool
}

func newLogger(out *os.File) *logger {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &logger{out: out, colour: terminal && os.Getenv("NO_COLOR") == ""}
}

func (l *logger) info(who, format string, args ...any) { l.line("info", 32, who, format, args...) }
func (l *logger) warning(who, format string, args ...any) {
	l.line("warning", 33, who, format, args...)
}
func (l *logger) error(who, format string, args ...any) { l.line("error", 31, who, format, args...) }

// message shows a datagram as it came and what was in it. The plain text is quoted: a
// peer has no business with the terminal.
func (l *logger) message(who string, datagram, plain []byte) {
	if len(datagram) > 0 { // none if the message came in the last datagram of the handshake
		l.line("message", 36, who, "received %d bytes: %x", len(datagram), datagram)
	}
	l.line("message", 36, who, "plain text: %q", plain)
}

func (l *logger) line(kind string, colour int, who, format string, args ...any) {
	label := fmt.Sprintf("%-7s", kind)
	if l.colour {
		label = fmt.Sprintf("\x1b[%dm%s\x1b[0m", colour, label)
	}
	fmt.Fprintf(l.out, "%s %s %s  %s\n", time.Now().Format("15:04:05.000"), label, who, fmt.Sprintf(format, args...))
}
