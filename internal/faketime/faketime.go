//go:build linux

// Package faketime moves the clock that libssl reads for its retransmission timers,
// so that tests of time-outs are exact and take no time. Only tests may import it.
//
// libssl calls gettimeofday. The definition here, in the executable, goes before the
// C library's; Go itself reads the kernel's clock and is not affected. That is also
// why it cannot live in package openssl: it would be in every program.
package faketime

/*
// The C library's header cannot be used: its prototype has attributes of its own.
struct timeval_here { long sec, usec; };
struct timespec_here { long sec, nsec; };
int clock_gettime(int clock, struct timespec_here *t);

static long long offset_us;

int gettimeofday(struct timeval_here *tv, void *zone) {
	struct timespec_here t;
	long long us;

	(void)zone;
	clock_gettime(0, &t);
	us = (long long)t.sec * 1000000 + t.nsec / 1000 + __atomic_load_n(&offset_us, __ATOMIC_SEQ_CST);
	tv->sec = (long)(us / 1000000);
	tv->usec = (long)(us % 1000000);
	return 0;
}

static long long calendar_s;

// The calendar that libcrypto looks at, for certificates. libssl 3.0 looks at it for
// the age of sessions, later ones do not.
long time(long *t) {
	struct timespec_here now;

	clock_gettime(0, &now);
	now.sec += (long)__atomic_load_n(&calendar_s, __ATOMIC_SEQ_CST);
	if (t != 0)
		*t = now.sec;
	return now.sec;
}

static void turn(long long s) {
	__atomic_add_fetch(&calendar_s, s, __ATOMIC_SEQ_CST);
}

static void advance(long long us) {
	__atomic_add_fetch(&offset_us, us, __ATOMIC_SEQ_CST);
}
*/
import "C"

import "time"

// Advance moves libssl's clock forward by d.
func Advance(d time.Duration) {
	C.advance(C.longlong(d.Microseconds()))
}

// TurnCalendar moves the calendar by d, in whole seconds, by which libcrypto tells
// whether a certificate has expired. It is to be turned back at the end of a test.
func TurnCalendar(d time.Duration) {
	C.turn(C.longlong(d / time.Second))
}
