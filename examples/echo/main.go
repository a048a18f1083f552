// Echo is a DTLS server that sends back what it gets, and a client for it.
//
//	go run ./examples/echo -listen 127.0.0.1:22335 -write-ca ca.pem
//	go run ./examples/echo -dial 127.0.0.1:22335 -ca ca.pem hello
//
// Without -cert and -key the server makes a certificate for itself, which is good for a
// day and whose key is gone with the program. -write-ca writes it for the -ca of clients.
// -insecure is for clients that have no such file: they talk to anybody. Both sides print
// the certificate's SHA-256 fingerprint, so that a person can compare them.
//
// The server ends with Ctrl-C: it takes nobody in any more, and waits a while for the
// clients that are connected before it closes what is left.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ossldtls/ossldtls/dtls"
)

const (
	patience = time.Second     // for an answer, before the question is sent again
	attempts = 5               // to get one
	grace    = 3 * time.Second // for the clients of a server that ends
)

// serve sends every datagram back to where it came from, until the context ends.
func serve(ctx context.Context, address string, cfg *dtls.Config) error {
	listener, err := dtls.Listen("udp", address, cfg)
	if err != nil {
		return err
	}
	fmt.Println("listening on", listener.Addr())
	ended := make(chan error, 1)
	go func() {
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		ended <- listener.Shutdown(late)
	}()
	var clients sync.WaitGroup
	for {
		conn, err := listener.Accept() // of a client whose handshake is complete
		if errors.Is(err, net.ErrClosed) {
			break
		}
		if err != nil {
			return err
		}
		clients.Add(1)
		go func() {
			defer clients.Done()
			fmt.Printf("%v: %v\n", conn.RemoteAddr(), echo(conn))
		}()
	}
	err = <-ended
	clients.Wait()
	if errors.Is(err, context.DeadlineExceeded) {
		fmt.Println("not every client has closed by itself")
		err = nil
	}
	return err
}

// echo serves one client until it closes, and returns how that went, in words.
func echo(conn net.Conn) string {
	defer conn.Close()
	buf := make([]byte, dtls.MaxPayload)
	for count := 0; ; count++ {
		n, err := conn.Read(buf) // one datagram
		if err == nil {
			_, err = conn.Write(buf[:n])
		}
		switch {
		case err == nil, errors.Is(err, dtls.ErrUnderlyingSocket): // not sent: as good as lost on the way
		case errors.Is(err, io.EOF):
			return fmt.Sprintf("%d echoed, then closed by the client", count)
		default:
			return fmt.Sprintf("%d echoed, then %v", count, err)
		}
	}
}

// ask sends a text to a server and prints the answer.
func ask(ctx context.Context, address, text string, cfg *dtls.Config) error {
	conn, err := dtls.DialContext(ctx, "udp", address, cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	state := conn.ConnectionState()
	fmt.Printf("%s, %s, certificate %s\n", dtls.VersionName(state.Version), state.Cipher.Name, fingerprint(state.RawPeerCertificates[0]))
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	buf := make([]byte, dtls.MaxPayload)
	for range attempts { // datagrams may be lost
		if _, err := conn.Write([]byte(text)); err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		n, err := conn.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err == nil {
			fmt.Printf("answer: %q\n", buf[:n])
		}
		return err
	}
	return errors.New("no answer")
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "echo: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	listen := flag.String("listen", "", "be a server on this `address`; port 0 takes any that is free")
	dial := flag.String("dial", "", "be a client of the server at this `address`, and send it the arguments")
	caFile := flag.String("ca", "", "client: PEM `file` with the certificates to trust; empty: the machine's")
	insecure := flag.Bool("insecure", false, "client: trust anybody")
	certFile := flag.String("cert", "", "server: PEM `file` with the certificate and its chain; empty: made for the moment")
	keyFile := flag.String("key", "", "server: PEM `file` with the certificate's private key")
	writeCA := flag.String("write-ca", "", "server: `file` to write the certificate made for the moment to, for -ca of clients")
	flag.Parse()
	cfg := &dtls.Config{InsecureSkipVerify: *insecure, HandshakeTimeout: 10 * time.Second}
	switch {
	case (*certFile == "") != (*keyFile == ""):
		return errors.New("-cert and -key belong together")
	case *certFile != "" && *writeCA != "":
		return errors.New("-write-ca is for a certificate made for the moment, without -cert")
	case *listen != "" && *dial == "" && flag.NArg() == 0:
		cert, err := certificate(*certFile, *keyFile, *listen)
		if err != nil {
			return err
		}
		cfg.Certificates = []tls.Certificate{cert}
		if *writeCA != "" {
			text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
			if err := os.WriteFile(*writeCA, text, 0o644); err != nil {
				return err
			}
		}
		fmt.Println("certificate", fingerprint(cert.Certificate[0]))
		return serve(ctx, *listen, cfg)
	case *dial != "" && *listen == "":
		if *caFile != "" {
			text, err := os.ReadFile(*caFile)
			if err != nil {
				return err
			}
			cfg.RootCAs = dtls.NewCertPool()
			if err := cfg.RootCAs.AppendCertsFromPEM(text); err != nil {
				return err
			}
		}
		text := strings.Join(flag.Args(), " ")
		if text == "" {
			text = "hello"
		}
		err := ask(ctx, *dial, text, cfg)
		if ctx.Err() != nil {
			return nil // Ctrl-C
		}
		return err
	}
	return errors.New("either -listen ADDRESS or -dial ADDRESS [TEXT] is needed; -h lists the flags")
}

// certificate reads a certificate, or makes one for the host of the address and for this
// machine, which signs itself.
func certificate(certFile, keyFile, address string) (tls.Certificate, error) {
	if certFile != "" {
		return tls.LoadX509KeyPair(certFile, keyFile)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "ossldtls echo"},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	host, _, _ := net.SplitHostPort(address)
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = append(template.IPAddresses, ip)
	} else if host != "" {
		template.DNSNames = append(template.DNSNames, host)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// fingerprint is what a person compares.
func fingerprint(der []byte) string { return fmt.Sprintf("SHA-256 %x", sha256.Sum256(der)) }
