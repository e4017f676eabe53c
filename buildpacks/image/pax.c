/* Writes the entries of a pax archive. */
#include "buildpacks/image/pax.h"
#include "lib/ustar.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OCTAL_ID_MAX 07777777u
#define OCTAL_SIZE_MAX 077777777777ull

void pax_xattr(struct buf *records, const char *name, const void *value, size_t len)
{
	char key[300];

	snprintf(key, sizeof(key), "SCHILY.xattr.%.255s", name);
	ustar_record(records, key, value, len);
}

static void number(struct buf *b, const char *key, uint64_t value, uint64_t max)
{
	char text[24];

	if (value <= max)
		return;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	ustar_record(b, key, text, strlen(text));
}

static int put_block(struct blob *b, struct ustar *h)
{
	ustar_seal(h);
	return blob_write(b, h, sizeof(*h));
}

static int put_records(struct blob *b, const struct buf *records)
{
	struct ustar h = {.name = "pax", .type = 'x'};
	int r;

	ustar_octal(h.mode, sizeof(h.mode), 0644);
	ustar_octal(h.uid, sizeof(h.uid), 0);
	ustar_octal(h.gid, sizeof(h.gid), 0);
	ustar_octal(h.size, sizeof(h.size), records->len);
	ustar_octal(h.mtime, sizeof(h.mtime), 0);
	r = put_block(b, &h);
	if (r == 0)
		r = blob_write(b, records->data, records->len);
	return r == 0 ? pax_pad(b, records->len) : r;
}

static int add_records(struct blob *b, const struct pax_entry *n)
{
	autobuf records = BUF_INIT;

	if (strlen(n->path) > 100)
		ustar_record(&records, "path", n->path, strlen(n->path));
	if (n->link && strlen(n->link) > 100)
		ustar_record(&records, "linkpath", n->link, strlen(n->link));
	number(&records, "size", n->size, OCTAL_SIZE_MAX);
	number(&records, "uid", n->uid, OCTAL_ID_MAX);
	number(&records, "gid", n->gid, OCTAL_ID_MAX);
	number(&records, "mtime", n->mtime_s > 0 ? (uint64_t)n->mtime_s : 0,
		OCTAL_SIZE_MAX);
	if (n->xattrs && n->xattrs->len)
		buf_add(&records, n->xattrs->data, n->xattrs->len);
	if (records.failed)
		return -ENOMEM;
	return records.len ? put_records(b, &records) : 0;
}

int pax_head(struct blob *b, const struct pax_entry *n)
{
	struct ustar h = {.type = n->type};
	int r = add_records(b, n);

	if (r < 0)
		return r;
	memcpy(h.name, n->path, strnlen(n->path, sizeof(h.name)));
	if (n->link)
		memcpy(h.link, n->link, strnlen(n->link, sizeof(h.link)));
	ustar_octal(h.mode, sizeof(h.mode), n->mode & 07777);
	ustar_octal(h.uid, sizeof(h.uid), n->uid > OCTAL_ID_MAX ? 0 : n->uid);
	ustar_octal(h.gid, sizeof(h.gid), n->gid > OCTAL_ID_MAX ? 0 : n->gid);
	ustar_octal(h.size, sizeof(h.size), n->size > OCTAL_SIZE_MAX ? 0 : n->size);
	ustar_octal(h.mtime, sizeof(h.mtime), n->mtime_s > 0 ? (uint64_t)n->mtime_s : 0);
	return put_block(b, &h);
}

int pax_pad(struct blob *b, uint64_t size)
{
	return blob_zeros(b, (USTAR_BLOCK - size % USTAR_BLOCK) % USTAR_BLOCK);
}

int pax_end(struct blob *b)
{
	return blob_zeros(b, 2 * USTAR_BLOCK);
}
