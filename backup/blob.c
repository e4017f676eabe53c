/* Bytes of any length as chunks. */
#include "backup/blob.h"
#include <errno.h>
#include <string.h>

#define CUT_MIN ((size_t)256 << 10)
#define CUT_MASK (((uint64_t)1 << 20) - 1) /* of the upper bits: every millionth place */

void cutter_init(struct cutter *c, const struct keys *k)
{
	unsigned char out[KEY_SIZE];

	memset(c, 0, sizeof(*c));
	c->part.max = CHUNK_MAX + ((size_t)1 << 20) + 1;
	for (unsigned int i = 0; i < 256; i++) {
		unsigned char byte = (unsigned char)i;

		key_hmac(k->cut, &byte, 1, out);
		memcpy(&c->gear[i], out, sizeof(c->gear[i]));
	}
}

void cutter_free(struct cutter *c)
{
	buf_free(&c->part);
}

/* How long the first piece is; 0: its end is not there yet. */
static size_t find_cut(struct cutter *c)
{
	const unsigned char *p = (const unsigned char *)c->part.data;
	size_t n = c->part.len < CHUNK_MAX ? c->part.len : CHUNK_MAX;
	uint64_t h = c->hash;

	/* Only the last 64 bytes count: before the least size there is nothing to be found. */
	if (c->seen < CUT_MIN - 64) {
		c->seen = CUT_MIN - 64;
		h = 0;
	}
	for (size_t i = c->seen; i < n; i++) {
		h = (h << 1) + c->gear[p[i]];
		if (i >= CUT_MIN && !(h >> 44 & CUT_MASK)) {
			c->seen = 0;
			c->hash = 0;
			return i + 1;
		}
	}
	c->hash = h;
	c->seen = n > c->seen ? n : c->seen;
	return n == CHUNK_MAX ? (c->seen = 0, c->hash = 0, n) : 0;
}

int cutter_feed(struct cutter *c, const void *data, size_t size, bool last,
	int (*take)(void *arg, const void *piece, size_t size, struct err *e), void *arg,
	struct err *e)
{
	const char *at = data;

	while (size || last) {
		size_t n = size < (size_t)1 << 20 ? size : (size_t)1 << 20, cut;

		if (n && buf_add(&c->part, at, n) < 0)
			return err_set(e, ENOMEM, "out of memory");
		at += n;
		size -= n;
		while (c->part.len > CUT_MIN && (cut = find_cut(c)) > 0) {
			int r = take(arg, c->part.data, cut, e);

			if (r < 0)
				return r;
			buf_consume(&c->part, cut);
		}
		if (size == 0)
			break;
	}
	if (!last)
		return 0;
	int r = c->part.len ? take(arg, c->part.data, c->part.len, e) : 0;
	buf_reset(&c->part);
	c->seen = 0;
	c->hash = 0;
	return r;
}

void ids_add(struct ids *i, const unsigned char id[ID_SIZE])
{
	i->b.max = SEALED_MAX;
	buf_add(&i->b, id, ID_SIZE);
}

json_t *ids_json(const struct ids *i)
{
	json_t *list = json_array();
	char hex[2 * ID_SIZE + 1];

	for (size_t at = 0; at < i->b.len; at += ID_SIZE) {
		id_hex((const unsigned char *)i->b.data + at, hex);
		json_array_append_new(list, json_string(hex));
	}
	return list;
}

void blob_open(struct blob *b, struct store *s)
{
	memset(b, 0, sizeof(*b));
	b->s = s;
	cutter_init(&b->cut, store_keys(s));
}

static int keep(void *arg, const void *piece, size_t size, struct err *e)
{
	struct blob *b = arg;
	unsigned char id[ID_SIZE];
	int r = store_put(b->s, piece, size, id, e);

	if (r == 0)
		ids_add(&b->ids, id);
	return b->ids.b.failed ? err_set(e, ENOMEM, "out of memory") : r;
}

int blob_write(struct blob *b, const void *data, size_t size, struct err *e)
{
	b->bytes += size;
	return cutter_feed(&b->cut, data, size, false, keep, b, e);
}

int blob_end(struct blob *b, struct err *e)
{
	return cutter_feed(&b->cut, "", 0, true, keep, b, e);
}

void blob_free(struct blob *b)
{
	cutter_free(&b->cut);
	buf_free(&b->ids.b);
}

int blob_read(struct store *s, const json_t *chunks,
	int (*take)(void *arg, const void *data, size_t size, struct err *e), void *arg,
	struct err *e)
{
	autobuf out = {.max = SEALED_MAX};
	unsigned char id[ID_SIZE];
	const json_t *v;
	size_t i;

	json_array_foreach ((json_t *)(uintptr_t)chunks, i, v) {
		int r = id_parse(json_string_value(v), id);

		r = r < 0 ? err_set(e, -r, "the list of chunks is damaged")
			  : store_get(s, id, &out, e);
		if (r == 0)
			r = take(arg, out.data, out.len, e);
		if (r < 0)
			return r;
	}
	return 0;
}
