/* As much JSON as programs without a JSON library need. */
#include "lib/jtext.h"

#include <errno.h>
#include <string.h>

/* Length of the UTF-8 sequence at s, 0 when invalid (Unicode 15, table 3-7). */
static size_t sequence(const unsigned char *s, size_t len)
{
	size_t n = s[0] < 0x80	 ? 1
		   : s[0] < 0xc2 ? 0
		   : s[0] < 0xe0 ? 2
		   : s[0] < 0xf0 ? 3
		   : s[0] < 0xf5 ? 4
				 : 0;

	if (n == 0 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
		(s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

size_t jtext_utf8(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		size_t n = sequence((const unsigned char *)s + i, len - i);

		if (n == 0)
			break;
		i += n;
	}
	return i;
}

int jtext_quote(struct buf *out, const char *s)
{
	size_t len = strlen(s);

	if (jtext_utf8(s, len) != len)
		return -EILSEQ;
	buf_adds(out, "\"");
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_addf(out, "\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			buf_addf(out, "\\u%04x", (unsigned char)*s);
		else
			buf_add(out, s, 1);
	}
	return buf_adds(out, "\"");
}

static int hex4(const char *s, unsigned int *ret)
{
	unsigned int v = 0;

	for (int i = 0; i < 4; i++) {
		char c = s[i];

		if (c >= '0' && c <= '9')
			v = v * 16 + (unsigned int)(c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			v = v * 16 + (unsigned int)((c | 32) - 'a' + 10);
		else
			return -EINVAL;
	}
	*ret = v;
	return 0;
}

static void add_utf8(struct buf *out, unsigned int c)
{
	char u[4];
	size_t n = 0;

	if (c < 0x80) {
		u[n++] = (char)c;
	} else if (c < 0x800) {
		u[n++] = (char)(0xc0 | c >> 6);
		u[n++] = (char)(0x80 | (c & 63));
	} else if (c < 0x10000) {
		u[n++] = (char)(0xe0 | c >> 12);
		u[n++] = (char)(0x80 | (c >> 6 & 63));
		u[n++] = (char)(0x80 | (c & 63));
	} else {
		u[n++] = (char)(0xf0 | c >> 18);
		u[n++] = (char)(0x80 | (c >> 12 & 63));
		u[n++] = (char)(0x80 | (c >> 6 & 63));
		u[n++] = (char)(0x80 | (c & 63));
	}
	buf_add(out, u, n);
}

/* After "\u": the four digits at s, and the second half of a pair. The place after them,
 * or NULL. */
static const char *unicode(const char *s, struct buf *out)
{
	unsigned int c, low;

	if (hex4(s, &c) < 0)
		return NULL;
	s += 4;
	if (c >= 0xd800 && c < 0xdc00 && s[0] == '\\' && s[1] == 'u' &&
		hex4(s + 2, &low) == 0 && low >= 0xdc00 && low < 0xe000) {
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		s += 6;
	}
	add_utf8(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c ? c : 0xfffd);
	return s;
}

/* Decodes the string whose first byte after the quote is s. The place after its closing
 * quote, or NULL. */
static const char *string(const char *s, struct buf *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

	while (*s && *s != '"') {
		const char *at;

		if (*s != '\\') {
			buf_add(out, s++, 1);
			continue;
		}
		s++;
		if (*s == 'u') {
			s = unicode(s + 1, out);
			if (!s)
				return NULL;
			continue;
		}
		at = *s ? strchr(from, *s) : NULL;
		if (!at)
			return NULL;
		buf_add(out, to + (at - from), 1);
		s++;
	}
	return *s == '"' ? s + 1 : NULL;
}

static const char *blanks(const char *s)
{
	return s + strspn(s, " \t\r\n");
}

/* The value after the next `key:` from s on, or NULL. */
static const char *find(const char *s, const char *key)
{
	autobuf word = BUF_INIT;

	while ((s = strchr(s, '"'))) {
		buf_reset(&word);
		s = string(s + 1, &word);
		if (!s || word.failed)
			return NULL;
		s = blanks(s);
		if (*s != ':')
			continue;
		s = blanks(s + 1);
		if (word.data && strcmp(word.data, key) == 0)
			return s;
	}
	return NULL;
}

bool jtext_string(const char *json, const char *key, struct buf *out)
{
	size_t before = out->len;

	while ((json = find(json, key))) {
		if (*json == '"' && string(json + 1, out) && !out->failed)
			return true;
		out->len = before;
	}
	return false;
}

bool jtext_int(const char *json, const char *key, int *ret)
{
	while ((json = find(json, key))) {
		bool minus = *json == '-';
		size_t n = strspn(json + minus, "0123456789");

		if (n == 0 || n > 9 ||
			strchr(".eE", json[minus + n] ? json[minus + n] : ' '))
			continue;
		*ret = (int)strtol(json, NULL, 10);
		return true;
	}
	return false;
}

void jtext_blank_comments(char *p)
{
	while (*p) {
		if (*p == '"') {
			for (p++; *p && *p != '"'; p++) {
				if (*p == '\\' && p[1])
					p++;
			}
			p += *p != '\0';
		} else if (p[0] == '/' && p[1] == '/') {
			while (*p && *p != '\n')
				*p++ = ' ';
		} else if (p[0] == '/' && p[1] == '*') {
			char *end = strstr(p + 2, "*/");
			end = end ? end + 2 : p + strlen(p);
			for (; p < end; p++)
				*p = *p == '\n' ? '\n' : ' ';
		} else {
			p++;
		}
	}
}
