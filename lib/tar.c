/* Writes a tar stream: ustar, with pax records for long names (POSIX.1-2017, pax,
 * "Extended Description"). */
#include "lib/tar.h"

#include "lib/buf.h"
#include "lib/io.h"
#include "lib/jtext.h"
#include "lib/ustar.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

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
	static const char zeros[USTAR_BLOCK];
	int r = put(t, data, len);

	return r < 0 ? r : put(t, zeros, -len % USTAR_BLOCK);
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
	ustar_octal(h->mode, sizeof(h->mode), n->mode);
	ustar_octal(h->uid, sizeof(h->uid), TAR_OWNER);
	ustar_octal(h->gid, sizeof(h->gid), TAR_OWNER);
	ustar_octal(h->size, sizeof(h->size), n->size);
	ustar_octal(h->mtime, sizeof(h->mtime), (uint64_t)t->mtime_s);
	h->type = n->type;
	ustar_seal(h);
}

static int put_pax(struct tar *t, const struct entry *n, bool path, bool link)
{
	autobuf b = BUF_INIT;
	struct ustar h = {.name = "pax"};
	struct entry x = {.type = 'x', .mode = 0644};
	int r;

	if ((path && jtext_utf8(n->path, n->path_len) != n->path_len) ||
		(link && jtext_utf8(n->link, n->link_len) != n->link_len))
		ustar_record(&b, "hdrcharset", "BINARY", 6);
	if (path)
		ustar_record(&b, "path", n->path, n->path_len);
	if (link)
		ustar_record(&b, "linkpath", n->link, n->link_len);
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
	static const char zeros[USTAR_BLOCK];

	return put(t, zeros, (size_t)(-size % USTAR_BLOCK));
}

int tar_end(struct tar *t)
{
	static const char zeros[2 * USTAR_BLOCK];
	int r = put(t, zeros, sizeof(zeros));

	return r < 0 ? r : flush(t);
}
