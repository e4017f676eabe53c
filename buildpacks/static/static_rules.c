/* What a site says about its own paths: _redirects and _headers. */
#include "buildpacks/static/static_rules.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Fields that this server makes itself, or that belong to the connection. */
static const char *const own_fields[] = {"Connection", "Content-Length", "Content-Range",
	"Content-Type", "Date", "Keep-Alive", "Location", "Transfer-Encoding", "Trailer",
	"Upgrade"};

/* The next line, cut out of *at; NULL at the end. Blanks at its end are cut off. */
static char *next_line(char **at)
{
	char *line = *at;

	if (!line || !*line)
		return NULL;
	char *nl = strchr(line, '\n');
	*at = nl ? nl + 1 : NULL;
	if (nl)
		*nl = '\0';
	for (size_t n = strlen(line); n > 0 && strchr(" \t\r", line[n - 1]);)
		line[--n] = '\0';
	return line;
}

static bool printable(const char *s)
{
	for (; *s; s++)
		if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
			return false;
	return true;
}

static bool pattern_valid(const char *s)
{
	const char *star = strchr(s, '*');

	return *s == '/' && printable(s) && !(star && strchr(star + 1, '*'));
}

static bool target_valid(const char *s)
{
	return printable(s) && strlen(s) < RULES_TO_MAX &&
	       ((s[0] == '/' && s[1] != '/' && s[1] != '\\') ||
		       strncmp(s, "https://", 8) == 0 || strncmp(s, "http://", 7) == 0);
}

static const char *parse_status(const char *s, struct redirect *d)
{
	static const int known[] = {200, 301, 302, 303, 307, 308};

	d->status = 301;
	if (!s)
		return NULL;
	d->force = strlen(s) == 4 && s[3] == '!';
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		char text[8];
		snprintf(text, sizeof(text), "%d%s", known[i], d->force ? "!" : "");
		if (strcmp(s, text) == 0) {
			d->status = known[i];
			return NULL;
		}
	}
	return "the status is none of 200, 301, 302, 303, 307 and 308";
}

static const char *parse_redirect(struct rules *r, char *line)
{
	struct redirect d = {0};
	char *save;

	d.from = strtok_r(line, " \t", &save);
	d.to = strtok_r(NULL, " \t", &save);
	const char *status = strtok_r(NULL, " \t", &save);
	if (!d.to || !pattern_valid(d.from) || !target_valid(d.to))
		return "not understood: a line is /FROM /TO [STATUS]";
	if (strtok_r(NULL, " \t", &save))
		return "conditions are not known";
	const char *why = parse_status(status, &d);
	if (!why && d.status == 200 && d.to[0] != '/')
		why = "other sites cannot be shown, only redirected to";
	if (!why && r->n_redirects == RULES_MAX)
		why = "too many lines";
	if (!why)
		r->redirects[r->n_redirects++] = d;
	return why;
}

static void keep_text(struct rules *r, char *text)
{
	r->texts[r->texts[0] ? 1 : 0] = text;
}

void rules_parse_redirects(
	struct rules *r, char *text, rules_complain complain, void *arg)
{
	unsigned int number = 0;

	keep_text(r, text);
	for (char *at = text, *line; (line = next_line(&at));) {
		number++;
		line += strspn(line, " \t");
		const char *why = *line && *line != '#' ? parse_redirect(r, line) : NULL;
		if (why && complain)
			complain(arg, number, why);
	}
}

static bool field_allowed(const char *line, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(own_fields); i++)
		if (strlen(own_fields[i]) == len &&
			strncasecmp(own_fields[i], line, len) == 0)
			return false;
	return true;
}

static const char *parse_field(struct rules *r, const char *path, const char *line)
{
	static const char token[] =
		"!#$%&'*+-.^_`|~0123456789"
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	size_t n = strspn(line, token);

	if (!path)
		return "a header stands before any path";
	if (n == 0 || line[n] != ':' || !printable(line))
		return "not understood: a header is \"Name: value\"";
	if (!field_allowed(line, n))
		return "this header is the server's own";
	if (r->n_headers == RULES_MAX)
		return "too many lines";
	r->headers[r->n_headers++] = (struct header){.path = path, .line = line};
	return NULL;
}

