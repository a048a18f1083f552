package dtls

import (
	"context"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenPackets opens sockets that share an address; what one peer sends comes to one of
// them, always the same. The first is bound as if it were alone, so that it gets no
// address which anybody has already, this program's other listeners included.
func listenPackets(network, address string, count int) (pcs []net.PacketConn, err error) {
	defer func() {
		if err != nil {
			for _, pc := range pcs {
				_ = pc.Close()
			}
			pcs = nil
		}
	}()
	first, err := net.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	pcs = append(pcs, first)
	if count == 1 {
		return pcs, nil
	}
	raw, err := first.(*net.UDPConn).SyscallConn()
	if err != nil {
		return pcs, err
	}
	if err := share(network, "", raw); err != nil {
		return pcs, err
	}
	config := net.ListenConfig{Control: share}
	for range count - 1 {
		pc, err := config.ListenPacket(context.Background(), network, first.LocalAddr().String())
		if err != nil {
			return pcs, err
		}
		pcs = append(pcs, pc)
	}
	return pcs, nil
}

// share allows others on the socket's address.
func share(_, _ string, raw syscall.RawConn) (err error) {
	if failed := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}); failed != nil {
		return failed
	}
	return os.NewSyscallError("setsockopt SO_REUSEPORT", err)
}
