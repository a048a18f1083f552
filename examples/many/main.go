// Many shows one DTLS server with very many peers: one socket, and no goroutine for any
// of them.
//
//	go run ./examples/many
//	go run ./examples/many -peers 2000 -rounds 10 -cert
//
// It starts itself once more as the clients, so that the server's goroutines and memory
// are in a process of their own. The clients connect, a few at a time, each sends a
// datagram and waits for its echo, and all of them stay. When all are there, the server
// looks at its goroutines and, after a garbage collection, at its resident memory. Then
// every client hears as many echoes as -rounds says, and closes. Meanwhile a line shows
// the listener's counters. The summary comes at the end; the exit code is 0 if every
// client has connected, heard all of its echoes and closed.
//
// Both sides prove who they are by a pre-shared key, which keeps handshakes cheap; with
// -cert the server has an ECDSA certificate and the clients verify it.
//
// This file is the server; clients.go has the clients.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ossldtls/ossldtls/dtls"
)

func main() {
	peers := flag.Int("peers", 10000, "`number` of clients")
	rounds := flag.Int("rounds", 3, "`number` of echoes for each client when all are connected")
	parallel := flag.Int("parallel", 64, "`number` of clients that are busy at a time")
	withCert := flag.Bool("cert", false, "an ECDSA certificate instead of a pre-shared key")
	limit := flag.Duration("limit", 2*time.Minute, "give up after this `time`")
	role := flag.String("role", "server", "what this process is: the server starts the clients")
	flag.Parse()
	var err error
	switch {
	case *role == "clients":
		err = runClients(os.Stdin, os.Stdout)
	case *role != "server" || flag.NArg() > 0:
		err = errors.New("unexpected argument; -h lists the flags")
	case *peers < 1 || *rounds < 1 || *parallel < 1 || *parallel > dtls.DefaultHalfOpenPerAddress:
		err = fmt.Errorf("-peers and -rounds must be at least 1, -parallel 1 to %d", dtls.DefaultHalfOpenPerAddress)
	default:
		time.AfterFunc(*limit, func() {
			fmt.Fprintf(os.Stderr, "\nmany: not done after %v\n", *limit)
			os.Exit(1) // the clients end with this process
		})
		err = run(task{Peers: *peers, Rounds: *rounds, Parallel: *parallel}, *withCert)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "many: %v\n", err)
		os.Exit(1)
	}
}

// task is what the clients are told, on their standard input.
type task struct {
	Address                 string
	Peers, Rounds, Parallel int
	Key                     []byte // pre-shared; nil: the server has a certificate
	CA                      string // in PEM
}

// server is what is counted beside the listener's own counters.
type server struct {
	*dtls.Listener
	echoes, closed atomic.Int64
}

// handler serves all peers. Its functions are called by a few goroutines of the listener.
func (s *server) handler() dtls.Handler {
	return dtls.Handler{
		Datagram: func(c *dtls.Conn, datagram []byte) {
			if _, err := c.Write(datagram); err == nil {
				s.echoes.Add(1)
			}
		},
		Closed: func(_ *dtls.Conn, err error) {
			if errors.Is(err, io.EOF) { // the client has said that it closes
				s.closed.Add(1)
			}
		},
	}
}

