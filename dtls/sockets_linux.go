package dtls

import (
	"context"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenPackets opens sockets that share an address; what one peer sends comes to one of
// them, always the same.
func listenPackets(network, address string, count int) ([]net.PacketConn, error) {
	var config net.ListenConfig
	if count > 1 {
		config.Control = func(_, _ string, raw syscall.RawConn) (err error) {
			failed := raw.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			})
			if failed != nil {
				return failed
			}
			return os.NewSyscallError("setsockopt SO_REUSEPORT", err)
		}
	}
	var pcs []net.PacketConn
	for range count {
		pc, err := config.ListenPacket(context.Background(), network, address)
		if err != nil {
			for _, pc := range pcs {
				_ = pc.Close()
			}
			return nil, err
		}
		pcs = append(pcs, pc)
		address = pc.LocalAddr().String() // the port, if it was a free one
	}
	return pcs, nil
}
