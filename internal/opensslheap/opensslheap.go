// Package opensslheap counts what OpenSSL holds in C's heap, to the byte, by the line of
// its source that has asked for it. Only tests and tools may import it.
//
// From the start of a program that imports it, OpenSSL's allocations go through functions
// of this package (CRYPTO_set_mem_functions), which is a matter of the whole process and
// therefore nothing for a library: that is why this use of C, like internal/faketime's, is
// apart from package openssl. The counts do not depend on the C library's allocator nor on
// the time, so that a test may assert them.
package opensslheap

/*
#cgo CFLAGS: -std=gnu11
#cgo !openssl_static pkg-config: libssl libcrypto

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#define OFF "OSSLDTLS_OPENSSLHEAP_OFF"

enum { SITES = 1 << 14 };

typedef struct {
	const char *file; // OpenSSL's own string, good for ever; NULL: free
	int line;
	long blocks, bytes; // live
	long made;          // ever
} site;

// Goes before each block. Its size keeps what follows aligned as malloc would.
typedef union {
	struct {
		site *site;
		size_t size;
	} of;
	max_align_t align;
} header;

static site sites[SITES];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int counting;

// The last one takes what finds no place.
static site *site_of(const char *file, int line) {
	size_t i = ((size_t)file / 8 + (size_t)line * 31) % (SITES - 1), tries;

	for (tries = 0; tries < SITES - 1; tries++, i = (i + 1) % (SITES - 1)) {
		if (sites[i].file == NULL) {
			sites[i].file = file;
			sites[i].line = line;
		}
		if (sites[i].file == file && sites[i].line == line)
			return &sites[i];
	}
	sites[SITES - 1].file = "elsewhere";
	return &sites[SITES - 1];
}

static void count(header *h, int sign) {
	h->of.site->blocks += sign;
	h->of.site->bytes += sign * (long)h->of.size;
}

static void *count_malloc(size_t size, const char *file, int line) {
	header *h = malloc(sizeof *h + size);

	if (h == NULL)
		return NULL;
	pthread_mutex_lock(&mutex);
	h->of.site = site_of(file != NULL ? file : "unknown", line);
	h->of.size = size;
	h->of.site->made++;
	count(h, 1);
	pthread_mutex_unlock(&mutex);
	return h + 1;
}

static void count_free(void *p, const char *file, int line) {
	header *h = p;

	(void)file;
	(void)line;
	if (p == NULL)
		return;
	h--;
	pthread_mutex_lock(&mutex);
	count(h, -1);
	pthread_mutex_unlock(&mutex);
	free(h);
}

static void *count_realloc(void *p, size_t size, const char *file, int line) {
	header *old = (header *)p - 1;
	void *fresh;

	if (p == NULL)
		return count_malloc(size, file, line);
	if (size == 0) {
		count_free(p, file, line);
		return NULL;
	}
	if ((fresh = count_malloc(size, file, line)) == NULL)
		return NULL;
	memcpy(fresh, p, size < old->of.size ? size : old->of.size);
	count_free(p, file, line);
	return fresh;
}

// Before main, since OpenSSL accepts no functions once it has allocated anything.
__attribute__((constructor)) static void begin(void) {
	if (getenv(OFF) == NULL)
		counting = CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free);
}

static int is_counting(void) {
	return counting;
}

static site site_at(int i) {
	site s;

	pthread_mutex_lock(&mutex);
	s = sites[i];
	pthread_mutex_unlock(&mutex);
	return s;
}
*/
import "C"

import (
	"strings"

	// States how the program links with OpenSSL.
	_ "github.com/ossldtls/ossldtls"
)

// Off is the variable of the environment with which nothing is counted: for a test that
// starts itself once more.
const Off = C.OFF

// Site is a line of OpenSSL's source that allocates.
type Site struct {
	File string // from the top of OpenSSL's source, as in "ssl/record/ssl3_buffer.c"
	Line int
}

// Held is what a Site has allocated.
type Held struct {
	Blocks, Bytes int64 // that are live, as OpenSSL has asked for them
	Made          int64 // blocks, ever
}

// Counting reports whether OpenSSL's allocations are counted. They are not if something
// else in the process has been earlier.
func Counting() bool { return C.is_counting() != 0 }

// Read returns the counts of this moment. It may be called concurrently.
func Read() map[Site]Held {
	held := map[Site]Held{}
	for i := range C.SITES {
		s := C.site_at(C.int(i))
		if s.file == nil {
			continue
		}
		file := C.GoString(s.file)
		for strings.HasPrefix(file, "../") {
			file = file[len("../"):]
		}
		at := Site{file, int(s.line)}
		h := held[at]
		h.Blocks += int64(s.blocks)
		h.Bytes += int64(s.bytes)
		h.Made += int64(s.made)
		held[at] = h
	}
	return held
}

// Since returns what has been added to the live counts of before.
func Since(before map[Site]Held) map[Site]Held {
	added := map[Site]Held{}
	for at, h := range Read() {
		b := before[at]
		if d := (Held{h.Blocks - b.Blocks, h.Bytes - b.Bytes, h.Made - b.Made}); d.Blocks != 0 || d.Bytes != 0 {
			added[at] = d
		}
	}
	return added
}
