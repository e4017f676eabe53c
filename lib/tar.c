/* Writes a tar stream: ustar, with pax records for long names (POSIX.1-2017, pax,
 * "Extended Description"). */
#include "lib/tar.h"

#include "lib/buf.h"
#include "lib/io.h"
#include "lib/jtext.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#define BLOCK 512u

struct ustar {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], check[8], type,
		link[100];
	char magic[6], version[2], uname[32], gname[32], major[8], minor[8], prefix[155],
		pad[12];
};
_Static_assert(sizeof(struct ustar) == BLOCK, "a ustar head is one block");

struct entry {
	const char *path, *link;
	size_t path_len, link_len;
	const void *data;
	size_t size;
	unsigned int mode;
	char type;
};

int tar_open(struct tar *t, int fd, int64_t mtime_s)
{
	*t = (struct tar){.fd = fd, .mtime_s = mtime_s < 0 ? 0 : mtime_s};
	t->out = malloc(TAR_BUFFER);
	return t->out ? 0 : -ENOMEM;
}

void tar_free(struct tar *t)
{
	free(t->out);
	t->out = NULL;
}

static int flush(struct tar *t)
{
	int r = io_write_all(t->fd, t->out, t->used);

	t->used = 0;
	return r;
}

static int put(struct tar *t, const void *data, size_t len)
{
	bool large = len >= TAR_BUFFER / 2; /* goes out as it is, after what waits */
	int r = large || t->used + len > TAR_BUFFER ? flush(t) : 0;

	if (r < 0)
		return r;
	if (large)
		return io_write_all(t->fd, data, len);
	if (len)
		memcpy(t->out + t->used, data, len);
	t->used += len;
	return 0;
}

static int put_padded(struct tar *t, const void *data, size_t len)
{
	static const char zeros[BLOCK];
	int r = put(t, data, len);

	return r < 0 ? r : put(t, zeros, -len % BLOCK);
}

static void octal(char *field, size_t size, uint64_t value)
{
	field[--size] = 0;
	while (size > 0) {
		field[--size] = (char)('0' + (value & 7));
		value >>= 3;
	}
}

/* Puts the path into name, or splits it at a slash into prefix and name. false: it needs
 * a pax record. */
static bool fit_path(struct ustar *h, const char *path, size_t len)
{
	size_t cut;

	if (len <= sizeof(h->name)) {
		memcpy(h->name, path, len);
		return true;
	}
	for (cut = len - 1 - sizeof(h->name); cut < len - 1 && path[cut] != '/'; cut++)
		;
	if (cut == 0 || cut >= len - 1 || cut > sizeof(h->prefix)) {
		memcpy(h->name, path, sizeof(h->name));
		return false;
	}
	memcpy(h->prefix, path, cut);
	memcpy(h->name, path + cut + 1, len - cut - 1);
	return true;
}

static void fill_head(const struct tar *t, struct ustar *h, const struct entry *n)
{
	unsigned int sum = 0;

	octal(h->mode, sizeof(h->mode), n->mode);
	octal(h->uid, sizeof(h->uid), TAR_OWNER);
	octal(h->gid, sizeof(h->gid), TAR_OWNER);
	octal(h->size, sizeof(h->size), n->size);
	octal(h->mtime, sizeof(h->mtime), (uint64_t)t->mtime_s);
	h->type = n->type;
	memcpy(h->magic, "ustar", 6);
	memcpy(h->version, "00", 2);
	memset(h->check, ' ', sizeof(h->check));
	for (size_t i = 0; i < BLOCK; i++)
		sum += ((const unsigned char *)h)[i];
	octal(h->check, 7, sum);
}

/* "LEN key=value\n", where LEN counts itself. */
static void record(struct buf *b, const char *key, const char *value, size_t len)
{
	size_t rest = strlen(key) + len + 3, digits = 1;

	while ((size_t)snprintf(NULL, 0, "%zu", rest + digits) > digits)
		digits++;
	buf_addf(b, "%zu %s=", rest + digits, key);
	buf_add(b, value, len);
	buf_adds(b, "\n");
}

static int put_pax(struct tar *t, const struct entry *n, bool path, bool link)
{
	autobuf b = BUF_INIT;
	struct ustar h = {.name = "pax"};
	struct entry x = {.type = 'x', .mode = 0644};
	int r;

	if ((path && jtext_utf8(n->path, n->path_len) != n->path_len) ||
		(link && jtext_utf8(n->link, n->link_len) != n->link_len))
		record(&b, "hdrcharset", "BINARY", 6);
	if (path)
		record(&b, "path", n->path, n->path_len);
	if (link)
		record(&b, "linkpath", n->link, n->link_len);
	if (b.failed)
		return -ENOMEM;
	x.size = b.len;
	fill_head(t, &h, &x);
	r = put(t, &h, sizeof(h));
	return r < 0 ? r : put_padded(t, b.data, b.len);
}

/* What stands before an entry's bytes. */
static int put_head(struct tar *t, const struct entry *n)
{
	struct ustar h = {0};
	bool long_path = !fit_path(&h, n->path, n->path_len);
	bool long_link = n->link_len > sizeof(h.link);
	int r = 0;

	if (n->size > TAR_SIZE_MAX)
		return -EFBIG;
	if (n->link_len)
		memcpy(h.link, n->link, long_link ? sizeof(h.link) : n->link_len);
	if (long_path || long_link)
		r = put_pax(t, n, long_path, long_link);
	if (r < 0)
		return r;
	fill_head(t, &h, n);
	return put(t, &h, sizeof(h));
}

static int put_entry(struct tar *t, const struct entry *n)
{
	int r = put_head(t, n);

	return r < 0 ? r : put_padded(t, n->data, n->size);
}

int tar_folder(struct tar *t, const char *path)
{
	return put_entry(t, &(struct entry){.path = path,
				    .path_len = strlen(path),
				    .mode = 0755,
				    .type = '5'});
}

int tar_file(
	struct tar *t, const char *path, bool executable, const void *data, size_t size)
{
	return put_entry(t, &(struct entry){.path = path,
				    .path_len = strlen(path),
				    .mode = executable ? 0755 : 0644,
				    .type = '0',
				    .data = data,
				    .size = size});
}

int tar_link(struct tar *t, const char *path, const char *target, size_t target_len)
{
	return put_entry(t, &(struct entry){.path = path,
				    .path_len = strlen(path),
				    .link = target,
				    .link_len = target_len,
				    .mode = 0777,
				    .type = '2'});
}

int tar_gone(struct tar *t, const char *path)
{
	return put_entry(
		t, &(struct entry){
			   .path = path, .path_len = strlen(path), .type = TAR_GONE});
}

int tar_file_begin(struct tar *t, const char *path, uint64_t size)
{
	int r = put_head(t, &(struct entry){.path = path,
				    .path_len = strlen(path),
				    .mode = 0644,
				    .type = '0',
				    .size = size});

	return r < 0 ? r : flush(t);
}

int tar_file_end(struct tar *t, uint64_t size)
{
	static const char zeros[BLOCK];

	return put(t, zeros, (size_t)(-size % BLOCK));
}

int tar_end(struct tar *t)
{
	static const char zeros[2 * BLOCK];
	int r = put(t, zeros, sizeof(zeros));

	return r < 0 ? r : flush(t);
}
