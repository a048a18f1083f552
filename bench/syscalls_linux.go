package main

import (
	"encoding/binary"
	"errors"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tracepoints are where the kernel tells by which number it knows the entry of a system
// call, if that file system is mounted.
var tracepoints = []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}

func systemCallEvent() (id uint64, err error) {
	for _, dir := range tracepoints {
		var text []byte
		if text, err = os.ReadFile(dir + "/events/raw_syscalls/sys_enter/id"); err == nil {
			return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
		}
	}
	return 0, err
}

// noSystemCalls says why system calls cannot be counted; "" if they can.
func noSystemCalls() string {
	fds, err := openSystemCalls()
	closeAll(fds)
	if err != nil {
		return err.Error() + "; it needs root and tracefs: mount -t tracefs none /sys/kernel/tracing"
	}
	return ""
}

// countSystemCalls counts those of all threads of this process, until it is asked how many;
// that is NaN where the system does not tell.
func countSystemCalls() (stop func() float64) {
	fds, err := openSystemCalls()
	return func() float64 {
		defer closeAll(fds)
		if err != nil {
			return none
		}
		sum := uint64(0)
		for _, fd := range fds {
			var count [8]byte
			if _, err := unix.Read(fd, count[:]); err != nil {
				return none
			}
			sum += binary.NativeEndian.Uint64(count[:])
		}
		return float64(sum)
	}
}

// openSystemCalls returns a counter for each thread there is; threads made later are
// counted with the one that made them.
func openSystemCalls() (fds []int, err error) {
	id, err := systemCallEvent()
	if err != nil {
		return nil, err
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil, err
	}
	attr := &unix.PerfEventAttr{Type: unix.PERF_TYPE_TRACEPOINT, Config: id, Bits: unix.PerfBitInherit}
	attr.Size = uint32(unsafe.Sizeof(*attr))
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		if err != nil {
			continue
		}
		fd, err := unix.PerfEventOpen(attr, tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if errors.Is(err, unix.ESRCH) { // it has ended
			continue
		}
		if err != nil {
			closeAll(fds)
			return nil, os.NewSyscallError("perf_event_open", err)
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
