/* gzip for responses, where an app's owner wants it. */
#include "router/compress.h"
#include "router/worker.h"
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define LEVEL 4
#define WINDOW_BITS 13 /* 8 kB: pages repeat themselves near by */
#define MEMORY_LEVEL 6
#define GZIP 16 /* deflateInit2: head and trailer of gzip */
#define ROOM 32768u
#define HEAD_ROOM (HTTP_HEAD_MAX + RESPONSE_ROOM)
#define BEFORE 8u /* "ffff\r\n" of a chunk fits */
#define AFTER 8u  /* its end, and "0\r\n\r\n" */

struct compressor {
	z_stream z;
	struct compressor *next;
};

/* ---- what is compressed ---- */

static bool token_is(const char *p, size_t n, const char *lower)
{
	return n == strlen(lower) && !strncasecmp(p, lower, n);
}

static void trim(const char **p, size_t *n)
{
	while (*n && (**p == ' ' || **p == '\t'))
		++*p, --*n;
	while (*n && ((*p)[*n - 1] == ' ' || (*p)[*n - 1] == '\t'))
		--*n;
}

/* ";q=0", "; q=0.000" */
static bool is_zero(const char *p, size_t n)
{
	const char *q = memchr(p, '=', n);

	for (q = q ? q + 1 : p + n; q < p + n; q++)
		if (*q != '0' && *q != '.' && *q != ' ')
			return false;
	return memchr(p, '=', n) != NULL;
}

bool compress_accepted(const char *p, size_t n)
{
	bool any = false;

	while (n) {
		const char *comma = memchr(p, ',', n), *name = p, *semi;
		size_t len = comma ? (size_t)(comma - p) : n, name_len;

		n -= comma ? len + 1 : len;
		p += comma ? len + 1 : len;
		semi = memchr(name, ';', len);
		name_len = semi ? (size_t)(semi - name) : len;
		bool yes = !semi || !is_zero(semi, len - name_len);

		trim(&name, &name_len);
		if (token_is(name, name_len, "gzip") ||
			token_is(name, name_len, "x-gzip"))
			return yes;
		if (token_is(name, name_len, "*"))
			any = yes;
	}
	return any;
}

bool compress_type(const char *p, size_t n)
{
	static const char *const types[] = {"application/json", "application/javascript",
		"application/x-javascript", "application/xml", "application/wasm",
		"application/manifest+json", "application/graphql", "application/rtf",
		"application/vnd.ms-fontobject", "application/x-ndjson", "font/ttf",
		"font/otf", "image/bmp", "image/svg+xml", "image/x-icon",
		"image/vnd.microsoft.icon", NULL};
	const char *semi = memchr(p, ';', n);

	n = semi ? (size_t)(semi - p) : n;
	trim(&p, &n);
	if (n > 5 && !strncasecmp(p, "text/", 5))
		return true;
	if (n > 5 && (!strncasecmp(p + n - 5, "+json", 5) ||
			     !strncasecmp(p + n - 4, "+xml", 4)))
		return true;
	for (const char *const *t = types; *t; t++)
		if (token_is(p, n, *t))
			return true;
	return false;
}

struct facts {
	bool type, encoded, fixed; /* fixed: Cache-Control: no-transform */
};

static bool has_word(const char *p, size_t n, const char *word)
{
	size_t len = strlen(word);

	for (; n >= len; p++, n--)
		if (!strncasecmp(p, word, len))
			return true;
	return false;
}

static void look(const struct http_head *h, const char *p, struct facts *ret)
{
	for (uint32_t i = 0; i < h->n_fields; i++) {
		const struct http_field *f = &h->fields[i];
		const char *name = p + f->start, *value = p + f->value;

		if (f->id != HTTP_OTHER)
			continue;
		if (http_equal(name, f->name_len, "content-type"))
			ret->type = compress_type(value, f->value_len);
		else if (http_equal(name, f->name_len, "content-encoding") ||
			 http_equal(name, f->name_len, "content-range"))
			ret->encoded = true;
		else if (http_equal(name, f->name_len, "cache-control"))
			ret->fixed |= has_word(value, f->value_len, "no-transform");
	}
}

static struct compressor *take(struct worker *w)
{
	struct compressor *k = w->compressors;

