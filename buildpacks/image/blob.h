/*
 * A stream of bytes on its way into an image: counted, hashed as it is and as it is stored, and perhaps compressed
 * (gzip without name and time, zstd by one thread: equal bytes give equal bytes).
 */
#ifndef BUILDPACKS_BLOB_H
#define BUILDPACKS_BLOB_H

#include "lib/base.h"
#include <sha2.h>
#include <zlib.h>
#include <zstd.h>

#define BLOB_BUFFER ((size_t)128 << 10)
#define BLOB_LEVEL 4	  /* of gzip: half the time of 6 for a twentieth more bytes */
#define BLOB_ZSTD_LEVEL 3 /* zstd's own choice */

enum blob_form { BLOB_PLAIN, BLOB_GZIP, BLOB_ZSTD };

struct blob {
	int fd; /* the caller's; -1: only counted and hashed */
	enum blob_form form;
	SHA2_CTX plain, stored;
	uint64_t plain_size, stored_size;
	z_stream z;
	ZSTD_CCtx *zstd;
	size_t used;
	unsigned char *in, *out;
};

/* All 0 or -errno. blob_free in any case. */
int blob_open(struct blob *b, int fd, enum blob_form form);
int blob_write(struct blob *b, const void *data, size_t len);
int blob_zeros(struct blob *b, uint64_t len);
/* The end. Hex digests of what was written and of what was stored. */
int blob_end(struct blob *b, char plain[65], char stored[65]);
void blob_free(struct blob *b);
/* Hex of a finished hash. */
void blob_hex(SHA2_CTX *ctx, char out[65]);

#endif
