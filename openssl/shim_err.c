// OpenSSL's error queue belongs to a thread and goroutines move between threads,
// so every operation empties it before it returns.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim_internal.h"

atomic_long odtls_stale;

void odtls_err_begin(void) {
	if (ERR_peek_error() != 0) {
		atomic_fetch_add(&odtls_stale, 1);
		ERR_clear_error();
	}
}

static void copy(char *to, size_t cap, const char *from) {
	snprintf(to, cap, "%s", from != NULL ? from : "");
}

odtls_errs *odtls_err_drain(void) {
	odtls_errs *errs = NULL;
	const char *file, *func, *data;
	int line, flags;
	unsigned long code;

	while ((code = odtls_compat_get_error(&file, &line, &func, &data, &flags)) != 0) {
		odtls_err *e;

		if (errs == NULL && (errs = calloc(1, sizeof *errs)) == NULL)
			break;
		if (errs->n == (int)(sizeof errs->e / sizeof errs->e[0]))
			break;
		e = &errs->e[errs->n++];
		e->code = code;
		e->line = line;
		copy(e->lib, sizeof e->lib, ERR_lib_error_string(code));
		copy(e->reason, sizeof e->reason, ERR_reason_error_string(code));
		copy(e->fun, sizeof e->fun, func);
		copy(e->file, sizeof e->file, file);
		copy(e->data, sizeof e->data, (flags & ERR_TXT_STRING) ? data : NULL);
	}
	ERR_clear_error();
	return errs;
}

void odtls_errs_free(odtls_errs *errs) {
	free(errs);
}

odtls_status odtls_status_of(int ok) {
	odtls_status s = {ok > 0, NULL};

	if (!s.ok)
		s.errs = odtls_err_drain();
	else
		ERR_clear_error();
	return s;
}

odtls_ptr odtls_ptr_of(void *p) {
	odtls_ptr r = {p, NULL};

	if (p == NULL)
		r.errs = odtls_err_drain();
	else
		ERR_clear_error();
	return r;
}

void odtls_free(void *p) {
	OPENSSL_free(p);
}
