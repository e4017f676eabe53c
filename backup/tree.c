/* A tree of files in a backup. */
#include "backup/tree.h"
#include "lib/io.h"
#include "lib/plain.h"
#include "lib/stow.h"
#include <endian.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define LOST_MAX ((size_t)300)	       /* bytes of what is told of one that is lost */
#define SEGMENTS_MAX ((size_t)1 << 20) /* of a file in its row; more are put into lists */

/* ---- the digest ---- */

static void digest_row(EVP_MD_CTX *d, const struct row *row)
{
	EVP_DigestUpdate(d, row->entry + STOW_IDENTITY, row->entry_size - STOW_IDENTITY);
	EVP_DigestUpdate(d, row->segments, (size_t)(row->end - row->segments));
}

static void digest_end(EVP_MD_CTX *d, char hex[2 * ID_SIZE + 1])
{
	unsigned char out[EVP_MAX_MD_SIZE];

	EVP_DigestFinal_ex(d, out, NULL);
	id_hex(out, hex);
}

static EVP_MD_CTX *digest_new(void)
{
	EVP_MD_CTX *d = EVP_MD_CTX_new();

	if (!d || EVP_DigestInit_ex(d, EVP_sha256(), NULL) != 1)
		abort();
	return d;
}

/* ---- keeping one ---- */

struct putting {
	struct store *s;
	struct known *k;
	struct known *next; /* of a first reading: its rows, in place of the list */
	struct blob list;
	struct cutter cut; /* of the file that comes */
	struct buf entry, segments,
		small;	  /* of it; small: as long as all of it is small */
	struct buf lists; /* segments that stand for all that came before */
	uint32_t n_segments, n_lists;
	bool open, large;
	uint64_t same, size; /* size: of all files, holes not counted */
	uint64_t lost;
	char first_lost[PLAIN_FACTOR * LOST_MAX + PLAIN_END_LEN];
	size_t first_lost_len;
	EVP_MD_CTX *digest;
};

static void add_u32(struct buf *b, uint32_t v)
{
	v = htole32(v);
	buf_add(b, &v, sizeof(v));
}

/* When there are many of them, those that came so far are kept as a chunk. */
static int end_segment(struct putting *p, struct err *e)
{
	const unsigned char *start = (const unsigned char *)p->segments.data;
	unsigned char id[ID_SIZE];

	if (p->segments.failed)
		return err_set(e, ENOMEM, "out of memory");
	p->n_segments++;
	if (p->segments.len < SEGMENTS_MAX)
		return 0;
	uint64_t le = htole64(segments_bytes(start, start + p->segments.len));
	int r = store_put(p->s, start, p->segments.len, id, e);
	buf_add(&p->lists, "L", 1);
	buf_add(&p->lists, &le, sizeof(le));
	buf_add(&p->lists, id, ID_SIZE);
	p->n_lists++;
	p->n_segments = 0;
	buf_reset(&p->segments);
	return p->lists.failed ? err_set(e, EFBIG, "a file has too many parts") : r;
}

static int add_chunk(void *arg, const void *piece, size_t size, struct err *e)
{
	struct putting *p = arg;
	unsigned char id[ID_SIZE];
	int r = store_put(p->s, piece, size, id, e);

	buf_add(&p->segments, "C", 1);
	add_u32(&p->segments, (uint32_t)size);
	buf_add(&p->segments, id, ID_SIZE);
	return r < 0 ? r : end_segment(p, e);
}

/* What came since the last hole. */
static int end_bytes(struct putting *p, struct err *e)
{
	if (p->large) {
		p->large = false;
		return cutter_feed(&p->cut, "", 0, true, add_chunk, p, e);
	}
	if (p->small.len == 0)
		return 0;
	buf_add(&p->segments, "I", 1);
	add_u32(&p->segments, (uint32_t)p->small.len);
	buf_add(&p->segments, p->small.data, p->small.len);
	buf_reset(&p->small);
	return end_segment(p, e);
}

static int take_bytes(struct putting *p, const struct buf *data, struct err *e)
{
	if (!p->open)
		return err_set(e, EBADMSG, "bytes of no file came");
	if (!p->large && p->small.len + data->len <= TREE_INLINE)
		return buf_add(&p->small, data->data, data->len) < 0
			       ? err_set(e, ENOMEM, "out of memory")
			       : 0;
	if (!p->large && p->small.len) {
		p->large = true;
		int r = cutter_feed(
			&p->cut, p->small.data, p->small.len, false, add_chunk, p, e);
		buf_reset(&p->small);
		if (r < 0)
			return r;
	}
	p->large = true;
	return cutter_feed(&p->cut, data->data, data->len, false, add_chunk, p, e);
}

static int take_hole(struct putting *p, const struct frame *f, struct err *e)
{
	uint64_t size, le;
	int r = end_bytes(p, e);

	if (r < 0)
		return r;
	if (!p->open || frame_number(f, &size) < 0)
		return err_set(e, EBADMSG, "a hole of no file came");
	le = htole64(size);
	buf_add(&p->segments, "H", 1);
	buf_add(&p->segments, &le, sizeof(le));
	return end_segment(p, e);
}

