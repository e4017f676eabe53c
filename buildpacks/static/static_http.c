/* The parts of berth-static that have no side effects: request heads, ranges, dates,
 * types. */
#include "buildpacks/static/static_http.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *ext, *type;
} types[] = {
	{"html", "text/html; charset=utf-8"},
	{"htm", "text/html; charset=utf-8"},
	{"css", "text/css; charset=utf-8"},
	{"js", "text/javascript; charset=utf-8"},
	{"mjs", "text/javascript; charset=utf-8"},
	{"json", "application/json"},
	{"map", "application/json"},
	{"webmanifest", "application/manifest+json"},
	{"txt", "text/plain; charset=utf-8"},
	{"md", "text/markdown; charset=utf-8"},
	{"csv", "text/csv; charset=utf-8"},
	{"xml", "application/xml"},
	{"rss", "application/rss+xml"},
	{"atom", "application/atom+xml"},
	{"svg", "image/svg+xml"},
	{"png", "image/png"},
	{"jpg", "image/jpeg"},
	{"jpeg", "image/jpeg"},
	{"gif", "image/gif"},
	{"webp", "image/webp"},
	{"avif", "image/avif"},
	{"ico", "image/x-icon"},
	{"bmp", "image/bmp"},
	{"woff", "font/woff"},
	{"woff2", "font/woff2"},
	{"ttf", "font/ttf"},
	{"otf", "font/otf"},
	{"wasm", "application/wasm"},
	{"pdf", "application/pdf"},
	{"zip", "application/zip"},
	{"gz", "application/gzip"},
	{"mp3", "audio/mpeg"},
	{"ogg", "audio/ogg"},
	{"wav", "audio/wav"},
	{"mp4", "video/mp4"},
	{"webm", "video/webm"},
};

const char *http_type_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *dot = strrchr(slash ? slash : path, '.');

	for (size_t i = 0; dot && i < ARRAY_LEN(types); i++)
		if (strcasecmp(dot + 1, types[i].ext) == 0)
			return types[i].type;
	return "application/octet-stream";
}

const char *http_reason_of(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 206:
		return "Partial Content";
	case 301:
		return "Moved Permanently";
	case 302:
		return "Found";
	case 303:
		return "See Other";
	case 307:
		return "Temporary Redirect";
	case 308:
		return "Permanent Redirect";
	case 304:
		return "Not Modified";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 416:
		return "Range Not Satisfiable";
	case 431:
		return "Request Header Fields Too Large";
	case 501:
		return "Not Implemented";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Internal Server Error";
	}
}

