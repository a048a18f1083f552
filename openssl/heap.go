package openssl

/*
#include "shim.h"
*/
import "C"

import (
	"os"
	"runtime"
)

// UsePagedHeap has OpenSSL allocate the large buffers of connections in a heap of their
// own, where only what has been written to takes up memory, and pages that a handshake has
// left full of zeros are given back. With OpenSSL 3.0 that saves two fifths of an idle
// connection's resident memory, and a handshake costs some page faults more; docs/memory.md
// has the figures.
//
// It is for the main function of a server with very many peers, before anything else that
// uses OpenSSL: from then on all of OpenSSL's allocations in the process go through this
// package, also those for other libraries, which is why nothing here does it by itself. It
// cannot be undone. 24 GB of address space are reserved, which count against a limit of
// that (ulimit -v), not against memory.
//
// It fails, and changes nothing, where OpenSSL has allocated anything before or has been
// given functions for that, on systems other than Linux, and where pages are not of 4096
// bytes. Corresponds to
// CRYPTO_set_mem_functions.
func UsePagedHeap() error {
	const op = "paged heap"
	switch {
	case runtime.GOOS != "linux":
		return usageError(op, "there is none on this system")
	case os.Getpagesize() != 4096:
		return usageError(op, "pages are not of 4096 bytes here")
	case C.odtls_heap_use() == 0:
		return usageError(op, "it is too late: OpenSSL has been used, or others allocate for it, or no address space is left")
	}
	return nil
}

// pagedHeap is what the heap of UsePagedHeap holds.
type pagedHeap struct {
	slots int // of up to 24 KB, in use
	pages int // of them that are resident
}

func readPagedHeap() pagedHeap {
	h := C.odtls_heap_read()
	return pagedHeap{int(h.slots), int(h.pages)}
}
