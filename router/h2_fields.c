/* Lines of HTTP/1.1 as fields of HTTP/2: heads that go to apps, trailers both ways. */
#include "router/h2_fields.h"
#include "router/http.h"
#include <string.h>

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

bool h2_field_next(const char **p, const char *end, nghttp2_nv *ret)
{
	const char *line = *p, *v, *colon;
	const char *eol = memmem(line, (size_t)(end - line), "\r\n", 2), *last = eol;

	colon = eol ? memchr(line, ':', (size_t)(eol - line)) : NULL;
	if (!colon)
		return false;
	for (v = colon + 1; v < last && blank(*v);)
		v++;
	while (last > v && blank(last[-1]))
		last--;
	*ret = h2_field(line, (size_t)(colon - line), v, (size_t)(last - v));
	*p = eol + 2;
	return true;
}

size_t h2_fields_of_trailers(const char *p, size_t len, nghttp2_nv *out, size_t max)
{
	const char *end = p + len;
	size_t n = 0;

	while (n < max && h2_field_next(&p, end, &out[n]))
		if (http_identify((const char *)out[n].name, out[n].namelen) ==
			HTTP_OTHER)
			n++;
	return n;
}
