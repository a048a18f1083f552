// A heap for OpenSSL's large buffers, for programs that ask for it. They are far apart, so
// that what is never written to costs nothing. A connection's read buffer begins on the
// page where its SSL ends: all that small records touch. When a handshake is complete,
// those pages of its buffer go back to the system that hold only zeros, which OpenSSL has
// written there: they are read as zeros afterwards too.

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "shim_internal.h"

#ifdef __linux__

#include <sys/mman.h>
#include <unistd.h>

// A slot holds any of the buffers that a connection keeps; the address space is only
// reserved. What finds no place there comes from malloc, like all that is small.
enum { PAGE = 4096, SLOT = 6 * PAGE, SLOTS = 1 << 20, STEP = 256 };

typedef struct {
	const odtls_conn *owner; // whose handshake's buffer it is; NULL: something else, or free
	uint32_t next;           // of those that are free: its number; 0: the last
	uint16_t parts;          // blocks in it: 2 if an SSL has its read buffer with it
	uint16_t ssl;            // the size of the SSL in it; 0: there is none
} slot;

// Slots are numbered from 1 on; 0 is none.
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint8_t *base;   // of the slots; NULL: this heap is not in use
static slot *slots;     // what is known of each
static uint32_t opened; // how many may be used
static uint32_t used;   // how many ever were
static uint32_t vacant; // the first that is free
static long live;
static size_t least; // bytes that have a slot
static int pack;     // an SSL and its read buffer have one together

static _Thread_local odtls_conn *working; // the connection that this thread works for

// OpenSSL's names of its files are all that tells what a block is for. Where they are not
// built in, blocks have slots of their own and nothing else is done with them.
static int is_from(const char *file, const char *name) {
	size_t len = file != NULL ? strlen(file) : 0, name_len = strlen(name);

	return len >= name_len && strcmp(file + len - name_len, name) == 0;
}

// The handshake's buffer is the BUF_MEM of this size that its connection makes: room for
// SSL3_RT_MAX_PLAIN_LENGTH bytes, as BUF_MEM_grow rounds it up. No program shares it
// between threads, as it might other buffers that are made in between.
static int is_handshake_buffer(size_t size, const char *file) {
	return size == (SSL3_RT_MAX_PLAIN_LENGTH + 3) / 3 * 4 && is_from(file, "crypto/buffer/buffer.c");
}

static int is_ssl(size_t size, const char *file) {
	return size >= PAGE && size < SLOT - SSL3_RT_MAX_PLAIN_LENGTH && is_from(file, "ssl/ssl_lib.c");
}

static uint8_t *slot_at(uint32_t n) {
	return base + (size_t)(n - 1) * SLOT;
}

// The number of the slot that is at p, 0 if p is of another heap.
static uint32_t slot_of(const void *p) {
	size_t at = (size_t)((uintptr_t)p - (uintptr_t)base);

	return at < (size_t)SLOT * SLOTS ? (uint32_t)(at / SLOT) + 1 : 0;
}

// Called with the lock held, like the next one. 0: there is none left.
static uint32_t take_slot(void) {
	uint32_t n = vacant;

	if (n != 0) {
		vacant = slots[n].next;
		return n;
	}
	if (used == opened) {
		if (opened == SLOTS || mprotect(slot_at(opened + 1), (size_t)SLOT * STEP, PROT_READ | PROT_WRITE) != 0)
			return 0;
		opened += STEP;
	}
	return ++used;
}

// Returns a block in a slot, NULL if there is none for it.
static void *in_slot(size_t size, const char *file) {
	odtls_conn *c = working;
	uint32_t n = c != NULL ? c->ssl_slot : 0;

	if (n != 0 && is_from(file, "ssl/record/ssl3_buffer.c") && slots[n].ssl + size <= SLOT) {
		c->ssl_slot = 0;
		slots[n].parts = 2;
		return slot_at(n) + slots[n].ssl;
	}
	if ((n = take_slot()) == 0)
		return NULL;
	live++;
	slots[n].parts = 1;
	slots[n].ssl = 0;
	if (c != NULL && is_handshake_buffer(size, file)) {
		slots[n].owner = c;
		c->slot = n;
	} else if (c != NULL && is_ssl(size, file)) {
		slots[n].ssl = (uint16_t)((size + 15) / 16 * 16);
		c->ssl_slot = n;
	}
	return slot_at(n);
}

static void *heap_malloc(size_t size, const char *file, int line) {
	void *p;

	(void)line;
	if (size > SLOT || (size < least && !(working != NULL && pack && is_ssl(size, file))))
		return malloc(size);
	pthread_mutex_lock(&mutex);
	p = in_slot(size, file);
	pthread_mutex_unlock(&mutex);
	return p != NULL ? p : malloc(size);
}

