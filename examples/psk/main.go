// Psk is a DTLS server and a client for it that prove who they are by a pre-shared key:
// no certificates, no authorities, no clocks.
//
//	key=$(openssl rand -hex 16)
//	go run ./examples/psk -listen 127.0.0.1:22336 -identity "device 7" -key $key
//	go run ./examples/psk -dial 127.0.0.1:22336 -identity "device 7" -key $key hello
//
// The identity travels in the clear; the key never travels. A server that does not know
// the identity ends the handshake. With a wrong key neither side can decrypt what the
// other sends, so that both hear nothing and give up after the handshake time-out.
//
// The server sends every datagram back, with the client's identity before it, until
// Ctrl-C.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ossldtls/ossldtls/dtls"
)

// ciphers are the suites with a pre-shared key and ephemeral keys besides: who learns the
// key later cannot read what was said before. There are none with certificates among
// them, so that the key is the only way in.
const ciphers = "kECDHEPSK+CHACHA20:kDHEPSK+AESGCM:kDHEPSK+CHACHA20"

const (
	patience = time.Second     // for an answer, before the question is sent again
	attempts = 5               // to get one
	grace    = 3 * time.Second // for the clients of a server that ends
)

// serverConfig lets in the clients whose keys it has.
func serverConfig(keys map[string][]byte) *dtls.Config {
	return &dtls.Config{
		CipherList:      ciphers,
		PSKIdentityHint: "the psk example", // for clients that have several keys
		PSK: func(psk *dtls.PSK) error {
			key, known := keys[string(psk.Identity)]
			if !known {
				return fmt.Errorf("no key for identity %q", psk.Identity)
			}
			psk.PreSharedKey = key
			return nil
		},
	}
}

// clientConfig answers the server, which asks for an identity and its key.
func clientConfig(identity string, key []byte, timeout time.Duration) *dtls.Config {
	return &dtls.Config{
		CipherList:       ciphers,
		HandshakeTimeout: timeout,
		PSK: func(psk *dtls.PSK) error {
			fmt.Printf("the server's hint: %q\n", psk.IdentityHint)
			psk.Identity, psk.PreSharedKey = []byte(identity), key
			return nil
		},
	}
}

// serve answers everybody until the context ends.
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
	state := conn.ConnectionState()
	fmt.Printf("%v: identity %q, %s\n", conn.RemoteAddr(), state.PSKIdentity, state.Cipher.Name)
	buf := make([]byte, dtls.MaxPayload)
	for {
		n, err := conn.Read(buf)
		if err == nil {
			_, err = conn.Write(fmt.Appendf(nil, "%s: %s", state.PSKIdentity, buf[:n]))
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
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w (is the server there, and is the key right?)", err)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	state := conn.ConnectionState()
	fmt.Printf("identity %q, %s\n", state.PSKIdentity, state.Cipher.Name)
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
		fmt.Fprintf(os.Stderr, "psk: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	listen := flag.String("listen", "", "be a server on this `address`; port 0 takes any that is free")
	dial := flag.String("dial", "", "be a client of the server at this `address`, and send it the arguments")
	identity := flag.String("identity", "device 7", "what the client calls itself")
	keyHex := flag.String("key", "", "the key that belongs to the identity, in `hex`")
	timeout := flag.Duration("handshake-timeout", 10*time.Second, "client: give up a handshake that takes longer")
	flag.Parse()
	key, err := hex.DecodeString(*keyHex)
	if err != nil || len(key) == 0 {
		return errors.New("-key is needed, an even number of hexadecimal digits: openssl rand -hex 16 makes one")
	}
	switch {
	case *listen != "" && *dial == "" && flag.NArg() == 0:
		return serve(ctx, *listen, serverConfig(map[string][]byte{*identity: key}))
	case *dial != "" && *listen == "":
		text := strings.Join(flag.Args(), " ")
		if text == "" {
			text = "hello"
		}
		err := ask(ctx, *dial, text, clientConfig(*identity, key, *timeout))
		if ctx.Err() != nil {
			return nil // Ctrl-C
		}
		return err
	}
	return errors.New("either -listen ADDRESS or -dial ADDRESS [TEXT] is needed; -h lists the flags")
}
