/* A growing byte buffer with a maximum. data is always NUL-terminated after the first add. */
#ifndef LIB_BUF_H
#define LIB_BUF_H

#include "lib/base.h"

#define BUF_MAX_DEFAULT                                                                  \
	((size_t)16 << 20) /* 16 MiB: nothing we hold in memory is larger */

struct buf {
	char *data;
	size_t len, cap;
	size_t max;  /* 0 means BUF_MAX_DEFAULT */
	bool failed; /* an add did not fit or memory ran out; sticky until buf_reset */
};

#define BUF_INIT                                                                         \
	{                                                                                \
		0                                                                        \
	}
#define autobuf __attribute__((cleanup(buf_free))) struct buf

/* All return 0, or -ENOMEM / -EMSGSIZE and set failed: callers may add many times and check once. */
int buf_add(struct buf *b, const void *data, size_t len);
int buf_adds(struct buf *b, const char *s);
int buf_addf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
/* Makes room for len more bytes; returns where to write them (then raise b->len), or NULL. */
char *buf_room(struct buf *b, size_t len);
/* Drops the first n bytes (n <= len). */
void buf_consume(struct buf *b, size_t n);
/* Empties, keeps the memory. */
void buf_reset(struct buf *b);
void buf_free(struct buf *b);
/* The string, owned by the caller (free), buffer empty afterwards. NULL if failed or out of memory. */
char *buf_take(struct buf *b);

#endif
