/* Bytes on their way into an image. */
#include "buildpacks/image/blob.h"
#include "lib/io.h"
#include <errno.h>
#include <string.h>

void blob_hex(SHA2_CTX *ctx, char out[65])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t hash[SHA256_DIGEST_LENGTH];

	SHA256Final(hash, ctx);
	for (size_t i = 0; i < sizeof(hash); i++) {
		out[2 * i] = digits[hash[i] >> 4];
		out[2 * i + 1] = digits[hash[i] & 15];
	}
	out[64] = '\0';
}

int blob_open(struct blob *b, int fd, enum blob_form form)
{
	*b = (struct blob){.fd = fd, .form = form};
	b->in = malloc(BLOB_BUFFER);
	b->out = malloc(BLOB_BUFFER);
	SHA256Init(&b->plain);
	SHA256Init(&b->stored);
	if (!b->in || !b->out)
		return -ENOMEM;
	/* 16: a gzip head, which zlib leaves without name and time; zlib says what system wrote it, always Unix here */
	if (form == BLOB_GZIP && deflateInit2(&b->z, BLOB_LEVEL, Z_DEFLATED, 15 + 16, 8,
					 Z_DEFAULT_STRATEGY) != Z_OK) {
		b->form = BLOB_PLAIN;
		return -ENOMEM;
	}
	if (form == BLOB_ZSTD && !(b->zstd = ZSTD_createCCtx()))
		return -ENOMEM;
	if (form == BLOB_ZSTD)
		ZSTD_CCtx_setParameter(b->zstd, ZSTD_c_compressionLevel, BLOB_ZSTD_LEVEL);
	return 0;
}

static int store(struct blob *b, const void *data, size_t len)
{
	SHA256Update(&b->stored, data, len);
	b->stored_size += len;
	return b->fd < 0 ? 0 : io_write_all(b->fd, data, len);
}

static int deflate_part(struct blob *b, bool end)
{
	int r = 0, z;

	b->z.next_in = b->in;
	b->z.avail_in = (unsigned int)b->used;
	do {
		b->z.next_out = b->out;
		b->z.avail_out = BLOB_BUFFER;
		z = deflate(&b->z, end ? Z_FINISH : Z_NO_FLUSH);
		r = store(b, b->out, BLOB_BUFFER - b->z.avail_out);
	} while (r == 0 && (b->z.avail_out == 0 || b->z.avail_in > 0) &&
		 z != Z_STREAM_END);
	return r;
}

static int zstd_part(struct blob *b, bool end)
{
	ZSTD_inBuffer in = {.src = b->in, .size = b->used};
	size_t left;
	int r;

	do {
		ZSTD_outBuffer out = {.dst = b->out, .size = BLOB_BUFFER};

		left = ZSTD_compressStream2(
			b->zstd, &out, &in, end ? ZSTD_e_end : ZSTD_e_continue);
		r = ZSTD_isError(left) ? -EIO : store(b, b->out, out.pos);
	} while (r == 0 && (end ? left > 0 : in.pos < in.size));
	return r;
}

static int flush(struct blob *b, bool end)
{
	int r;

	SHA256Update(&b->plain, b->in, b->used);
	r = b->form == BLOB_GZIP   ? deflate_part(b, end)
	    : b->form == BLOB_ZSTD ? zstd_part(b, end)
				   : store(b, b->in, b->used);
	b->used = 0;
	return r;
}

int blob_write(struct blob *b, const void *data, size_t len)
{
	const unsigned char *p = data;

	b->plain_size += len;
	while (len > 0) {
		size_t n = BLOB_BUFFER - b->used;
		int r;

		if (n > len)
			n = len;
		memcpy(b->in + b->used, p, n);
		b->used += n;
		p += n;
		len -= n;
		if (b->used == BLOB_BUFFER && (r = flush(b, false)) < 0)
			return r;
	}
	return 0;
}

int blob_zeros(struct blob *b, uint64_t len)
{
	static const char zeros[4096];

	while (len > 0) {
		size_t n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);
		int r = blob_write(b, zeros, n);

		if (r < 0)
			return r;
		len -= n;
	}
	return 0;
}

int blob_end(struct blob *b, char plain[65], char stored[65])
{
	int r = flush(b, true);

	blob_hex(&b->plain, plain);
	blob_hex(&b->stored, stored);
	return r;
}

void blob_free(struct blob *b)
{
	if (b->form == BLOB_GZIP)
		deflateEnd(&b->z);
	ZSTD_freeCCtx(b->zstd);
	b->zstd = NULL;
	free(b->in);
	free(b->out);
	b->form = BLOB_PLAIN;
	b->in = b->out = NULL;
}
