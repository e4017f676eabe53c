/* Bodies: counts a length down, or walks chunked framing (RFC 9112 7.1) byte for byte. */
#include "router/http.h"
#include <errno.h>
#include <string.h>

enum state {
	SIZE,
	EXT,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	LAST, /* after the last chunk or a trailer line: another trailer or the empty line
	       */
	NAME,
	VALUE,
	VALUE_LF,
	END_LF,
	DONE,
};

#define SIZE_DIGITS_MAX 15 /* 2^60 bytes; no overflow, and no use for leading zeros */

static int hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool text(uint8_t c)
{
	return c == '\t' || (c >= 0x20 && c != 0x7f);
}

static bool token(uint8_t c)
{
	return c > 0x20 && c < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

static int step_size(struct chunk *k, uint8_t c)
{
	int d = hex(c);

	if (d >= 0) {
		if (k->digits++ >= SIZE_DIGITS_MAX)
			return -EBADMSG;
		k->left = k->left << 4 | (uint64_t)d;
		return 0;
	}
	if (!k->digits || (c != '\r' && c != ';'))
		return -EBADMSG;
	k->state = c == ';' ? EXT : SIZE_LF;
	return 0;
}

static int step_name(struct chunk *k, uint8_t c)
{
	if (token(c)) {
		if (k->name_len < sizeof(k->name))
			k->name[k->name_len++] = (char)c;
		k->state = NAME;
		return 0;
	}
	if (c != ':' || !k->name_len)
		return -EBADMSG;
	if (k->strict && !http_trailer_allowed(k->name, k->name_len))
		return -EBADMSG;
	k->state = VALUE;
	return 0;
}

static int step_trailer(struct chunk *k, uint8_t c)
{
	if (++k->extra > HTTP_TRAILER_MAX)
		return -EBADMSG;
	switch (k->state) {
	case LAST:
		k->name_len = 0;
		if (c != '\r')
			return step_name(k, c);
		k->state = END_LF;
		return 0;
	case NAME:
		return step_name(k, c);
	default: /* VALUE */
		if (c == '\r')
			k->state = VALUE_LF;
		else if (!text(c))
			return -EBADMSG;
		return 0;
	}
}

static int step(struct chunk *k, uint8_t c)
{
	static const uint8_t after_lf[] = {
		[DATA_LF] = SIZE,
		[VALUE_LF] = LAST,
		[END_LF] = DONE,
	};

	switch (k->state) {
	case SIZE:
		return step_size(k, c);
	case EXT:
		if (c == '\r')
			k->state = SIZE_LF;
		else if (!text(c) || ++k->extra > HTTP_EXT_MAX)
			return -EBADMSG;
		return 0;
	case SIZE_LF:
		if (c != '\n')
			return -EBADMSG;
		k->state = k->left ? DATA : LAST;
		if (__builtin_add_overflow(k->size, k->left, &k->size))
			k->size = UINT64_MAX;
		k->extra = k->left ? k->extra : 0;
		k->digits = 0;
		return 0;
	case DATA_CR:
		if (c != '\r')
			return -EBADMSG;
		k->state = DATA_LF;
		return 0;
	case DATA_LF:
	case VALUE_LF:
	case END_LF:
		if (c != '\n')
			return -EBADMSG;
		k->state = after_lf[k->state];
		return 0;
	default:
		return step_trailer(k, c);
	}
}

/* Lines of the trailer section, not the empty one that ends it. Their sum has a limit. */
static void keep_trailer(struct chunk *k, const char *c)
{
	bool line = k->state == NAME || k->state == VALUE || k->state == VALUE_LF ||
		    (k->state == LAST && *c != '\r');

	if (line && k->trailers)
		buf_add(k->trailers, c, 1);
}

/* Walks n bytes; with out, data moves there. Number taken or -EBADMSG. */
static ssize_t walk(struct chunk *k, const char *p, size_t n, char *out, size_t *ret_data)
{
	size_t i = 0, data = 0;

	while (i < n && k->state != DONE) {
		if (k->state == DATA) {
			size_t take = n - i < k->left ? n - i : (size_t)k->left;

			if (out)
				memmove(out + data, p + i, take);
			data += take;
			i += take;
			k->left -= take;
			if (!k->left)
				k->state = DATA_CR;
		} else {
			keep_trailer(k, p + i);
			if (step(k, (uint8_t)p[i++]) < 0)
				return -EBADMSG;
		}
	}
	*ret_data = data;
	return (ssize_t)i;
}

void body_init(struct body *b, enum body_kind kind, uint64_t length)
{
	memset(b, 0, sizeof(*b));
	b->kind = (uint8_t)kind;
	b->left = length;
	b->done = kind == BODY_NONE || (kind == BODY_LENGTH && !length);
}

uint64_t body_announced(const struct body *b)
{
	if (b->kind == BODY_CHUNKED)
		return b->chunk.size;
	return b->kind == BODY_LENGTH ? b->seen + b->left : b->seen;
}

static ssize_t take_chunked(
	struct body *b, const char *p, size_t n, char *out, size_t *ret_data)
{
	ssize_t r = walk(&b->chunk, p, n, out, ret_data);

	if (r > 0)
		b->seen += (uint64_t)r;
	b->done = b->chunk.state == DONE;
	return r;
}

ssize_t body_take(struct body *b, const char *p, size_t n)
{
	size_t data;

	if (b->done)
		return 0;
	if (b->kind == BODY_CHUNKED)
		return take_chunked(b, p, n, NULL, &data);
	if (b->kind == BODY_LENGTH) {
		if (n > b->left)
			n = (size_t)b->left;
		b->left -= n;
		b->done = !b->left;
	}
	b->seen += n;
	return (ssize_t)n;
}

ssize_t body_decode(struct body *b, char *p, size_t n, size_t *ret_data)
{
	ssize_t r;

	if (b->kind == BODY_CHUNKED && !b->done)
		return take_chunked(b, p, n, p, ret_data);
	r = body_take(b, p, n);
	*ret_data = (size_t)r;
	return r;
}