func run(t task, withCert bool) error {
	cfg, err := serverConfig(&t, withCert)
	if err != nil {
		return err
	}
	listener, err := dtls.Listen("udp4", "127.0.0.1:0", cfg)
	if err != nil {
		return err
	}
	defer listener.Close()
	t.Address = listener.Addr().String()
	s := &server{Listener: listener}
	served := make(chan error, 1)
	go func() { served <- listener.Serve(s.handler()) }()

	clients, err := startClients()
	if err != nil {
		return err
	}
	defer clients.stop()
	if most := clients.files - spareFiles; most < 1 {
		return fmt.Errorf("a process may have no more than %d files open here (ulimit -n)", clients.files)
	} else if t.Peers > most {
		fmt.Printf("only %d clients: each needs a socket, and a process may have %d files open here (ulimit -n)\n", most, clients.files)
		t.Peers = most
	}
	live := startLive(s)
	defer live.stop()

	// The clients wait for what to do.
	start := time.Now()
	before := measure()
	if err := clients.tell(&t); err != nil {
		return err
	}
	if _, err := clients.await("connected"); err != nil {
		return err
	}
	connected := time.Since(start)
	full, open := measure(), listener.Stats().Open
	echoStart := time.Now()
	if err := clients.tell("go on"); err != nil {
		return err
	}
	again, err := clients.await("done")
	if err != nil {
		return err
	}
	echoed := time.Since(echoStart)
	// The last close_notify may still be on its way.
	for patience := time.Now().Add(5 * time.Second); listener.Stats().Open > 0 && time.Now().Before(patience); {
		time.Sleep(time.Millisecond)
	}
	stats := listener.Stats()
	live.stop()
	if err := listener.Close(); err != nil {
		return err
	}
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		return err
	}

	fmt.Printf("server on %s, %d processors\n", t.Address, runtime.NumCPU())
	fmt.Printf("connected:  %d of %d in %.1f s, %.0f/s; %d open at a time\n",
		stats.HandshakesCompleted, t.Peers, connected.Seconds(), float64(t.Peers)/connected.Seconds(), open)
	fmt.Printf("goroutines: %d without peers, %d with all of them\n", before.goroutines, full.goroutines)
	if full.resident > 0 {
		fmt.Printf("memory:     %.1f MB resident without peers, %.1f MB with all of them: %.1f KB each\n",
			mega(before.resident), mega(full.resident), float64(full.resident-before.resident)/float64(max(open, 1))/1024)
	} else {
		fmt.Println("memory:     not measured: there is no /proc/self/statm")
	}
	fmt.Printf("echoes:     %d in %.1f s\n", s.echoes.Load(), echoed.Seconds())
	fmt.Printf("closed:     %d by the clients, %d left open\n", s.closed.Load(), stats.Open)
	fmt.Printf("sent again: %s datagrams\n", again)
	if stats.HandshakesCompleted != uint64(t.Peers) || stats.Open > 0 {
		return errors.New("not every client has come and gone")
	}
	return clients.wait()
}

// serverConfig returns the server's Config and tells the clients what they need for it.
func serverConfig(t *task, withCert bool) (*dtls.Config, error) {
	if !withCert {
		t.Key = make([]byte, 16)
		if _, err := rand.Read(t.Key); err != nil {
			return nil, err
		}
		return &dtls.Config{PSK: func(psk *dtls.PSK) error {
			psk.PreSharedKey = t.Key // whatever the identity
			return nil
		}}, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ossldtls many"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	t.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return &dtls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, nil
}

// figures are what a process needs.
type figures struct {
	goroutines int
	resident   int64 // bytes; 0 if the system does not tell
}

// measure is for a moment at which nothing happens. What the handshakes have left for the
// garbage collector does not count.
func measure() figures {
	debug.FreeOSMemory()
	f := figures{goroutines: runtime.NumGoroutine()}
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		var size, resident int64 // in pages
		if _, err := fmt.Sscan(string(text), &size, &resident); err == nil {
			f.resident = resident * int64(os.Getpagesize())
		}
	}
	return f
}

func mega(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// clientProcess is this program once more. It ends when its input does.
type clientProcess struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
	files int // that it may have open
}

func startClients() (*clientProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &clientProcess{cmd: exec.Command(self, "-role", "clients")}
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.lines = bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	ready, err := c.await("ready")
	if err == nil {
		c.files, err = strconv.Atoi(ready)
	}
	return c, err
}

// tell sends the clients a line of JSON.
func (c *clientProcess) tell(what any) error { return json.NewEncoder(c.in).Encode(what) }

// await waits for a line of the clients that begins with a word, and returns its rest.
func (c *clientProcess) await(word string) (string, error) {
	for c.lines.Scan() {
		if rest, found := strings.CutPrefix(c.lines.Text(), word+" "); found {
			return rest, nil
		}
	}
	return "", errors.New("the clients have ended early")
}

func (c *clientProcess) wait() error {
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("the clients: %w", err)
	}
	return nil
}

func (c *clientProcess) stop() {
	_ = c.in.Close()
	_ = c.cmd.Wait() // an error if wait has been called
}
