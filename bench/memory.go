package main

import (
	"fmt"
	"os"
	"runtime/debug"
)

// resident returns the resident memory of this process in bytes, after a garbage
// collection; 0 where the system does not tell.
func resident() int64 {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
