//go:build !linux

package main

import (
	"errors"
	"runtime"
)

// useCores cannot keep the kernel's part of the work on a core here.
func useCores(n int) (undo func(), err error) {
	if n == runtime.NumCPU() {
		return func() {}, nil
	}
	return nil, errors.New("processors cannot be chosen on this system")
}
