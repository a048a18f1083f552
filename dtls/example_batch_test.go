package dtls_test

import (
	"crypto/tls"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/ossldtls/ossldtls/dtls"
)

// Several datagrams in one call, both ways. To send and receive them one by one, a Write
// right after another, costs little more.
func ExampleConn_WriteBatch() {
	cert, roots := selfSigned()
	listener, err := listen("127.0.0.1:0", cert)
	check(err)
	defer listener.Close()
	conn, err := dtls.Dial("udp", listener.Addr().String(), &dtls.Config{RootCAs: roots, ServerName: "localhost"})
	check(err)
	defer conn.Close()

	n, err := conn.WriteBatch([][]byte{[]byte("one"), []byte("two"), []byte("three")})
	check(err)
	fmt.Println(n, "sent")

	bufs, sizes := make([][]byte, 8), make([]int, 8)
	for i := range bufs {
		bufs[i] = make([]byte, conn.MaxDatagramSize())
	}
	for got := 0; got < 3; {
		n, err := conn.ReadBatch(bufs, sizes) // as many as are there
		check(err)
		for i := range n {
			fmt.Printf("%s\n", bufs[i][:sizes[i]])
		}
		got += n
	}
	// Output:
	// 3 sent
	// one
	// two
	// three
}

// A server with a socket for each of two cores.
func ExampleConfig_sockets() {
	cert, roots := selfSigned()
	listener, err := dtls.Listen("udp", "127.0.0.1:0", &dtls.Config{Certificates: []tls.Certificate{cert}, Sockets: 2})
	check(err)
	defer listener.Close()
	go func() {
		_ = listener.Serve(dtls.Handler{Datagram: func(c *dtls.Conn, datagram []byte) { _, _ = c.Write(datagram) }})
	}()
	var clients sync.WaitGroup
	var answered atomic.Int32
	for range 10 {
		clients.Add(1)
		go func() {
			defer clients.Done()
			conn, err := dtls.Dial("udp", listener.Addr().String(), &dtls.Config{RootCAs: roots, ServerName: "localhost"})
			check(err)
			defer conn.Close()
			_, err = conn.Write([]byte("hello"))
			check(err)
			_, err = conn.Read(make([]byte, 100))
			check(err)
			answered.Add(1)
		}()
	}
	clients.Wait()
	fmt.Println(answered.Load(), "answered")
	// Output:
	// 10 answered
}
