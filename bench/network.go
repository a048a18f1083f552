package main

import (
	"net"
	"net/netip"
)

// socketBuffer is how much every server's socket may hold, whoever it belongs to.
const socketBuffer = 4 << 20

// handler gets what a server has received; the payload is good until it returns.
type handler func(payload []byte, answer func([]byte))

// network is a contender on sockets: a server that hands what it receives to a handler, and
// clients.
type network struct {
	name   string
	listen func(h handler) (addr string, closing func(), err error)
	dial   func(addr string) (net.Conn, error)
	// batches says that its clients send several datagrams in one call.
	batches bool
	// counts returns how many HelloVerifyRequests the server has sent, and how many
	// connections it has; nil: it does not tell.
	counts func() (cookies uint64, open int)
}

// acceptAll serves each connection on a goroutine of its own.
func acceptAll(l net.Listener, h handler) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go serveConn(c, h)
	}
}

func serveConn(c net.Conn, h handler) {
	defer c.Close()
	buf := make([]byte, 2048)
	answer := func(b []byte) { _, _ = c.Write(b) }
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		h(buf[:n], answer)
	}
}

// udpName is that contender's.
const udpName = "UDP"

// plainUDP is sockets without DTLS: one for the server, one for each client.
func plainUDP() *network {
	return &network{
		name: udpName,
		listen: func(h handler) (string, func(), error) {
			sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				return "", nil, err
			}
			_ = sock.SetReadBuffer(socketBuffer)
			go servePlain(sock, h)
			return sock.LocalAddr().String(), func() { _ = sock.Close() }, nil
		},
		dial: func(addr string) (net.Conn, error) { return net.Dial("udp4", addr) },
	}
}

func servePlain(sock *net.UDPConn, h handler) {
	buf := make([]byte, 2048)
	var peer netip.AddrPort
	answer := func(b []byte) { _, _ = sock.WriteToUDPAddrPort(b, peer) }
	for {
		var n int
		var err error
		if n, peer, err = sock.ReadFromUDPAddrPort(buf); err != nil {
			return
		}
		h(buf[:n], answer)
	}
}