void rules_parse_headers(struct rules *r, char *text, rules_complain complain, void *arg)
{
	const char *path = NULL, *why;
	unsigned int number = 0;

	keep_text(r, text);
	for (char *at = text, *line; (line = next_line(&at));) {
		number++;
		size_t indent = strspn(line, " \t");
		why = NULL;
		if (!line[indent] || line[indent] == '#')
			continue;
		if (indent > 0)
			why = parse_field(r, path, line + indent);
		else if (pattern_valid(line))
			path = line;
		else
			path = NULL, why = "not understood: a path begins with /";
		if (why && complain)
			complain(arg, number, why);
	}
}

void rules_free(struct rules *r)
{
	free(r->texts[0]);
	free(r->texts[1]);
	*r = (struct rules){0};
}

/* Whether path fits; *ret_splat and *ret_len are what the star stood for. With a star behind a
 * slash at its end the folder itself fits too. */
static bool matches(
	const char *pattern, const char *path, const char **ret_splat, size_t *ret_len)
{
	const char *star = strchr(pattern, '*');
	size_t n = strlen(path);

	*ret_splat = "";
	*ret_len = 0;
	if (!star) {
		size_t m = strlen(pattern);
		/* "/a" and "/a/" are one page */
		return strcmp(pattern, path) == 0 ||
		       (n == m + 1 && path[m] == '/' && strncmp(pattern, path, m) == 0);
	}
	size_t head = (size_t)(star - pattern), tail = strlen(star + 1);
	if (!tail && head > 1 && star[-1] == '/' && n == head - 1)
		return strncmp(pattern, path, n) == 0;
	if (n < head + tail || strncmp(pattern, path, head) != 0 ||
		strcmp(star + 1, path + n - tail) != 0)
		return false;
	*ret_splat = path + head;
	*ret_len = n - head - tail;
	return true;
}

/* A path of the client's becomes part of a field again: what is not plain is encoded. */
static bool add_encoded(struct buf *out, const char *s, size_t len)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		"-._~/!$&'()*+,;=:@";

	for (size_t i = 0; i < len; i++) {
		if (strchr(plain, s[i]))
			buf_add(out, s + i, 1);
		else
			buf_addf(out, "%%%02X", (unsigned char)s[i]);
	}
	return !out->failed;
}

static bool fill(
	const struct redirect *d, const char *splat, size_t len, char to[RULES_TO_MAX])
{
	autobuf out = {.max = RULES_TO_MAX};
	const char *mark = strstr(d->to, ":splat");
	bool file = d->status == 200;

	buf_add(&out, d->to, mark ? (size_t)(mark - d->to) : strlen(d->to));
	if (mark && file)
		buf_add(&out, splat, len);
	else if (mark)
		add_encoded(&out, splat, len);
	if (mark)
		buf_adds(&out, mark + 6);
	if (buf_add(&out, "", 1) < 0 || out.len > RULES_TO_MAX)
		return false;
	memcpy(to, out.data, out.len);
	return !(to[0] == '/' && (to[1] == '/' || to[1] == '\\'));
}

const struct redirect *rules_redirect(
	const struct rules *r, const char *path, bool forced_only, char to[RULES_TO_MAX])
{
	const char *splat;
	size_t len;

	for (size_t i = 0; i < r->n_redirects; i++) {
		const struct redirect *d = &r->redirects[i];
		if ((d->force || !forced_only) && matches(d->from, path, &splat, &len))
			return fill(d, splat, len, to) ? d : NULL;
	}
	return NULL;
}

void rules_headers(const struct rules *r, const char *path, struct buf *out)
{
	const char *splat;
	size_t len;

	for (size_t i = 0; i < r->n_headers; i++) {
		const struct header *h = &r->headers[i];
		if (matches(h->path, path, &splat, &len) &&
			out->len + strlen(h->line) + 2 <= RULES_HEADERS_MAX)
			buf_addf(out, "%s\r\n", h->line);
	}
}
