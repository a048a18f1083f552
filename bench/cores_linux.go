package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// useCores keeps all of this process on the first n of its processors until undo is called.
func useCores(n int) (undo func(), err error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return nil, err
	}
	if all.Count() < n {
		return nil, fmt.Errorf("this process has only %d processors", all.Count())
	}
	var some unix.CPUSet
	for cpu := 0; some.Count() < n; cpu++ {
		if all.IsSet(cpu) {
			some.Set(cpu)
		}
	}
	procs := runtime.GOMAXPROCS(n)
	if err := setAffinity(&some); err != nil {
		runtime.GOMAXPROCS(procs)
		return nil, err
	}
	return func() {
		_ = setAffinity(&all)
		runtime.GOMAXPROCS(procs)
	}, nil
}

// setAffinity is for each thread there is; threads made later have it from those.
func setAffinity(set *unix.CPUSet) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		if err != nil {
			continue
		}
		if err := unix.SchedSetaffinity(tid, set); err != nil && err != unix.ESRCH {
			return err
		}
	}
	return nil
}
