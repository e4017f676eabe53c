/* What need not be read again. */
#include "backup/known.h"
#include "lib/frame.h"
#include "lib/io.h"
#include "lib/stow.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BLOCK ((size_t)1 << 20) /* rows are sealed together; the last may reach over it */
#define MEMORY_MAX ((size_t)UINT32_MAX) /* a place in the tail has 32 bits */
#define SEND_EACH ((size_t)1 << 18)
#define LEVEL 1 /* of zstd */

static const unsigned char no_name[ID_SIZE];

static uint64_t number_at(const struct buf *b, size_t i)
{
	uint64_t v;

	memcpy(&v, b->data + i * sizeof(v), sizeof(v));
	return v;
}

static size_t n_blocks(const struct known *k)
{
	return k->blocks.len / sizeof(uint64_t);
}

/* ---- the file ---- */

static bool make_file(struct known *k)
{
	const char *dir = getenv("TMPDIR");
	char path[PATH_MAX];
	struct keys keys = {0};

	snprintf(path, sizeof(path), "%s/berth-backup.XXXXXX",
		dir && *dir ? dir : "/var/tmp");
	if (RAND_bytes(keys.seal, sizeof(keys.seal)) != 1 ||
		(k->fd = mkostemp(path, O_CLOEXEC)) < 0)
		return false;
	unlink(path);
	k->sealer = sealer_open(&keys, LEVEL);
	keys_clear(&keys);
	if (!k->sealer)
		close(k->fd);
	return k->sealer;
}

/* The tail, which is not empty, goes to the end of the file. */
static bool write_block(struct known *k)
{
	size_t n = n_blocks(k);
	uint64_t at = n ? number_at(&k->blocks, n - 1) : 0;

	k->sealed.max = SEALED_MAX + SEAL_EXTRA;
	k->which = 0;
	if ((!k->sealer && !make_file(k)) ||
		seal(k->sealer, 'K', n, no_name, k->tail.data, k->tail.len, &k->sealed) <
			0 ||
		pwrite(k->fd, k->sealed.data, k->sealed.len, (off_t)at) !=
			(ssize_t)k->sealed.len)
		return false;
	at += k->sealed.len;
	if (buf_add(&k->blocks, &at, sizeof(at)) < 0)
		return false;
	buf_reset(&k->tail);
	return true;
}

static int read_block(struct known *k, size_t i, struct err *e)
{
	uint64_t at = i ? number_at(&k->blocks, i - 1) : 0;
	size_t size = number_at(&k->blocks, i) - at;
	ssize_t n;
	int r;

	k->which = 0;
	k->block.max = SEALED_MAX;
	buf_reset(&k->sealed);
	if (!buf_room(&k->sealed, size))
		return err_set(e, ENOMEM, "out of memory");
	n = pread(k->fd, k->sealed.data, size, (off_t)at);
	if (n != (ssize_t)size)
		return err_sys(e, n < 0 ? errno : EIO, "read a temporary file");
	r = unseal(k->sealer, 'K', i, no_name, k->sealed.data, size, &k->block);
	if (r < 0)
		return err_sys(e, -r, "read a temporary file");
	k->which = i + 1;
	return 0;
}

/* ---- rows ---- */

int known_add(struct known *k, const struct row *row, struct err *e)
{
	if (k->tail.len >= BLOCK && !k->no_file)
		k->no_file = !write_block(k);
	const uint64_t at = (uint64_t)n_blocks(k) << 32 | k->tail.len;
	k->rows.max = k->blocks.max = SIZE_MAX;
	k->tail.max = MEMORY_MAX;
	if (buf_add(&k->tail, row->start, (size_t)(row->end - row->start)) < 0 ||
		buf_add(&k->rows, &at, sizeof(at)) < 0)
		return err_set(e, ENOMEM, "out of memory");
	k->n++;
	return 0;
}

int known_row(struct known *k, size_t i, struct row *ret, struct err *e)
{
	const uint64_t at = number_at(&k->rows, i);
	const size_t n = at >> 32, from = at & UINT32_MAX;
	const struct buf *b = n < n_blocks(k) ? &k->block : &k->tail;
	int r = b == &k->block && k->which != n + 1 ? read_block(k, n, e) : 0;

	if (r == 0 && row_read(b->data + from, b->len - from, ret) != 1)
		r = err_set(e, EIO, "a temporary file is damaged");
	return r;
}

int known_send(struct known *k, int fd, struct err *e)
{
	static const char end[24];
	autobuf out = {0};
	unsigned char head[FRAME_HEAD];
	struct row row;
	int r = 0;

	for (size_t i = 0; i < k->n; i++) {
		if ((r = known_row(k, i, &row, e)) < 0)
			return r;
		frame_head(head, FRAME_ENTRY, row.entry_size);
		buf_add(&out, head, sizeof(head));
		buf_add(&out, row.entry, row.entry_size);
		if (out.failed)
			return err_set(e, ENOMEM, "out of memory");
		if (out.len < SEND_EACH)
			continue;
		if ((r = io_write_all(fd, out.data, out.len)) < 0)
			return err_sys(e, -r, "berth-control was interrupted");
		buf_reset(&out);
	}
	frame_head(head, FRAME_END, sizeof(end));
	buf_add(&out, head, sizeof(head));
	buf_add(&out, end, sizeof(end));
	r = out.failed ? -ENOMEM : io_write_all(fd, out.data, out.len);
	return r < 0 ? err_sys(e, -r, "berth-control was interrupted") : 0;
}

void known_free(struct known *k)
{
	if (k->sealer)
		close(k->fd);
	sealer_close(k->sealer);
	buf_free(&k->rows);
	buf_free(&k->tail);
	buf_free(&k->blocks);
	buf_free(&k->sealed);
	buf_free(&k->block);
	*k = (struct known){0};
}

/* ---- those of the last backup ---- */

struct knowing {
	struct known *k;
	struct store *s;
};

static int is_there(void *arg, const struct segment *one, struct err *e UNUSED)
{
	const struct knowing *y = arg;

	return one->kind != 'C' || store_has(y->s, one->data) ? 0 : -ENOENT;
}

/* A file with a chunk that is gone is not known: it is read again. */
static int add_whole(void *arg, const struct row *row, struct err *e)
{
	struct knowing *y = arg;
	struct err why = {0};

	if (row->entry_size == ROW_END ||
		read_segments(&(struct reading){y->s, is_there, y}, row, &why) < 0)
		return 0;
	return known_add(y->k, row, e);
}

int known_read(struct known *k, struct store *s, const json_t *chunks, struct err *e)
{
	struct knowing y = {.k = k, .s = s};

	*k = (struct known){0};
	int r = chunks ? read_rows(s, chunks, add_whole, &y, e) : 0;

	if (r < 0)
		known_free(k);
	return r;
}
