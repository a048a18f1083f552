// Mutual is a DTLS server and a client for it that both show a certificate. The server
// lets in who has one from its authority and is on its list.
//
//	go run ./examples/mutual -make pki
//	go run ./examples/mutual -listen 127.0.0.1:22337 -ca pki/ca.pem -cert pki/server.pem -key pki/server-key.pem -allow client
//	go run ./examples/mutual -dial 127.0.0.1:22337 -ca pki/ca.pem -cert pki/client.pem -key pki/client-key.pem hello
//
// -make writes an authority's certificate, and a certificate and key each for a server on
// this machine and for two clients, "client" and "other", the second to be refused. They
// are for trying it: good for a month, and the authority's own key is not kept.
//
// The server sends every datagram back, with the client's name before it, until Ctrl-C.
// With DTLS 1.2 a client's certificate is sent in the clear.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
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

// serverConfig requires a certificate that one of the authorities has signed. That says
// who the client is; whether it may come in, VerifyConnection says by the subject.
func serverConfig(cert tls.Certificate, authorities *dtls.CertPool, allowed []string) *dtls.Config {
	return &dtls.Config{
		Certificates: []tls.Certificate{cert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    authorities,
		VerifyConnection: func(state dtls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errors.New("no certificate that can be read")
			}
			if name := state.PeerCertificates[0].Subject.CommonName; !slices.Contains(allowed, name) {
				return fmt.Errorf("%q is not on the list", name)
			}
			return nil
		},
		// Accept does not tell of those that were refused: the log does.
		Logger: slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// clientConfig shows a certificate to a server that has one from the same authorities, for
// the host that is dialed.
func clientConfig(cert tls.Certificate, authorities *dtls.CertPool) *dtls.Config {
	return &dtls.Config{
		Certificates:     []tls.Certificate{cert},
		RootCAs:          authorities,
		HandshakeTimeout: 10 * time.Second,
	}
}

// serve answers everybody who is let in, until the context ends.
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
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			break
		}
		if err != nil {
			return err
		}
		clients.Add(1)
		go func() {
			defer clients.Done()
			answer(conn.(*dtls.Conn))
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

// answer serves one client until it closes.
func answer(conn *dtls.Conn) {
	defer conn.Close()
	name := conn.ConnectionState().PeerCertificates[0].Subject.CommonName // VerifyConnection has seen it
	fmt.Printf("%v: %s\n", conn.RemoteAddr(), name)
	buf := make([]byte, dtls.MaxPayload)
	for {
		n, err := conn.Read(buf)
		if err == nil {
			_, err = conn.Write(fmt.Appendf(nil, "%s: %s", name, buf[:n]))
		}
		switch {
		case err == nil, errors.Is(err, dtls.ErrUnderlyingSocket): // not sent: as good as lost on the way
		case errors.Is(err, io.EOF):
			fmt.Printf("%v: closed by the client\n", conn.RemoteAddr())
			return
		default:
			fmt.Printf("%v: %v\n", conn.RemoteAddr(), err)
			return
		}
	}
}

// ask sends a text to a server and prints the answer.
func ask(ctx context.Context, address, text string, cfg *dtls.Config) error {
	conn, err := dtls.DialContext(ctx, "udp", address, cfg)
	if err != nil {
		return explain(err)
	}
	defer conn.Close()
	fmt.Println("server:", conn.ConnectionState().PeerCertificates[0].Subject)
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

// explain tells the two refusals apart: this side's and the server's.
func explain(err error) error {
	var objection dtls.VerificationError
	var alert *dtls.AlertError
	switch {
	case errors.As(err, &objection):
		return fmt.Errorf("the server's certificate is not accepted: %w", objection)
	case errors.As(err, &alert) && alert.Received:
		return fmt.Errorf("the server refuses: alert %v", alert.Number)
	}
	return err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "mutual: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	folder := flag.String("make", "", "write certificates and keys for trying it to this `folder`, and end")
	listen := flag.String("listen", "", "be a server on this `address`; port 0 takes any that is free")
	dial := flag.String("dial", "", "be a client of the server at this `address`, and send it the arguments")
	caFile := flag.String("ca", "", "PEM `file` with the certificates of the other side's authorities")
	certFile := flag.String("cert", "", "PEM `file` with this side's certificate and its chain")
	keyFile := flag.String("key", "", "PEM `file` with the certificate's private key")
	allow := flag.String("allow", "client", "server: common `names` that are let in, with commas between them")
	flag.Parse()
	if *folder != "" && *listen == "" && *dial == "" && flag.NArg() == 0 {
		return makeCertificates(*folder)
	}
	if *folder != "" || (*listen == "") == (*dial == "") || *listen != "" && flag.NArg() > 0 {
		return errors.New("one of -make FOLDER, -listen ADDRESS and -dial ADDRESS [TEXT] is needed; -h lists the flags")
	}
	if *caFile == "" || *certFile == "" || *keyFile == "" {
		return errors.New("-ca, -cert and -key are needed: -make FOLDER makes some")
	}
	text, err := os.ReadFile(*caFile)
	if err != nil {
		return err
	}
	authorities := dtls.NewCertPool()
	if err := authorities.AppendCertsFromPEM(text); err != nil {
		return fmt.Errorf("%s: %w", *caFile, err)
	}
	cert, err := tls.LoadX509KeyPair(*certFile, *keyFile)
	if err != nil {
		return err
	}
	if *listen != "" {
		return serve(ctx, *listen, serverConfig(cert, authorities, strings.Split(*allow, ",")))
	}
	question := strings.Join(flag.Args(), " ")
	if question == "" {
		question = "hello"
	}
	err = ask(ctx, *dial, question, clientConfig(cert, authorities))
	if ctx.Err() != nil {
		return nil // Ctrl-C
	}
	return err
}

// makeCertificates writes an authority, a server and two clients. It replaces no file.
func makeCertificates(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	authority := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "authority of the mutual example"},
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	caKey, err := issue(folder, "ca", authority, nil, nil)
	if err != nil {
		return err
	}
	_, err = issue(folder, "server", &x509.Certificate{
		Subject:     pkix.Name{CommonName: "server"},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, authority, caKey)
	for _, name := range []string{"client", "other"} {
		if err == nil {
			_, err = issue(folder, name, &x509.Certificate{
				Subject:     pkix.Name{CommonName: name},
				ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			}, authority, caKey)
		}
	}
	return err
}

// issue writes a certificate and, unless it is the authority's own, its key.
func issue(folder, name string, template, issuer *x509.Certificate, issuerKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, err
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(0, 1, 0)
	if issuer == nil {
		issuer, issuerKey = template, key
	} else {
		template.KeyUsage = x509.KeyUsageDigitalSignature
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), issuerKey)
	if err != nil {
		return nil, err
	}
	if err := write(folder, name+".pem", "CERTIFICATE", der, 0o644); err != nil || issuer == template {
		return key, err
	}
	if der, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return nil, err
	}
	return key, write(folder, name+"-key.pem", "PRIVATE KEY", der, 0o600)
}

func write(folder, name, kind string, der []byte, mode os.FileMode) error {
	path := filepath.Join(folder, name)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	err = pem.Encode(file, &pem.Block{Type: kind, Bytes: der})
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	fmt.Println("wrote", path)
	return err
}