	if (w->n_compressors >= COMPRESS_MAX)
		return NULL;
	if (k) {
		w->compressors = k->next;
		w->n_kept--;
	} else if (!(k = calloc(1, sizeof(*k))) ||
		   deflateInit2(&k->z, LEVEL, Z_DEFLATED, WINDOW_BITS + GZIP,
			   MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
		free(k);
		return NULL;
	}
	if (!w->squeezed)
		w->squeezed = malloc(HEAD_ROOM + BEFORE + ROOM + AFTER);
	if (!w->squeezed) {
		deflateEnd(&k->z);
		free(k);
		return NULL;
	}
	w->n_compressors++;
	return k;
}

void compress_begin(struct exchange *x, const struct http_head *h, const char *p)
{
	struct facts is = {0};

	look(h, p, &is);
	if (!is.type || is.encoded || is.fixed || h->status == 204 || h->status == 206 ||
		h->status == 304)
		return;
	x->vary = true;
	if (x->gzip == GZIP_TAKEN && !x->is_head && !x->minor0 && h->body != BODY_NONE &&
		(h->body != BODY_LENGTH || h->length >= COMPRESS_MIN))
		x->compressor = take(x->client->w);
}

void compress_end(struct exchange *x)
{
	struct worker *w = x->client->w;
	struct compressor *k = x->compressor;

	if (!k)
		return;
	x->compressor = NULL;
	w->n_compressors--;
	if (w->n_kept < COMPRESS_KEPT && deflateReset(&k->z) == Z_OK) {
		k->next = w->compressors;
		w->compressors = k;
		w->n_kept++;
		return;
	}
	deflateEnd(&k->z);
	free(k);
}

void compress_free_all(struct worker *w)
{
	struct compressor *k;

	while ((k = w->compressors)) {
		w->compressors = k->next;
		deflateEnd(&k->z);
		free(k);
	}
	free(w->squeezed);
}

/* ---- sending ---- */

/* n bytes lie at w->squeezed + at; the chunk around them. The whole length, from *ret_from on. */
static size_t frame(char *out, size_t at, size_t n, bool last, size_t *ret_from)
{
	static const char hex[] = "0123456789abcdef";
	size_t from = at, end = at + n;

	if (n) {
		memcpy(out + end, "\r\n", 2);
		end += 2;
		out[--from] = '\n';
		out[--from] = '\r';
		for (size_t v = n; v; v >>= 4)
			out[--from] = hex[v & 15];
	}
	if (last) {
		memcpy(out + end, "0\r\n\r\n", 5);
		end += 5;
	}
	*ret_from = from;
	return end - from;
}

/* What deflate has for us now, as one send; behind the head where there is one. */
static int send_piece(
	struct exchange *x, const char *head, size_t head_len, size_t n, bool last)
{
	char *out = x->client->w->squeezed;
	size_t at = HEAD_ROOM + BEFORE, from = at, len = n;

	if (compress_chunks(x))
		len = frame(out, at, n, last, &from);
	if (head_len > HEAD_ROOM) {
		int r = downstream_send(x->client, head, head_len);

		if (r < 0)
			return r;
	} else if (head_len) {
		from -= head_len;
		memmove(out + from, head, head_len);
		len += head_len;
	}
	x->sent_bytes += n;
	return len ? downstream_send(x->client, out + from, len) : 0;
}

int compress_send(struct exchange *x, const char *head, size_t head_len, const char *p,
	size_t n, bool last, bool flush)
{
	z_stream *z = &x->compressor->z;
	char *out = x->client->w->squeezed + HEAD_ROOM + BEFORE;
	int mode = last ? Z_FINISH : flush ? Z_SYNC_FLUSH : Z_NO_FLUSH, r;
	bool more = n || last || (flush && !head_len);

	z->next_in = (Bytef *)(uintptr_t)p;
	z->avail_in = (uInt)n;
	while (more || head_len) {
		z->next_out = (Bytef *)out;
		z->avail_out = ROOM;
		r = more ? deflate(z, mode) : Z_OK;
		if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
			return -EIO;
		more = !z->avail_out;
		r = send_piece(x, head, head_len, ROOM - z->avail_out, last && !more);
		if (r < 0)
			return r;
		head_len = 0;
	}
	return 0;
}
