/* Writes a pack of git objects. */
#include "buildpacks/source/git_pack.h"
#include "lib/io.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LEVEL 3 /* source is stored once and read a few times */
#define HEAD 12u
#define FIRST_ROOM 1024u

void git_oid_text(const uint8_t oid[GIT_OID], char out[GIT_OID_TEXT])
{
	for (size_t i = 0; i < GIT_OID; i++)
		snprintf(out + 2 * i, 3, "%02x", oid[i]);
}

static void put32(uint8_t out[4], uint32_t v)
{
	for (int i = 3; i >= 0; i--, v >>= 8)
		out[i] = (uint8_t)v;
}

static int flush(struct git_pack *p)
{
	int r = io_write_all(p->fd, p->out, p->used);

	p->written += p->used;
	p->used = 0;
	return r;
}

/* Takes back what was written since. */
static int rewind_to(struct git_pack *p, uint64_t at)
{
	if (at >= p->written) {
		p->used = (size_t)(at - p->written);
		return 0;
	}
	if (ftruncate(p->fd, (off_t)at) < 0 || lseek(p->fd, (off_t)at, SEEK_SET) < 0)
		return -errno;
	p->written = at;
	p->used = 0;
	return 0;
}

/* ---- which objects are there ---- */

static size_t place(const struct git_pack *p, const uint8_t oid[GIT_OID])
{
	static const uint8_t none[GIT_OID];
	uint64_t at;

	memcpy(&at, oid, sizeof(at));
	for (at &= p->seen.room - 1; memcmp(p->seen.oids[at], none, GIT_OID) != 0;
		at = (at + 1) & (p->seen.room - 1))
		if (memcmp(p->seen.oids[at], oid, GIT_OID) == 0)
			break;
	return at;
}

static int grow(struct git_pack *p)
{
	uint8_t(*old)[GIT_OID] = p->seen.oids;
	size_t room = p->seen.room;
	static const uint8_t none[GIT_OID];

	if (p->seen.n * 2 < room)
		return 0;
	p->seen.room = room ? room * 2 : FIRST_ROOM;
	p->seen.oids = calloc(p->seen.room, GIT_OID);
	if (!p->seen.oids) {
		p->seen.oids = old;
		p->seen.room = room;
		return -ENOMEM;
	}
	for (size_t i = 0; i < room; i++)
		if (memcmp(old[i], none, GIT_OID) != 0)
			memcpy(p->seen.oids[place(p, old[i])], old[i], GIT_OID);
	free(old);
	return 0;
}

/* 1: it was there. 0: it is now. */
static int note(struct git_pack *p, const uint8_t oid[GIT_OID])
{
	int r = grow(p);

	if (r < 0)
		return r;
	size_t at = place(p, oid);
	if (memcmp(p->seen.oids[at], oid, GIT_OID) == 0)
		return 1;
	memcpy(p->seen.oids[at], oid, GIT_OID);
	p->seen.n++;
	return 0;
}

/* ---- one object ---- */

static int put(struct git_pack *p, const void *data, size_t len)
{
	int r = p->used + len > sizeof(p->out) ? flush(p) : 0;

	if (r == 0)
		memcpy(p->out + p->used, data, len);
	p->used += r == 0 ? len : 0;
	return r;
}

static int squeeze(struct git_pack *p, const void *data, size_t len, int how)
{
	int r;

	/* zlib's field is not const; it only reads. */
	p->z.next_in = (Bytef *)(uintptr_t)data;
	p->z.avail_in = (uInt)len;
	do {
		if (p->used == sizeof(p->out) && (r = flush(p)) < 0)
			return r;
		p->z.next_out = p->out + p->used;
		p->z.avail_out = (uInt)(sizeof(p->out) - p->used);
		r = deflate(&p->z, how);
		p->used = sizeof(p->out) - p->z.avail_out;
		if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
			return -EIO;
	} while (how == Z_FINISH ? r != Z_STREAM_END : p->z.avail_in > 0);
	return 0;
}

int git_pack_open(struct git_pack *p, int fd)
{
	static const uint8_t head[HEAD];

	*p = (struct git_pack){.fd = fd};
	if (deflateInit(&p->z, LEVEL) != Z_OK)
		return -ENOMEM;
	return put(p, head, HEAD);
}

int git_pack_begin(struct git_pack *p, enum git_type type, uint64_t size)
{
	static const char *const names[] = {
		[GIT_COMMIT] = "commit", [GIT_TREE] = "tree", [GIT_BLOB] = "blob"};
	char text[40];
	uint8_t head[16];
	size_t n = 0;
	int len = snprintf(
		text, sizeof(text), "%s %llu", names[type], (unsigned long long)size);

	SHA1Init(&p->hash);
	SHA1Update(&p->hash, (const uint8_t *)text, (size_t)len + 1);
	p->began = p->written + p->used;
	p->left = size;
	head[0] = (uint8_t)((unsigned int)type << 4 | (size & 15));
	for (size >>= 4; size; size >>= 7) {
		head[n++] |= 0x80;
		head[n] = size & 127;
	}
	deflateReset(&p->z);
	return put(p, head, n + 1);
}

int git_pack_write(struct git_pack *p, const void *data, size_t len)
{
	if (len > p->left)
		return -EINVAL;
	p->left -= len;
	SHA1Update(&p->hash, data, len);
	return squeeze(p, data, len, Z_NO_FLUSH);
}

int git_pack_end(struct git_pack *p, uint8_t ret[GIT_OID])
{
	int r = p->left ? -EINVAL : squeeze(p, NULL, 0, Z_FINISH);

	if (r < 0)
		return r;
	SHA1Final(ret, &p->hash);
	r = note(p, ret);
	if (r == 1)
		return rewind_to(p, p->began);
	p->n += r == 0;
	return r;
}

int git_pack_object(struct git_pack *p, enum git_type type, const void *data, size_t len,
	uint8_t ret[GIT_OID])
{
	int r = git_pack_begin(p, type, len);

	if (r == 0)
		r = git_pack_write(p, data, len);
	return r == 0 ? git_pack_end(p, ret) : r;
}

/* The checksum is of the file as it is now, head and all. */
static int checksum(struct git_pack *p, uint8_t ret[GIT_OID])
{
	ssize_t n = 0;

	SHA1Init(&p->hash);
	for (uint64_t at = 0; at < p->written; at += (uint64_t)n) {
		n = pread(p->fd, p->out, sizeof(p->out), (off_t)at);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		SHA1Update(&p->hash, p->out, (size_t)n);
	}
	SHA1Final(ret, &p->hash);
	return 0;
}

int git_pack_finish(struct git_pack *p)
{
	uint8_t head[HEAD] = "PACK", sum[GIT_OID];
	int r = flush(p);

	put32(head + 4, 2);
	put32(head + 8, p->n);
	if (r == 0 && pwrite(p->fd, head, HEAD, 0) != (ssize_t)HEAD)
		r = -EIO;
	if (r == 0)
		r = checksum(p, sum);
	return r == 0 ? io_write_all(p->fd, sum, GIT_OID) : r;
}

void git_pack_free(struct git_pack *p)
{
	deflateEnd(&p->z);
	free(p->seen.oids);
	p->seen.oids = NULL;
}
