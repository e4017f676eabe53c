/* Text of programs that are not trusted, safe to show. */
#include "lib/plain.h"
#include <string.h>

/* Length of the valid UTF-8 sequence at p (Unicode table 3-7), 0 when there is none. */
static size_t utf8_length(const unsigned char *p, size_t len)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (p[0] == 0xc2)
		low = 0xa0; /* C1 controls are U+0080 to U+009F */
	else if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (len < n || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return n;
}

/* Length of ESC [ digits, semicolons and colons m, 0 when it is something else. */
static size_t colour_length(const unsigned char *p, size_t len)
{
	size_t i = 2;

	if (len < 3 || p[0] != 0x1b || p[1] != '[')
		return 0;
	while (i < len && ((p[i] >= '0' && p[i] <= '9') || p[i] == ';' || p[i] == ':'))
		i++;
	return i < len && p[i] == 'm' ? i + 1 : 0;
}

typedef signed char vec __attribute__((vector_size(16), aligned(1), may_alias));

/* Copies from the start on what needs no change: printable ASCII and tabs. How much. */
static size_t copy_clean(char *out, const unsigned char *p, size_t len)
{
	size_t i = 0;

	for (; i + sizeof(vec) <= len; i += sizeof(vec)) {
		vec v = *(const vec *)(p + i);
		vec ok = ((v > 0x1f) & (v != 0x7f)) |
			 (v == '\t'); /* signed: no 0x80 and up */
		uint64_t half[2];

		*(vec *)(out + i) = v;
		memcpy(half, &ok, sizeof(half));
		if ((half[0] & half[1]) != UINT64_MAX)
			break;
	}
	for (; i < len && ((p[i] > 0x1f && p[i] < 0x7f) || p[i] == '\t'); i++)
		out[i] = (char)p[i];
	return i;
}

static bool is_end(const unsigned char *p, size_t len)
{
	return len == 3 || (len == PLAIN_END_LEN && p[2] == '0');
}

static size_t escape(char *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	out[0] = '\\';
	out[1] = 'x';
	out[2] = hex[c >> 4];
	out[3] = hex[c & 15];
	return 4;
}

/* One character that is not clean; *ret_used: how many bytes it took. */
static size_t put(char *out, const unsigned char *p, size_t len, size_t *ret_used)
{
	size_t used = *p >= 0x80 ? utf8_length(p, len) : 0;

	*ret_used = used ? used : 1;
	if (!used)
		return escape(out, *p);
	memcpy(out, p, used);
	return used;
}

size_t plain_copy(char *out, const char *in, size_t len, enum plain_colours colours)
{
	const unsigned char *p = (const unsigned char *)in;
	bool open = false;
	size_t n = 0, used;

	for (size_t i = 0; i < len; i += used) {
		used = copy_clean(out + n, p + i, len - i);
		n += used;
		if (used)
			continue;
		used = colour_length(p + i, len - i);
		if (!used) {
			n += put(out + n, p + i, len - i, &used);
		} else if (colours == PLAIN_WITH_COLOURS) {
			memcpy(out + n, p + i, used);
			n += used;
			open = !is_end(p + i, used);
		}
	}
	if (open) {
		memcpy(out + n, PLAIN_END, PLAIN_END_LEN);
		n += PLAIN_END_LEN;
	}
	return n;
}
