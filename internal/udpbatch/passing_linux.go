package udpbatch

import "golang.org/x/sys/unix"

// passingHere is what only this system answers: ICMP "source host isolated" and "source
// route failed".
var passingHere = []error{unix.ENONET, unix.EOPNOTSUPP}
