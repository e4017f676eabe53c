/* A piece of text in much text. */
#include "control/logs/needle.h"
#include <string.h>

typedef unsigned char vec __attribute__((vector_size(32), aligned(1), may_alias));

static unsigned char lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static bool is_letter(unsigned char c)
{
	return lower(c) >= 'a' && lower(c) <= 'z';
}

bool needle_init(struct needle *n, const char *text, bool fold)
{
	n->len = strlen(text);
	n->fold = fold;
	if (n->len > NEEDLE_MAX)
		return false;
	for (size_t i = 0; i <= n->len; i++)
		n->text[i] = (char)(fold ? lower((unsigned char)text[i])
					 : (unsigned char)text[i]);
	return true;
}

static bool fits(const struct needle *n, const char *at)
{
	if (!n->fold)
		return memcmp(at, n->text, n->len) == 0;
	for (size_t i = 0; i < n->len; i++)
		if (lower((unsigned char)at[i]) != (unsigned char)n->text[i])
			return false;
	return true;
}

/* The bit by which the two cases of c differ, when that is to be overlooked. */
static unsigned char case_bit(const struct needle *n, unsigned char c)
{
	return n->fold && is_letter(c) ? 0x20 : 0;
}

static const char *find_slowly(const struct needle *n, const char *in, size_t len)
{
	for (const char *at = in; (size_t)(in + len - at) >= n->len; at++)
		if (fits(n, at))
			return at;
	return NULL;
}

static bool any(vec v)
{
	uint64_t q[4];

	memcpy(q, &v, sizeof(q));
	return (q[0] | q[1] | q[2] | q[3]) != 0;
}

/* Built for the processor it meets: twice as fast where it has registers as wide as vec. */
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
__attribute__((target_clones("avx2", "default")))
#endif
static size_t
skip(const char *in, size_t end, size_t last_at, unsigned char first,
	unsigned char first_bit, unsigned char last, unsigned char last_bit)
{
	size_t i = 0;

	for (; i + sizeof(vec) <= end; i += sizeof(vec)) {
		vec a = *(const vec *)(const void *)(in + i) | first_bit;
		vec b = *(const vec *)(const void *)(in + i + last_at) | last_bit;

		if (any((vec)((a == first) & (b == last))))
			break;
	}
	return i;
}

const char *needle_find(const struct needle *n, const char *in, size_t len)
{
	unsigned char first = (unsigned char)n->text[0];
	size_t at = 0, end;

	if (n->len == 0)
		return in;
	if (len < n->len)
		return NULL;
	unsigned char last = (unsigned char)n->text[n->len - 1];
	unsigned char bits[2] = {case_bit(n, first), case_bit(n, last)};

	end = len - n->len + 1; /* places where it may begin */
	first |= bits[0];
	last |= bits[1];
	while (at < end) {
		at += skip(in + at, end - at, n->len - 1, first, bits[0], last, bits[1]);
		size_t part = end - at < sizeof(vec) ? end - at : sizeof(vec);
		const char *found = find_slowly(n, in + at, part + n->len - 1);

		if (found)
			return found;
		at += part;
	}
	return NULL;
}