/* strftime's names are English in the C locale. */
void http_format_date(time_t t, char out[40])
{
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, 40, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes a path. 0, -EINVAL for what no path may hold (a NUL, a bad escape),
 * -ENAMETOOLONG. */
static int decode(const char *s, int len, char *out, size_t size)
{
	size_t n = 0;

	for (int i = 0; i < len; i++) {
		int c = (unsigned char)s[i];
		if (c == '%') {
			int hi = i + 2 < len ? hex_of(s[i + 1]) : -1;
			int lo = hi >= 0 ? hex_of(s[i + 2]) : -1;
			if (lo < 0)
				return -EINVAL;
			c = hi << 4 | lo;
			i += 2;
		}
		if (c == 0)
			return -EINVAL;
		if (n + 1 >= size)
			return -ENAMETOOLONG;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return 0;
}

bool http_path_hidden(const char *path)
{
	static const char known[] = ".well-known/";

	if (strncmp(path, known, strlen(known)) == 0)
		path += strlen(known);
	for (const char *s = path; s; s = strchr(s, '/') ? strchr(s, '/') + 1 : NULL)
		if (*s == '.' || *s == '/')
			return true;
	return false;
}

/* "METHOD SP target SP HTTP/1.x" at line. 0 or a status. */
static int parse_line(char *line, struct http_request *r)
{
	char *target = strchr(line, ' ');
	char *version = target ? strchr(target + 1, ' ') : NULL;

	if (!version)
		return 400;
	*target++ = '\0';
	*version++ = '\0';
	if (strncmp(version, "HTTP/1.", 7) != 0 ||
		(version[7] != '0' && version[7] != '1') || version[8])
		return strncmp(version, "HTTP/", 5) == 0 ? 505 : 400;
	r->keep = version[7] == '1';
	r->head = strcmp(line, "HEAD") == 0;
	if (!r->head && strcmp(line, "GET") != 0)
		return 405;
	if (*target != '/')
		return 400;
	r->raw_path = target;
	r->raw_len = (int)strcspn(target, "?");
	r->query = target + r->raw_len;
	r->query_len = (int)strlen(r->query);
	int n = decode(target + 1, r->raw_len - 1, r->path, sizeof(r->path));
	return n == 0 ? 0 : n == -ENAMETOOLONG ? 404 : 400;
}

static int take_field(struct http_request *r, const char *name, const char *value)
{
	if (strcasecmp(name, "connection") == 0)
		r->keep = strcasecmp(value, "close") == 0	 ? false
			  : strcasecmp(value, "keep-alive") == 0 ? true
								 : r->keep;
	else if (strcasecmp(name, "range") == 0)
		r->range = value;
	else if (strcasecmp(name, "if-none-match") == 0)
		r->if_none = value;
	else if (strcasecmp(name, "if-modified-since") == 0)
		r->if_since = value;
	else if (strcasecmp(name, "if-range") == 0)
		r->if_range = value;
	else if (strcasecmp(name, "transfer-encoding") == 0)
		return 501; /* a GET with a body: we could not find its end */
	else if (strcasecmp(name, "content-length") == 0 && strcmp(value, "0") != 0)
		return 400;
	return 0;
}

int http_parse_head(char *h, struct http_request *r)
{
	int status = 0;

	*r = (struct http_request){0};
	for (char *line = h, *end; *line && status == 0; line = end + 2) {
		end = strstr(line, "\r\n");
		if (!end)
			return 400;
		*end = '\0';
		if (strpbrk(line, "\r\n"))
			return 400;
		if (line == h) {
			status = parse_line(line, r);
			continue;
		}
		char *colon = strchr(line, ':');
		if (!colon || colon == line ||
			strcspn(line, " \t") < (size_t)(colon - line))
			return 400;
		*colon++ = '\0';
		colon += strspn(colon, " \t");
		for (size_t n = strlen(colon); n > 0 && strchr(" \t", colon[n - 1]); n--)
			colon[n - 1] = '\0';
		status = take_field(r, line, colon);
	}
	return status;
}

bool http_etag_matches(const char *list, const char *etag)
{
	size_t n = strlen(etag);

	if (strcmp(list, "*") == 0)
		return true;
	for (const char *s = list; (s = strstr(s, etag)); s += n)
		if (s[n] == '\0' || s[n] == ',' || s[n] == ' ')
			return true;
	return false;
}

static int parse_off(const char **s, off_t *ret)
{
	off_t v = 0;

	if (**s < '0' || **s > '9')
		return -EINVAL;
	for (; **s >= '0' && **s <= '9'; (*s)++) {
		if (v > (off_t)1 << 56)
			return -ERANGE;
		v = v * 10 + (**s - '0');
	}
	*ret = v;
	return 0;
}

int http_parse_range(const char *s, off_t size, off_t *ret_first, off_t *ret_last)
{
	off_t first, last = size - 1;

	if (strncmp(s, "bytes=", 6) != 0)
		return 200;
	s += 6;
	if (*s == '-') {
		s++;
		if (parse_off(&s, &first) < 0 || *s)
			return 200;
		first = first > size ? 0 : size - first;
	} else {
		if (parse_off(&s, &first) < 0 || *s++ != '-')
			return 200;
		if (*s && (parse_off(&s, &last) < 0 || *s || last < first))
			return 200;
	}
	if (first >= size)
		return 416;
	*ret_first = first;
	*ret_last = last < size - 1 ? last : size - 1;
	return 206;
}
