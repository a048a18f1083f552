// Client talks to a DTLS server: one or more connections, each with a UDP socket and a
// goroutine of its own, each sending messages and showing what comes back.
//
//	go run ./examples/client
//	go run ./examples/client -ca ca.pem -connect localhost:22334
//
// It prints four kinds of lines, each with the number of the connection and the server's
// address: info, warning, error, and message for what the server has sent, as it came
// and decrypted. It ends when every message has been sent and answered, or with Ctrl-C,
// which closes every connection. The exit code is 1 if a connection has failed.
package main

import (
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
	"sync"
	"syscall"
	"time"

	"github.com/ossldtls/ossldtls/dtls"
)

// What the example server uses too, if it is not told anything else.
const (
	demoKey      = "6f73736c64746c732d64656d6f2d6b65"
	demoIdentity = "ossldtls-demo"
)

// patience is how long answers are waited for after the last message.
const patience = 2 * time.Second

func main() {
	log := newLogger(os.Stdout)
	opts, err := parseFlags(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintf(os.Stderr, "client: %v\n", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if !run(ctx, opts, log) {
		os.Exit(1)
	}
}

// options is what the command line says.
type options struct {
	server           netip.AddrPort
	name             string // that the server's certificate must be for; empty: its address
	config           *dtls.Config
	identity, secret []byte // no pre-shared key if secret is nil
	insecure         bool
	connections      int
	messages         int // of each connection; 0: until the context ends
	interval         time.Duration
}

// parseFlags returns what the command line says, or what is wrong with it.
func parseFlags(args []string, usage io.Writer) (*options, error) {
	opts := &options{config: &dtls.Config{PeerVerifyMode: dtls.VerifyPeer}}
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // main prints errors, and only -h prints everything
	connect := flags.String("connect", "127.0.0.1:22334", "the server's `address`")
	flags.IntVar(&opts.connections, "n", 1, "`number` of connections")
	flags.IntVar(&opts.messages, "count", 5, "`number` of messages of each connection; 0: until Ctrl-C")
	flags.DurationVar(&opts.interval, "interval", time.Second, "`time` between two messages")
	key := flags.String("psk", demoKey, "pre-shared key, in `hex`; off with -ca, -name, -cert and -insecure unless given")
	identity := flags.String("identity", demoIdentity, "what the client calls itself towards a server with a pre-shared key")
	caFile := flags.String("ca", "", "PEM `file` with the CA certificates to trust; empty: the machine's")
	flags.StringVar(&opts.name, "name", "", "host `name` or IP address that the certificate must be for; empty: the one of -connect")
	certFile := flags.String("cert", "", "PEM `file` with a certificate to show the server, and its chain")
	keyFile := flags.String("key", "", "PEM `file` with the certificate's private key")
	flags.BoolVar(&opts.insecure, "insecure", false, "go on whatever is wrong with the server's certificate")
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
	withCert := given["cert"] || given["key"]
	withPSK := given["psk"] || !withCert && !given["ca"] && !given["name"] && !opts.insecure

	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case withCert && (*certFile == "" || *keyFile == ""):
		return nil, errors.New("-cert and -key belong together")
	case !withPSK && given["identity"]:
		return nil, errors.New("-identity belongs to -psk, which is off with -ca, -name, -cert and -insecure unless given")
	case opts.connections < 1:
		return nil, errors.New("-n must be at least 1")
	case opts.messages < 0:
		return nil, errors.New("-count must not be negative")
	case opts.interval <= 0:
		return nil, errors.New("-interval must be more than 0")
	case opts.config.HandshakeTimeout <= 0:
		return nil, errors.New("-handshake-timeout must be more than 0")
	}
	server, err := net.ResolveUDPAddr("udp", *connect)
	if err != nil {
		return nil, fmt.Errorf("-connect: %w", err)
	}
	if server.IP == nil || server.Port == 0 {
		return nil, fmt.Errorf("-connect: %q is to be a host and a port, such as localhost:22334", *connect)
	}
	opts.server = netip.AddrPortFrom(server.AddrPort().Addr().Unmap(), uint16(server.Port))
	if host, _, err := net.SplitHostPort(*connect); err == nil && opts.name == "" {
		// An address needs no name: that is what the certificate is checked for then.
		if _, err := netip.ParseAddr(host); err != nil {
			opts.name = host
		}
	}
	if given["ca"] {
		pem, err := os.ReadFile(*caFile)
		if err != nil {
			return nil, fmt.Errorf("-ca: %w", err)
		}
		opts.config.RootCAs = dtls.NewCertPool()
		if err := opts.config.RootCAs.AppendCertsFromPEM(pem); err != nil {
			return nil, fmt.Errorf("-ca: %s: %w", *caFile, err)
		}
	}
	if withCert {
		cert, err := tls.LoadX509KeyPair(*certFile, *keyFile)
		if err != nil {
			return nil, fmt.Errorf("-cert, -key: %w", err)
		}
		opts.config.Certificates = []tls.Certificate{cert}
	}
	if withPSK {
		opts.identity = []byte(*identity)
		if opts.secret, err = hex.DecodeString(*key); err != nil || len(opts.secret) == 0 {
			return nil, errors.New("-psk: the key is to be an even number of hexadecimal digits, at least two")
		}
		opts.config.PSK = opts.answerPSK
	}
	// Whatever OpenSSL does not like about the rest, it says now and once.
	if err := opts.config.Validate(dtls.ClientMode); err != nil {
		return nil, err
	}
	return opts, nil
}

// answerPSK is what OpenSSL asks for the key. A client with several keys would choose
// by psk.IdentityHint.
func (o *options) answerPSK(psk *dtls.PSK) error {
	psk.Identity, psk.PreSharedKey = o.identity, o.secret
	return nil
}

// run makes the connections, waits for all of them, and reports whether none has failed.
func run(ctx context.Context, opts *options, log *logger) bool {
	connections := make([]*connection, opts.connections)
	var wg sync.WaitGroup
	for i := range connections {
		c := &connection{opts: opts, log: log.with(fmt.Sprintf("#%d %s", i+1, opts.server))}
		connections[i] = c
		wg.Add(1)
		go func() {
			defer wg.Done()
			if c.err = c.run(ctx); c.err != nil {
				c.log.error("%v", c.err)
			}
		}()
	}
	wg.Wait()

	var failed, sent, answered, again int
	for _, c := range connections {
		if c.err != nil {
			failed++
		}
		sent, answered, again = sent+c.sent, answered+c.answered, again+c.again
	}
	log = log.with("client")
	log.info("summary: %d connections, %d failed; %d messages sent, %d answered; %d handshake flights sent again",
		len(connections), failed, sent, answered, again)
	return failed == 0
}

// connection is one association with the server. It belongs to one goroutine.
type connection struct {
	opts *options
	log  *logger
	*dtls.Association
	sock *net.UDPConn
	buf  []byte

	heard                 bool // something came from the server
	sent, answered, again int
	err                   error
}

// run does everything: handshake, messages, end. A context that ends is no error.
func (c *connection) run(ctx context.Context) error {
	// Not connected, so that the association can say where each datagram goes. receive
	// takes care of what comes from elsewhere.
	network := "udp4"
	if c.opts.server.Addr().Is6() {
		network = "udp6"
	}
	sock, err := net.ListenUDP(network, nil)
	if err != nil {
		return err
	}
	defer sock.Close()
	association, err := dtls.NewAssociation(dtls.ClientMode, c.opts.config)
	if err != nil {
		return err
	}
	defer association.Close()
	if err := association.SetPeer(c.opts.server, c.opts.name); err != nil {
		return err
	}
	c.sock, c.Association, c.buf = sock, association, make([]byte, 1<<16)

	// The end of the context ends the receive that the connection is in.
	stop := context.AfterFunc(ctx, func() { _ = sock.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if err = c.handshake(ctx); err == nil {
		err = c.talk(ctx)
	}
	c.end()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// handshake returns nil when the association is encrypted.
func (c *connection) handshake(ctx context.Context) error {
	c.log.info("handshake starts from port %d", c.sock.LocalAddr().(*net.UDPAddr).Port)
	err := c.DoHandshake(c.sock, nil)
	for {
		// The state says whether the handshake goes on, not the error alone: a datagram
		// that could not be sent, for one, is as good as lost on the way.
		switch c.HandshakeState() {
		case dtls.HandshakeNotStarted:
			return c.explain(err)
		case dtls.PeerVerificationFailed:
			if err = c.judge(); err != nil {
				return err
			}
			continue
		case dtls.HandshakeComplete:
			c.log.info("handshake complete: %s, %s%s",
				dtls.VersionName(c.SessionProtocol()), c.SessionCipher().Name, who(c.Association))
			return nil
		}
		if err != nil {
			c.log.warning("%v", err)
		}
		due, _ := c.NextTimeout()
		datagram, ready := c.receive(ctx, due)
		switch {
		case ready == nil:
			err = c.DoHandshake(c.sock, datagram)
		case errors.Is(ready, os.ErrDeadlineExceeded):
			var again bool
			if again, err = c.HandleTimeout(c.sock); again && err == nil {
				c.again++
				c.log.info("no answer: the last flight is sent again")
			}
		default:
			return ready
		}
	}
}

// judge decides about a server whose certificate OpenSSL has objections to.
func (c *connection) judge() error {
	objections := c.PeerVerificationErrors()
	if !c.opts.insecure {
		for _, objection := range objections {
			c.log.error("%v", objection)
		}
		return errors.New("the server's certificate is not accepted")
	}
	for _, objection := range objections {
		c.log.warning("%v", objection)
	}
	c.log.warning("-insecure: going on, although this may be anybody's server")
	c.IgnoreVerificationErrors(objections...)
	// A datagram that cannot be sent here is sent again by the timer.
	if err := c.ResumeHandshake(c.sock); err != nil && c.HandshakeState() != dtls.HandshakeInProgress {
		return err
	}
	return nil
}

// explain adds to the error of a handshake what it may mean.
func (c *connection) explain(err error) error {
	switch {
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case !c.heard:
		return fmt.Errorf("%w (nothing came from %v: is the server there?)", err, c.opts.server)
	case c.opts.secret != nil:
		return fmt.Errorf("%w (the server answered, and then no more: this is what a wrong pre-shared key looks like)", err)
	}
	return err
}

// talk sends the messages, one in each interval, and shows what comes back.
func (c *connection) talk(ctx context.Context) error {
	// A message may have come with the end of the handshake.
	if err := c.decrypt(nil); err != nil {
		return err
	}
	next := time.Now()
	for {
		done := c.opts.messages > 0 && c.sent == c.opts.messages
		if done && c.answered >= c.sent {
			return nil
		}
		if !time.Now().Before(next) {
			if done {
				break
			}
			if err := c.send(); err != nil {
				return err
			}
			if next = next.Add(c.opts.interval); c.sent == c.opts.messages {
				next = time.Now().Add(patience)
			}
			continue
		}
		datagram, err := c.receive(ctx, next)
		switch {
		case err == nil:
			if err := c.decrypt(datagram); err != nil {
				return err
			}
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		}
	}
	// UDP may lose messages and answers: that some are missing is no failure.
	if c.answered == 0 {
		return fmt.Errorf("none of %d messages was answered", c.sent)
	}
	c.log.warning("%d of %d messages were not answered", c.sent-c.answered, c.sent)
	return nil
}

// send sends the next message.
func (c *connection) send() error {
	text := fmt.Sprintf("message %d", c.sent+1)
	_, err := c.WriteDatagramEncrypted(c.sock, []byte(text))
	switch {
	case !c.IsConnectionEncrypted():
		return err
	case err != nil:
		c.log.warning("%v", err)
	default:
		c.log.info("sent: %q", text)
	}
	c.sent++
	return nil
}

// decrypt shows what the server says. It returns an error if that ends the connection.
func (c *connection) decrypt(datagram []byte) error {
	payloads, err := c.DecryptDatagram(c.sock, datagram)
	for _, payload := range payloads {
		c.answered++
		c.log.message(datagram, payload)
	}
	if !c.IsConnectionEncrypted() {
		return err
	}
	if err != nil {
		c.log.warning("%v", err)
	}
	return nil
}

// receive returns the next datagram from the server. Its error is os.ErrDeadlineExceeded
// when the time is over, and the context's when that has ended.
func (c *connection) receive(ctx context.Context, until time.Time) ([]byte, error) {
	const maxFailures = 10 // one after the other: a single one may be an ICMP message
	if err := c.sock.SetReadDeadline(until); err != nil {
		return nil, err
	}
	for failures := 0; ; {
		// Asked after the deadline has been set: it may have replaced the one of run.
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, from, err := c.sock.ReadFromUDPAddrPort(c.buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
			return nil, os.ErrDeadlineExceeded
		case err != nil:
			if failures++; failures == maxFailures {
				return nil, err
			}
		case from == c.opts.server && n > 0:
			c.heard = true
			return c.buf[:n], nil
		}
	}
}

// end tells the server that the connection ends, however far it has got.
func (c *connection) end() {
	end := c.Shutdown
	switch c.HandshakeState() {
	case dtls.HandshakeNotStarted:
		return
	case dtls.HandshakeInProgress, dtls.PeerVerificationFailed:
		end = c.AbortHandshake
	}
	if err := end(c.sock); err != nil {
		c.log.warning("%v", err)
		return
	}
	c.log.info("closed")
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

// logger prints lines of four kinds, with colours if they go to a terminal and NO_COLOR
// does not forbid it. It may be used concurrently.
type logger struct {
	out    io.Writer
	mu     *sync.Mutex
	colour bool
	who    string
}

func newLogger(out *os.File) *logger {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &logger{out: out, mu: &sync.Mutex{}, colour: terminal && os.Getenv("NO_COLOR") == ""}
}

// with returns a logger for the lines of somebody.
func (l *logger) with(who string) *logger {
	return &logger{l.out, l.mu, l.colour, who}
}

func (l *logger) info(format string, args ...any)    { l.line("info", 32, format, args...) }
func (l *logger) warning(format string, args ...any) { l.line("warning", 33, format, args...) }
func (l *logger) error(format string, args ...any)   { l.line("error", 31, format, args...) }

// message shows a datagram as it came and what was in it. The plain text is quoted: a
// peer has no business with the terminal.
func (l *logger) message(datagram, plain []byte) {
	if len(datagram) > 0 { // none if the message came in the last datagram of the handshake
		l.line("message", 36, "received %d bytes: %x", len(datagram), datagram)
	}
	l.line("message", 36, "plain text: %q", plain)
}

func (l *logger) line(kind string, colour int, format string, args ...any) {
	label := fmt.Sprintf("%-7s", kind)
	if l.colour {
		label = fmt.Sprintf("\x1b[%dm%s\x1b[0m", colour, label)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, "%s %s %s  %s\n", time.Now().Format("15:04:05.000"), label, l.who, fmt.Sprintf(format, args...))
}
