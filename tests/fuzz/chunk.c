/*
 * Chunked bodies: what is taken, refused and decoded does not depend on how the bytes
 * arrive, and is what a second reader, written down from RFC 9112 7.1 without a state
 * machine, says.
 */
#include "tests/fuzz/fuzz.h"

#include "router/http.h"

/* What became of some bytes: -1 refused, 0 more is needed, else so many belong to it. */
struct verdict {
	long taken;
	size_t payload;
	char *data; /* the caller's */
};

static bool is_visible(char c)
{
	return c == '\t' || (unsigned char)c >= 0x20;
}

/* A line at *at of visible bytes: its length, -1 refused, -2 cut off. *at is then behind it. */
static long line(const char *p, size_t n, size_t *at)
{
	size_t i = *at;

	while (i < n && is_visible(p[i]) && p[i] != 0x7f)
		i++;
	if (i == n)
		return -2;
	if (p[i] != '\r')
		return -1;
	if (i + 1 == n)
		return -2;
	if (p[i + 1] != '\n')
		return -1;
	long len = (long)(i - *at);
	*at = i + 2;
	return len;
}

/* Digits and perhaps an extension. How many bytes of it are the size; 0: none. */
static size_t read_size(const char *p, size_t n, uint64_t *ret)
{
	size_t i = 0;

	for (*ret = 0; i < n && strchr("0123456789abcdefABCDEF", p[i]) && p[i]; i++) {
		char c = p[i];
		unsigned int d = c <= '9' ? (unsigned int)(c - '0')
					  : (unsigned int)((c | 0x20) - 'a' + 10);

		*ret = *ret * 16 + d;
	}
	return i > 15 ? 0 : i;
}

static bool is_trailer(const char *p, size_t n)
{
	const char *colon = memchr(p, ':', n);

	if (!colon || colon == p)
		return false;
	for (const char *c = p; c < colon; c++)
		if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f ||
			strchr("\"(),/;<=>?@[\\]{}", *c))
			return false;
	return true;
}

/* Cut off in a line of which what is there is refused already counts as "more" here. */
static long reference(const char *p, size_t n, char *payload, size_t *ret_payload)
{
	size_t at = 0, extensions = 0, trailers = 0;
	uint64_t size = 1;

	*ret_payload = 0;
	while (size) {
		size_t begin = at, digits;
		long len = line(p, n, &at);

		if (len < 0)
			return len == -1 ? -1 : 0;
		digits = read_size(p + begin, (size_t)len, &size);
		if (!digits || (digits < (size_t)len && p[begin + digits] != ';'))
			return -1;
		extensions += (size_t)len - digits ? (size_t)len - digits - 1 : 0;
		if (extensions > HTTP_EXT_MAX)
			return -1;
		size_t have = n - at < size ? n - at : (size_t)size;
		memcpy(payload + *ret_payload, p + at, have);
		*ret_payload += have;
		at += have;
		if (size && (have < size || n - at < 2))
			return n - at == 1 && p[at] != '\r' ? -1 : 0;
		if (size && memcmp(p + at, "\r\n", 2) != 0)
			return -1;
		at += size ? 2 : 0;
	}
	for (;;) {
		size_t begin = at;
		long len = line(p, n, &at);

		if (len < 0)
			return len == -1 ? -1 : 0;
		trailers += (size_t)len + (len ? 1 : 0) + (len ? 0 : 1);
		if (len == 0)
			return trailers > HTTP_TRAILER_MAX ? -1 : (long)at;
		if (!is_trailer(p + begin, (size_t)len) || trailers > HTTP_TRAILER_MAX)
			return -1;
	}
}

/* Pieces of 1 .. most bytes, chosen by seed; most 0: all at once. */
static struct verdict feed(
	const char *p, size_t n, size_t most, uint32_t seed, bool decode)
{
	struct verdict v = {.data = malloc(n + 1)};
	struct body b;
	size_t at = 0;

	CHECK(v.data);
	body_init(&b, BODY_CHUNKED, 0);
	while (at < n && !b.done) {
		seed = seed * 1103515245u + 12345u;
		size_t piece = most ? (seed >> 16) % most + 1 : n, got = 0;

		piece = piece < n - at ? piece : n - at;
		char *copy = text_of((const uint8_t *)p + at, piece);
		ssize_t r = decode ? body_decode(&b, copy, piece, &got)
				   : body_take(&b, copy, piece);
		CHECK(r < 0 || ((size_t)r <= piece && got <= (size_t)r));
		CHECK(r < 0 || b.done || (size_t)r == piece);
		if (r > 0)
			memcpy(v.data + v.payload, copy, got);
		v.payload += got;
		free(copy);
		if (r < 0) {
			v.taken = -1;
			return v;
		}
		at += (size_t)r;
		CHECK(b.seen == at);
	}
	v.taken = b.done ? (long)at : 0;
	return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	size_t most = take_u8(&in) % 16, payload;
	uint32_t seed = take_u8(&in);
	const char *p = (const char *)in.p;
	char *want = malloc(in.n + 1);

	CHECK(want);
	long expected = reference(p, in.n, want, &payload);
	struct verdict whole = feed(p, in.n, 0, 0, true);
	struct verdict pieces = feed(p, in.n, most + 1, seed, true);
	struct verdict bytes = feed(p, in.n, 1, 0, true);
	struct verdict skipped = feed(p, in.n, most + 1, seed, false);

	CHECK(whole.taken == pieces.taken && whole.taken == bytes.taken &&
		whole.taken == skipped.taken);
	/* refused before the end of the line is seen: the reader by lines waits for it */
	CHECK(whole.taken == expected || (whole.taken < 0 && expected == 0));
	if (whole.taken >= 0) {
		CHECK(whole.payload == payload && pieces.payload == payload &&
			bytes.payload == payload);
		CHECK(memcmp(whole.data, want, payload) == 0 &&
			memcmp(pieces.data, want, payload) == 0 &&
			memcmp(bytes.data, want, payload) == 0);
	}
	free(want);
	free(whole.data);
	free(pieces.data);
	free(bytes.data);
	free(skipped.data);
	return 0;
}
