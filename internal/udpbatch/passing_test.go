//go:build unix

package udpbatch

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPassing(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{
		{syscall.ECONNREFUSED, true},
		{syscall.EHOSTUNREACH, true},
		{syscall.ENETUNREACH, true},
		{syscall.ENETDOWN, true},
		{syscall.EMSGSIZE, true},
		{syscall.ENOBUFS, true},
		{syscall.EPERM, true},
		{syscall.EACCES, true},
		{syscall.EPROTO, true},
		{syscall.EINTR, true},
		{syscall.EAGAIN, true},
		{os.ErrDeadlineExceeded, true},
		{fmt.Errorf("a program's own: %w", os.ErrDeadlineExceeded), true},

		{nil, false},
		{io.EOF, false},
		{net.ErrClosed, false},
		{fmt.Errorf("%w: %w", net.ErrClosed, os.ErrDeadlineExceeded), false},
		{io.ErrNoProgress, false},
		{io.ErrShortWrite, false},
		{errors.New("unknown"), false},
		{syscall.EBADF, false},
		{syscall.ENOTSOCK, false},
		{syscall.EINVAL, false},
	} {
		assert.Equal(t, test.want, Passing(test.err), "%v", test.err)
		if test.err != nil {
			wrapped := &net.OpError{Op: "read", Net: "udp", Err: os.NewSyscallError("recvmsg", test.err)}
			assert.Equal(t, test.want, Passing(wrapped), "%v", wrapped)
		}
	}
}