/* A row, new or as it was, becomes part of the tree. */
static int add_row(struct putting *p, const struct row *row, struct err *e)
{
	p->size += segments_bytes(row->segments, row->end);
	if (p->next)
		return known_add(p->next, row, e);
	digest_row(p->digest, row);
	return blob_write(&p->list, row->start, (size_t)(row->end - row->start), e);
}

static int end_row(struct putting *p, struct err *e)
{
	autobuf text = {.max = SEALED_MAX};
	struct row row;
	int r = end_bytes(p, e);

	if (r < 0 || !p->open)
		return r;
	p->open = false;
	add_u32(&text, (uint32_t)p->entry.len);
	buf_add(&text, p->entry.data, p->entry.len);
	add_u32(&text, p->n_lists + p->n_segments);
	buf_add(&text, p->lists.data, p->lists.len);
	buf_add(&text, p->segments.data, p->segments.len);
	if (text.failed || row_read(text.data, text.len, &row) != 1)
		return err_set(e, EBADMSG, "a file cannot be listed");
	return add_row(p, &row, e);
}

static int take_entry(struct putting *p, const struct buf *entry, struct err *e)
{
	int r = end_row(p, e);

	buf_reset(&p->entry);
	buf_reset(&p->lists);
	buf_reset(&p->segments);
	p->n_lists = p->n_segments = 0;
	p->open = true;
	if (r == 0 && (entry->len < STOW_IDENTITY || entry->len > STOW_ENTRY_MAX ||
			      buf_add(&p->entry, entry->data, entry->len) < 0))
		r = err_set(e, EBADMSG, "what came is no entry");
	return r;
}

static int take_same(struct putting *p, const struct frame *f, struct err *e)
{
	struct row row;
	uint64_t i;
	int r = end_row(p, e);

	if (r < 0)
		return r;
	if (!p->k || frame_number(f, &i) < 0 || i >= p->k->n)
		return err_set(e, EBADMSG, "a file is the same as none");
	if ((r = known_row(p->k, i, &row, e)) < 0)
		return r;
	p->same++;
	return add_row(p, &row, e);
}

static int take_end(struct putting *p, const struct frame *f, struct err *e)
{
	uint32_t end = htole32(ROW_END);
	int r = end_row(p, e);

	if (p->next)
		return r;
	if (r == 0)
		r = blob_write(&p->list, &end, sizeof(end), e);
	if (r == 0)
		r = blob_write(&p->list, f->body.data, f->body.len, e);
	return r < 0 ? r : blob_end(&p->list, e);
}

/* In the place of files: why there are none. */
static int said_error(const struct frame *f, struct err *e)
{
	json_t *said = json_loadb(f->body.data, f->body.len, 0, NULL);
	const char *error = json_string_value(json_object_get(said, "error"));
	int r = err_set(e, EIO, "%s", error ? error : "what came is no tree of files");

	json_decref(said);
	return r;
}

/* Names of files are not trusted: what is told of them is plain. */
static void take_lost(struct putting *p, const struct buf *text)
{
	size_t len = text->len < LOST_MAX ? text->len : LOST_MAX;

	if (p->lost++ == 0)
		p->first_lost_len =
			plain_copy(p->first_lost, text->data, len, PLAIN_WITHOUT_COLOURS);
}

/* 1: more come. */
static int take(
	struct putting *p, const struct frame *f, struct frame_end *end, struct err *e)
{
	int r;

	switch (f->kind) {
	case FRAME_ENTRY:
		r = take_entry(p, &f->body, e);
		break;
	case FRAME_DATA:
		r = take_bytes(p, &f->body, e);
		break;
	case FRAME_HOLE:
		r = take_hole(p, f, e);
		break;
	case FRAME_SAME:
		r = take_same(p, f, e);
		break;
	case FRAME_LOST:
		take_lost(p, &f->body);
		return 1;
	case FRAME_END:
		if (frame_end_read(f, end) < 0)
			return err_set(e, EBADMSG, "the end is none");
		return take_end(p, f, e);
	case FRAME_JSON:
	default:
		return said_error(f, e);
	}
	return r < 0 ? r : 1;
}

static int put(struct putting *p, int fd, struct frame_end *end, struct err *e)
{
	struct frame f = {0};
	int r;

	blob_open(&p->list, p->s);
	cutter_init(&p->cut, store_keys(p->s));
	p->lists.max = SEALED_MAX / 2;
	p->digest = digest_new();
	do {
		r = frame_read(fd, &f);
		r = r < 0 ? err_sys(e, -r, "what berth sends was cut off")
			  : take(p, &f, end, e);
	} while (r > 0);
	frame_free(&f);
	return r;
}

static void put_free(struct putting *p)
{
	blob_free(&p->list);
	cutter_free(&p->cut);
	buf_free(&p->entry);
	buf_free(&p->lists);
	buf_free(&p->segments);
	buf_free(&p->small);
	EVP_MD_CTX_free(p->digest);
}

