package dtls

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/ossldtls/ossldtls/internal/dgramtest"
)

// What x/net asks of every net.Conn. It sends eight megabytes and wants all of them
// back, which only a network without loss can do, and a queue that holds them.
func TestNetConn(t *testing.T) {
	clientCfg, serverCfg := pskConfigs()
	clientCfg.Limits.ReceiveQueue, serverCfg.Limits.ReceiveQueue = 64<<20, 64<<20
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		network := dgramtest.NewNetwork(1)
		a, b := network.Listen(clientAddr), network.Listen(serverAddr)
		client, err := Client(a, b.LocalAddr(), clientCfg)
		if err != nil {
			return nil, nil, nil, err
		}
		server, err := Server(b, a.LocalAddr(), serverCfg)
		if err != nil {
			return nil, nil, nil, err
		}
		return client, server, func() {
			_ = client.Close()
			_ = server.Close()
		}, nil
	})
}
