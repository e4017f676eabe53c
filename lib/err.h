/* One error: a code and the sentence a person reads. Owned by the caller, filled on failure. */
#ifndef LIB_ERR_H
#define LIB_ERR_H

#include "lib/base.h"

#define ERR_TEXT_MAX 1024 /* longer texts are cut: an error is a sentence, not a log */

struct err {
	int code; /* errno value, positive */
	char text[ERR_TEXT_MAX];
	bool told; /* whoever asked has read it already: it is not printed again */
};

/* Sets code (errno value, positive) and text. Returns -code. e may be NULL. */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF(3, 4);
/* As err_set, and appends ": " and strerror(code). */
int err_sys(struct err *e, int code, const char *fmt, ...) PRINTF(3, 4);
/* Puts "fmt: " before the text; keeps the code. Returns -e->code. e may be NULL (returns -EIO). */
int err_add(struct err *e, const char *fmt, ...) PRINTF(2, 3);

#endif
