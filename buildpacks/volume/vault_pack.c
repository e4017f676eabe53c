/* A tree of a vault becomes an archive. */
#include "buildpacks/volume/vault_pack.h"
#include "buildpacks/image/blob.h"
#include "buildpacks/image/pax.h"
#include "buildpacks/volume/vault_inside.h"
#include "lib/io.h"
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SKIPPABLE 0x184D2A5Eu

static void add_xattrs(const struct vault_entry *n, struct buf *records)
{
	for (size_t at = 0; at < n->xattrs_len;) {
		const char *name = n->xattrs + at;
		uint32_t len;

		at += strlen(name) + 1;
		memcpy(&len, n->xattrs + at, sizeof(len));
		at += sizeof(len);
		if (strncmp(name, "user.", 5) == 0)
			pax_xattr(records, name, n->xattrs + at, len);
		at += len;
	}
}

static char type_of(enum vault_kind kind)
{
	switch (kind) {
	case VAULT_DIR:
		return '5';
	case VAULT_FILE:
		return '0';
	case VAULT_SYMLINK:
		return '2';
	case VAULT_HARDLINK:
		return '1';
	case VAULT_FIFO:
		return '6';
	case VAULT_SOCKET:
		break;
	}
	return '\0';
}

static int pack_data(struct vault *v, const struct vault_entry *n, struct blob *b,
	uint8_t *data, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n->n_ids; i++) {
		uint64_t left = n->size - (uint64_t)i * VAULT_CHUNK;
		size_t len = left < VAULT_CHUNK ? (size_t)left : VAULT_CHUNK;

		r = vault_chunk_read(v, n->ids + i * VAULT_ID, len, data, e);
		if (r < 0)
			return err_add(e, "%s", n->path);
		r = blob_write(b, data, len);
	}
	if (r == 0)
		r = pax_pad(b, n->size);
	return r < 0 ? err_sys(e, -r, "write the archive") : 0;
}

static int pack_entry(struct vault *v, const struct vault_entry *n, struct blob *b,
	uint8_t *data, struct err *e)
{
	autobuf xattrs = BUF_INIT;
	char path[VAULT_PATH_MAX + 4];
	struct pax_entry p = {.path = path,
		.link = *n->link ? n->link : NULL,
		.type = type_of(n->kind),
		.mode = n->mode,
		.uid = n->uid,
		.gid = n->gid,
		.size = n->kind == VAULT_FILE ? n->size : 0,
		.mtime_s = n->mtime_ns / 1000000000,
		.xattrs = &xattrs};
	int r;

	if (!p.type)
		return 0;
	snprintf(path, sizeof(path), "%s%s%s", *n->path ? "" : ".", n->path,
		n->kind == VAULT_DIR ? "/" : "");
	add_xattrs(n, &xattrs);
	r = pax_head(b, &p);
	if (r < 0)
		return err_sys(e, -r, "write the archive");
	return n->kind == VAULT_FILE ? pack_data(v, n, b, data, e) : 0;
}

static int write_trailer(int fd, const char digest[65])
{
	const uint32_t head[2] = {htole32(SKIPPABLE), htole32(VAULT_TRAILER - 8)};
	char trailer[VAULT_TRAILER + 1];

	memcpy(trailer, head, sizeof(head));
	snprintf(trailer + sizeof(head), sizeof(trailer) - sizeof(head), "%s%s\n",
		VAULT_TRAILER_WORDS, digest);
	return io_write_all(fd, trailer, VAULT_TRAILER);
}

static int pack_all(struct vault *v, const struct vault_tree *t, struct blob *b,
	struct vault_stats *stats, struct err *e)
{
	uint8_t *data autofree = malloc(VAULT_CHUNK);
	char plain[65], stored[65];
	struct vault_entry n;
	size_t at = 0;
	int r = data ? 0 : err_set(e, ENOMEM, "out of memory");

	while (r == 0 && vault_tree_next(t, &at, &n)) {
		r = pack_entry(v, &n, b, data, e);
		stats->files += n.kind == VAULT_FILE;
		stats->bytes += n.size;
	}
	if (r < 0)
		return r;
	r = pax_end(b);
	if (r == 0)
		r = blob_end(b, plain, stored);
	if (r == 0)
		r = write_trailer(b->fd, stored);
	return r < 0 ? err_sys(e, -r, "write the archive") : 0;
}

int vault_pack(struct vault *v, const char *name, int fd, struct vault_stats *stats,
	struct err *e)
{
	struct vault_tree *t = NULL;
	struct blob b;
	int r = vault_load(v, name, &t, e);

	if (r < 0)
		return r;
	r = blob_open(&b, fd, BLOB_ZSTD);
	r = r < 0 ? err_sys(e, -r, "write the archive") : pack_all(v, t, &b, stats, e);
	blob_free(&b);
	vault_tree_free(t);
	return r;
}
