/* Rows of the list of a tree. */
#include "backup/row.h"
#include "lib/stow.h"
#include <endian.h>
#include <errno.h>
#include <string.h>

static bool take_u32(const unsigned char **at, const unsigned char *end, uint32_t *ret)
{
	if (end - *at < 4)
		return false;
	memcpy(ret, *at, 4);
	*ret = le32toh(*ret);
	*at += 4;
	return true;
}

int segment_read(const unsigned char **at, const unsigned char *end, struct segment *ret)
{
	const unsigned char *p = *at;
	uint64_t large;
	uint32_t size;

	if (p == end)
		return 0;
	ret->kind = (char)*p++;
	if (ret->kind == 'H' || ret->kind == 'L') {
		size_t name = ret->kind == 'L' ? ID_SIZE : 0;

		if ((size_t)(end - p) < 8 + name)
			return 0;
		memcpy(&large, p, 8);
		ret->size = le64toh(large);
		ret->data = p + 8;
		*at = p + 8 + name;
		return 1;
	}
	if (ret->kind != 'C' && ret->kind != 'I')
		return -EBADMSG;
	if (!take_u32(&p, end, &size))
		return 0;
	size_t stored = ret->kind == 'C' ? ID_SIZE : size;
	if ((size_t)(end - p) < stored)
		return 0;
	ret->size = size;
	ret->data = p;
	*at = p + stored;
	return 1;
}

int row_read(const char *data, size_t size, struct row *ret)
{
	const unsigned char *at = (const unsigned char *)data, *end = at + size;
	struct segment s;
	int r;

	ret->start = at;
	if (!take_u32(&at, end, &ret->entry_size))
		return 0;
	if (ret->entry_size == ROW_END) {
		ret->end = at + 24;
		ret->entry = at;
		return end - at < 24 ? 0 : 2;
	}
	if (ret->entry_size > STOW_ENTRY_MAX)
		return -EBADMSG;
	if ((size_t)(end - at) < ret->entry_size)
		return 0;
	ret->entry = at;
	at += ret->entry_size;
	if (!take_u32(&at, end, &ret->n_segments))
		return 0;
	ret->segments = at;
	for (uint32_t i = 0; i < ret->n_segments; i++)
		if ((r = segment_read(&at, end, &s)) <= 0)
			return r;
	ret->end = at;
	return 1;
}

uint64_t segments_bytes(const unsigned char *at, const unsigned char *end)
{
	struct segment s;
	uint64_t bytes = 0;

	while (segment_read(&at, end, &s) == 1)
		if (s.kind != 'H')
			bytes += s.size;
	return bytes;
}

static int read_list(
	const struct reading *y, const unsigned char id[ID_SIZE], struct err *e)
{
	autobuf list = {.max = SEALED_MAX};
	const unsigned char *at, *end;
	struct segment one;
	int r = store_get(y->s, id, &list, e);

	if (r < 0)
		return r;
	at = (const unsigned char *)list.data;
	end = at + list.len;
	while (r == 0 && at < end) {
		if (segment_read(&at, end, &one) != 1 || one.kind == 'L')
			return err_set(e, EBADMSG, "a list of its parts is damaged");
		r = y->take(y->arg, &one, e);
	}
	return r;
}

int read_segments(const struct reading *y, const struct row *row, struct err *e)
{
	const unsigned char *at = row->segments;
	struct segment one;
	int r = 0;

	while (r == 0 && segment_read(&at, row->end, &one) == 1)
		r = one.kind == 'L' ? read_list(y, one.data, e)
				    : y->take(y->arg, &one, e);
	return r;
}

struct reader {
	struct buf text; /* what was not a whole row yet */
	int (*row)(void *arg, const struct row *row, struct err *e);
	void *arg;
	bool ended;
};

static int feed(void *arg, const void *data, size_t size, struct err *e)
{
	struct reader *y = arg;
	struct row row;
	size_t at = 0;
	int r;

	if (y->ended || buf_add(&y->text, data, size) < 0)
		return err_set(e, EBADMSG, "the list of files is damaged");
	while ((r = row_read(y->text.data + at, y->text.len - at, &row)) == 1) {
		if (row.entry_size < STOW_IDENTITY)
			return err_set(e, EBADMSG, "the list of files is damaged");
		int result = y->row(y->arg, &row, e);
		if (result < 0)
			return result;
		at += (size_t)(row.end - row.start);
	}
	if (r < 0)
		return err_set(e, EBADMSG, "the list of files is damaged");
	y->ended = r == 2;
	if (r == 2) {
		int result = y->row(y->arg, &row, e);
		if (result < 0)
			return result;
		at += (size_t)(row.end - row.start);
	}
	buf_consume(&y->text, at);
	return 0;
}

int read_rows(struct store *s, const json_t *chunks,
	int (*row)(void *arg, const struct row *row, struct err *e), void *arg,
	struct err *e)
{
	struct reader y = {.text.max = SEALED_MAX * 2, .row = row, .arg = arg};
	int r = blob_read(s, chunks, feed, &y, e);

	if (r == 0 && (!y.ended || y.text.len))
		r = err_set(e, EBADMSG, "the list of files is cut off");
	buf_free(&y.text);
	return r;
}