int tree_put(struct store *s, struct known *k, int fd, json_t **ret, struct err *e)
{
	struct putting p = {.s = s, .k = k};
	struct frame_end end = {0};
	char hex[2 * ID_SIZE + 1];
	int r = put(&p, fd, &end, e);

	digest_end(p.digest, hex);
	if (r == 0)
		*ret = json_pack("{s:I, s:I, s:I, s:I, s:s, s:o, s:I, s:I, s:s%}",
			"entries", (json_int_t)end.entries, "size", (json_int_t)p.size,
			"bytes", (json_int_t)end.bytes, "left_out",
			(json_int_t)end.left_out, "digest", hex, "chunks",
			ids_json(&p.list.ids), "same", (json_int_t)p.same, "lost",
			(json_int_t)p.lost, "first_lost", p.first_lost, p.first_lost_len);
	put_free(&p);
	return r;
}

int tree_put_first(
	struct store *s, struct known *k, int fd, struct known *next, struct err *e)
{
	struct putting p = {.s = s, .k = k, .next = next};
	struct frame_end end = {0};

	*next = (struct known){0};
	int r = put(&p, fd, &end, e);
	put_free(&p);
	if (r < 0)
		known_free(next);
	return r;
}

/* ---- giving one back ---- */

struct getting {
	struct store *s;
	int fd;
	EVP_MD_CTX *digest;
	struct buf chunk;
};

static int send_part(int fd, const void *data, size_t size)
{
	const char *at = data;
	int r = 0;

	for (size_t n; r == 0 && size; at += n, size -= n) {
		n = size < FRAME_MAX ? size : FRAME_MAX;
		r = frame_write(fd, FRAME_DATA, at, n);
	}
	return r;
}

static int send_segment(void *arg, const struct segment *s, struct err *e)
{
	struct getting *g = arg;
	uint64_t le = htole64(s->size);
	int r;

	if (s->kind == 'H')
		r = frame_write(g->fd, FRAME_HOLE, &le, sizeof(le));
	else if (s->kind == 'I')
		r = send_part(g->fd, s->data, s->size);
	else if ((r = store_get(g->s, s->data, &g->chunk, e)) < 0)
		return r;
	else
		r = send_part(g->fd, g->chunk.data, g->chunk.len);
	return r < 0 ? err_sys(e, -r, "hand the files to berth") : 0;
}

static int send_row(void *arg, const struct row *row, struct err *e)
{
	struct getting *g = arg;
	int r;

	if (row->entry_size == ROW_END)
		r = frame_write(g->fd, FRAME_END, row->entry, 24);
	else
		r = frame_write(g->fd, FRAME_ENTRY, row->entry, row->entry_size);
	if (r < 0)
		return err_sys(e, -r, "hand the files to berth");
	if (row->entry_size == ROW_END)
		return 0;
	digest_row(g->digest, row);
	return read_segments(&(struct reading){g->s, send_segment, g}, row, e);
}

int tree_get(struct store *s, const json_t *item, int fd, struct err *e)
{
	struct getting g = {
		.s = s, .fd = fd, .digest = digest_new(), .chunk.max = SEALED_MAX};
	const char *digest = json_string_value(json_object_get(item, "digest"));
	char hex[2 * ID_SIZE + 1];
	int r = read_rows(s, json_object_get(item, "chunks"), send_row, &g, e);

	digest_end(g.digest, hex);
	if (r == 0 && (!digest || strcmp(digest, hex) != 0))
		r = err_set(e, EBADMSG, "its digest is another");
	EVP_MD_CTX_free(g.digest);
	buf_free(&g.chunk);
	return r;
}

/* ---- looking at one ---- */

struct checking {
	struct store *s;
	void (*missing)(void *arg, const char *path, const char *why);
	void *arg;
	struct buf chunk;
	int bad;
};

static int check_segment(void *arg, const struct segment *one, struct err *e)
{
	struct checking *c = arg;

	return one->kind == 'C' ? store_get(c->s, one->data, &c->chunk, e) : 0;
}

static int check_row(void *arg, const struct row *row, struct err *e UNUSED)
{
	struct checking *c = arg;
	struct stow_entry entry;
	struct err why = {0};
	char path[STOW_PATH_MAX + 1];

	if (row->entry_size == ROW_END ||
		stow_entry_read(row->entry, row->entry_size, &entry) < 0)
		return 0;
	if (read_segments(&(struct reading){c->s, check_segment, c}, row, &why) == 0)
		return 0;
	snprintf(path, sizeof(path), "%.*s", (int)entry.path_len, entry.path);
	c->missing(c->arg, path, why.text);
	c->bad++;
	return 0;
}

int tree_verify(struct store *s, const json_t *item,
	void (*missing)(void *arg, const char *path, const char *why), void *arg)
{
	struct checking c = {
		.s = s, .missing = missing, .arg = arg, .chunk.max = SEALED_MAX};
	struct err e = {0};

	if (read_rows(s, json_object_get(item, "chunks"), check_row, &c, &e) < 0) {
		missing(arg, "", e.text);
		c.bad++;
	}
	buf_free(&c.chunk);
	return c.bad;
}
