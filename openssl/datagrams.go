package openssl

/*
#include "shim.h"
*/
import "C"

import (
	"iter"
	"slices"
	"unsafe"
)

// Datagrams collects datagrams, or the payloads of records, back to back in one
// buffer. Operations append to it; nothing is allocated once it has grown to what
// its use needs. The zero value is empty and ready to use. It must not be used
// concurrently.
type Datagrams struct {
	buf  []byte
	ends []int32 // where in buf each datagram ends
}

// Reset empties d and keeps its memory. Slices handed out before are overwritten by
// what is appended next.
func (d *Datagrams) Reset() {
	d.buf = d.buf[:0]
	d.ends = d.ends[:0]
}

// Len returns the number of datagrams.
func (d *Datagrams) Len() int { return len(d.ends) }

// At returns datagram i. The slice belongs to d and is valid until its Reset.
func (d *Datagrams) At(i int) []byte {
	start := int32(0)
	if i > 0 {
		start = d.ends[i-1]
	}
	return d.buf[start:d.ends[i]:d.ends[i]]
}

// All returns the datagrams in their order. The slices belong to d, as in [Datagrams.At].
func (d *Datagrams) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range d.ends {
			if !yield(d.At(i)) {
				return
			}
		}
	}
}

// Bytes returns all datagrams back to back, without anything between them. The
// slice belongs to d, as in [Datagrams.At].
func (d *Datagrams) Bytes() []byte { return d.buf }

// Ends returns where each datagram ends in Bytes. The slice belongs to d, as in
// [Datagrams.At].
func (d *Datagrams) Ends() []int32 { return d.ends }

// Append adds a copy of a datagram.
func (d *Datagrams) Append(datagram []byte) {
	d.buf = append(d.buf, datagram...)
	d.ends = append(d.ends, int32(len(d.buf)))
}

// Grow makes room for count more datagrams of together size bytes.
func (d *Datagrams) Grow(size, count int) {
	d.buf = slices.Grow(d.buf, size)
	d.ends = slices.Grow(d.ends, count)
}

// sink lends d's free room to a C function until it returns.
func (d *Datagrams) sink() C.odtls_sink {
	return C.odtls_sink{
		buf:      (*C.uint8_t)(unsafe.SliceData(d.buf)),
		used:     C.size_t(len(d.buf)),
		cap:      C.size_t(cap(d.buf)),
		ends:     (*C.int32_t)(unsafe.SliceData(d.ends[len(d.ends):cap(d.ends)])),
		ends_cap: C.int32_t(cap(d.ends) - len(d.ends)),
	}
}

// filled takes over what a C function has written into the sink.
func (d *Datagrams) filled(used C.size_t, n C.int32_t) {
	d.buf = d.buf[:used]
	d.ends = d.ends[:len(d.ends)+int(n)]
}

// room makes sure that the usual operation finds space: size bytes and count datagrams.
func (d *Datagrams) room(size, count int) {
	if cap(d.buf)-len(d.buf) < size || cap(d.ends)-len(d.ends) < count {
		d.Grow(size, count)
	}
}