static void heap_free(void *p, const char *file, int line) {
	uint32_t n = slot_of(p);
	int empty;

	(void)file;
	(void)line;
	if (n == 0) {
		free(p);
		return;
	}
	pthread_mutex_lock(&mutex);
	empty = --slots[n].parts == 0;
	slots[n].owner = NULL;
	pthread_mutex_unlock(&mutex);
	if (!empty)
		return;
	(void)madvise(slot_at(n), SLOT, MADV_DONTNEED);
	pthread_mutex_lock(&mutex);
	slots[n].next = vacant;
	vacant = n;
	live--;
	pthread_mutex_unlock(&mutex);
}

static void *heap_realloc(void *p, size_t size, const char *file, int line) {
	uint32_t n = slot_of(p);
	size_t room;
	void *fresh;

	if (p == NULL)
		return heap_malloc(size, file, line);
	if (n == 0)
		return realloc(p, size);
	if (size == 0) {
		heap_free(p, file, line);
		return NULL;
	}
	room = (size_t)(slot_at(n) + SLOT - (uint8_t *)p);
	if (size <= room && slots[n].ssl == 0)
		return p;
	if ((fresh = malloc(size)) == NULL)
		return NULL;
	memcpy(fresh, p, size < room ? size : room);
	heap_free(p, file, line);
	return fresh;
}

// Address space: nothing is taken up before it is written to.
static void *reserve(size_t size, int protection) {
	void *p = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p != MAP_FAILED ? p : NULL;
}

// OpenSSL refuses other functions only if its own have allocated something: those of
// somebody else may have too, and what they have allocated ours must not get.
static int is_untouched(void) {
	void *(*m)(size_t, const char *, int);
	void *(*r)(void *, size_t, const char *, int);
	void (*f)(void *, const char *, int);

	CRYPTO_get_mem_functions(&m, &r, &f);
	return m == CRYPTO_malloc && r == CRYPTO_realloc && f == CRYPTO_free;
}

int odtls_heap_use(void) {
	const size_t size = (size_t)SLOT * SLOTS, known = ((size_t)SLOTS + 1) * sizeof *slots;

	if (!is_untouched() || sysconf(_SC_PAGESIZE) != PAGE)
		return 0;
	slots = reserve(known, PROT_READ | PROT_WRITE);
	base = reserve(size, PROT_NONE);
	least = odtls_compat_heap_least();
	pack = least < SSL3_RT_MAX_PLAIN_LENGTH; // or the read buffer does not stay
	if (slots != NULL && base != NULL && CRYPTO_set_mem_functions(heap_malloc, heap_realloc, heap_free)) {
		// A huge page would be resident as a whole.
		(void)madvise(base, size, MADV_NOHUGEPAGE);
		return 1;
	}
	if (slots != NULL)
		(void)munmap(slots, known);
	if (base != NULL)
		(void)munmap(base, size);
	slots = NULL;
	base = NULL;
	return 0;
}

odtls_conn *odtls_heap_enter(odtls_conn *c) {
	odtls_conn *before = working;

	working = c;
	return before;
}

static int is_zero(const uint8_t *page) {
	return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

void odtls_heap_settle(odtls_conn *c) {
	const uint32_t n = c->slot;
	size_t at, start;
	uint8_t *p;
	int mine;

	if (n == 0)
		return;
	c->slot = 0;
	pthread_mutex_lock(&mutex);
	mine = slots[n].owner == c; // and remains so: only operations on c free it
	pthread_mutex_unlock(&mutex);
	if (!mine)
		return;
	p = slot_at(n);
	for (at = 0; at < SLOT; at += PAGE) {
		for (start = at; at < SLOT && is_zero(p + at);)
			at += PAGE;
		if (at > start)
			(void)madvise(p + start, at - start, MADV_DONTNEED);
	}
}

odtls_heap odtls_heap_read(void) {
	odtls_heap h = {0, 0};
	unsigned char resident[SLOT / PAGE];
	uint32_t n;
	size_t i;

	pthread_mutex_lock(&mutex);
	h.slots = live;
	for (n = 1; n <= used; n++) {
		if (mincore(slot_at(n), SLOT, resident) != 0)
			continue;
		for (i = 0; i < sizeof resident; i++)
			h.pages += resident[i] & 1;
	}
	pthread_mutex_unlock(&mutex);
	return h;
}

#else

int odtls_heap_use(void) {
	return 0;
}

odtls_conn *odtls_heap_enter(odtls_conn *c) {
	return c;
}

void odtls_heap_settle(odtls_conn *c) {
	(void)c;
}

odtls_heap odtls_heap_read(void) {
	odtls_heap h = {0, 0};

	return h;
}

#endif
