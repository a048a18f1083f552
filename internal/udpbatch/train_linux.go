package udpbatch

import (
	"errors"

	"golang.org/x/sys/unix"
)

// aboutTrain tells whether an error is about what was sent together: too large for the
// path, or for the kernel.
func aboutTrain(err error) bool { return errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.EINVAL) }
