package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"
)

// Those of threads that are made meanwhile count too.
func TestCountSystemCalls(t *testing.T) {
	if why := noSystemCalls(); why != "" {
		t.Skip(why)
	}
	const each = 1000
	stop := countSystemCalls()
	done := make(chan struct{})
	for range 8 {
		go func() {
			for range each {
				unix.Getppid()
			}
			done <- struct{}{}
		}()
	}
	for range 8 {
		<-done
	}
	count := stop()
	assert.GreaterOrEqual(t, count, 8.0*each)
	assert.Less(t, count, 9.0*each)
}
